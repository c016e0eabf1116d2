"""What strangers chose reaches a terminal or a log only as text."""

from __future__ import annotations

import json

import pytest

from proxyguard.core.printable import LINES_AND_TABS, printable, printable_json

DANGEROUS = [
    *(chr(number) for number in (*range(0x20), *range(0x7F, 0xA0))),
    *"\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\ufff9\ue000\U000e0041",
]


@pytest.mark.parametrize("char", DANGEROUS, ids=ascii)
def test_nothing_dangerous_stays(char: str) -> None:
    text = f"/a{char}31m"
    assert printable(text).isprintable()
    data = printable_json(json.dumps({"path": text}, ensure_ascii=False).encode())
    assert data.decode().isprintable()
    assert json.loads(data) == {"path": text}


@pytest.mark.parametrize("text", ["", "plain", "Grüße, 日本語, \u20ac 😀", "a b"])
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text
    assert printable_json(json.dumps(text, ensure_ascii=False).encode()).decode() == json.dumps(text, ensure_ascii=False)


def test_a_report_keeps_its_lines() -> None:
    assert printable("a\n\tb\x1b[31m\r", LINES_AND_TABS) == "a\n\tb\\x1b[31m\\r"
    assert printable("a\nb") == "a\\nb"
