"""What lines of the audit log are made of is what msgspec would write, and what is kept of it is bounded."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.core.printable import printable_json
from proxyguard.telemetry import audit_texts
from proxyguard.telemetry.audit_texts import MAX_KEPT, MAX_TEXTS, BytesField, TextField, decimal, decimals, thousandths, units


@given(st.text(), st.text(max_size=3))
def test_a_text_is_written_as_msgspec_writes_it_whether_it_is_at_hand_or_not(text: str, start: str) -> None:
    field, alone = TextField("rule"), TextField(start=start)
    wanted = printable_json(msgspec.json.encode({"rule": text})).decode()[1:-1]
    assert field.of(text) == field.of(text) == f",{wanted}"
    if text:
        assert alone.of(text) == alone.of(text) == printable_json(msgspec.json.encode(start + text)).decode()


@given(st.floats(0, 1e12))
def test_a_number_is_written_as_msgspec_writes_it(number: float) -> None:
    count = thousandths(number)
    assert (units(count) + decimals(count)).encode() == msgspec.json.encode(count / 1000)
    for each in (number, -number - 1.0, float(int(number)), number * 1e6):
        assert decimal(each).encode() == msgspec.json.encode(each)


def test_what_is_kept_at_hand_is_bounded_by_number_and_by_length() -> None:
    text, raw = TextField("path"), BytesField("host", bytes.decode)
    for number in range(3 * MAX_TEXTS):
        text.of(f"/{number}")
        raw.of(b"%d.example" % number)
        assert len(text._known) <= MAX_TEXTS
        assert len(raw._known) <= MAX_TEXTS
    for long in ("x" * MAX_KEPT, "\u202e" * (MAX_KEPT // 6)):
        assert text.of(long)[len(',"path":') :] == audit_texts.quoted(long)
        assert raw.of(long.encode())[len(',"host":') :] == audit_texts.quoted(long)
        assert long not in text._known
        assert long.encode() not in raw._known
