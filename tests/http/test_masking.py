"""What is taken out of answers, and what cannot be read and is therefore not shown."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from proxyguard.core.decision import Mask
from proxyguard.http.masking import MAX_DEPTH, CannotMask, masked

FIELDS = Mask(json=("email", "users.*.phone", "**.secret", "list.1"))
ELEMENTS = Mask(html=(".email", "dl > dd.phone", 'a[href^="mailto:"]'))
PATTERNS = Mask(patterns=("email", "phone"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"email": "a@b.example", "name": "Ann"}', '{"email":null,"name":"Ann"}'),
        ('{"email": 1, "name": "Ann", "\\u0065mail": 2}', '{"email":null,"name":"Ann"}'),
        ('{"users": [{"phone": "1", "id": 7}, {"phone": {"x": 1}}]}', '{"users":[{"phone":null,"id":7},{"phone":null}]}'),
        ('{"users": {"ann": {"phone": 1}}}', '{"users":{"ann":{"phone":null}}}'),
        ('{"a": {"b": [{"secret": 1}]}, "secret": {"secret": 2}}', '{"a":{"b":[{"secret":null}]},"secret":null}'),
        ('{"list": [1, 2, 3]}', '{"list":[1,null,3]}'),
        ('[1, true, null, "x", 123456789012345678901234567890]', '[1,true,null,"x",123456789012345678901234567890]'),
        ('\ufeff{"email": 1}', '{"email":null}'),
        ('"text"', '"text"'),
    ],
)  # fmt: skip
def test_fields_become_null(before: str, after: str) -> None:
    assert masked(FIELDS, "application/json", "", before.encode()) == ("application/json", after.encode())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"email": NaN}', "mask-json"),
        (b'{"x": 1e999}', "mask-json"),
        (b'{"x": ' + b"1" * 5000 + b"}", "mask-json"),
        (b'{"x": 1} // comment', "mask-json"),
        (b'{"x": 1}{"email": 2}', "mask-json"),
        (b"{'email': 1}", "mask-json"),
        (b")]}',\n{}", "mask-json"),
        (b'{"email": "a@b.exam', "mask-json"),
        (b"[" * 100_000, "mask-json"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "mask-json"),
        (b'{"email": "\xff"}', "mask-charset"),
        (b'{"\xc3', "mask-charset"),
        ('{"email": 1}'.encode("utf-16"), "mask-charset"),
        ('{"email": 1}'.encode("utf-32-le"), "mask-charset"),
        (b"", "mask-json"),
    ],
)
def test_what_is_no_json_is_not_shown(body: bytes, reason: str) -> None:
    with pytest.raises(CannotMask, match=f"^{reason}$"):
        masked(FIELDS, "application/json", "", body)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<p class=email>a@b.example</p>x", "x"),
        ("<p CLASS='big email'>a<p>x", "<p>x</p>"),
        ("<div class=email><div class=email>1</div>2</div>3", "3"),
        ("<dl><dd class=phone>1</dl><dd class=phone>2", '<dl></dl><dd class="phone">2</dd>'),
        ('<a href="mailto:a@b.example">write</a><a href="/x">read</a>', '<a href="/x">read</a>'),
        ("<template><p class=email>1</p><template>2</template></template>x", "x"),
        ("<svg><title class=email>1</title></svg>", "<svg></svg>"),
        ("<!-- <p class=email>1</p> -->x", "x"),
        ("<noscript><p class=email>1</p></noscript>x", "<noscript></noscript>x"),
        ("<p class=em&#97;il>1</p>x", "x"),
    ],
)
def test_elements_are_left_out(before: str, after: str) -> None:
    page = f"<!doctype html><title>t</title><body>{before}"
    head = "<!DOCTYPE html><html><head><title>t</title></head><body>"
    shown = f"{head}{after}</body></html>".encode()
    assert masked(ELEMENTS, "text/html", "", page.encode()) == ("text/html; charset=utf-8", shown)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ask ann.b+c@mail.example.org!", "ask [hidden]!"),
        ("bücher@käse.example", "[hidden]"),
        ("/u?mail=ann%40b.example&x", "/u?mail=[hidden]&x"),
        ("logo@2x.png, lib@4.3.2, @handle, a @ b", "logo@2x.png, lib@4.3.2, @handle, a @ b"),
        ("+49 (30) 123-4567 and 0049 30 1234567", "[hidden] and [hidden]"),
        ("030 1234567, 555-123-4567, (555) 123-4567", "[hidden], [hidden], [hidden]"),
        ("2026-11-29 05:55, 01.02.2024, id 1234567890123, 12.5", "2026-11-29 05:55, 01.02.2024, id 1234567890123, 12.5"),
    ],
)
def test_patterns_are_hidden_in_text(before: str, after: str) -> None:
    assert masked(PATTERNS, "text/csv", "", before.encode()) == ("text/csv; charset=utf-8", after.encode())
    assert json.loads(masked(PATTERNS, "application/json", "", json.dumps({before: [before]}).encode())[1]) == {after: [after]}


def test_patterns_in_a_page_are_hidden_in_text_attributes_and_scripts() -> None:
    page = (
        '<p title="a@b.example">joe&#64;b.example 030 1234567<script>n="030 1234567";m="a\\u0040b.example"</script>'
        '<a href="tel:+49301234567" data-id="030 1234567">call</a><!-- a@b.example -->'
    )
    _, body = masked(PATTERNS, "text/html", "", page.encode())
    assert body.decode() == (
        '<html><head></head><body><p title="[hidden]">[hidden] [hidden]<script>n="030 1234567";m="[hidden]"</script>'
        '<a href="[hidden]" data-id="030 1234567">call</a></p></body></html>'
    )


@pytest.mark.parametrize(
    ("mask", "content_type", "reason"),
    [
        (FIELDS, "text/html", "mask-type"),
        (FIELDS, "text/csv", "mask-type"),
        (ELEMENTS, "application/json", "mask-type"),
        (ELEMENTS, "text/plain", "mask-type"),
        (PATTERNS, "text/event-stream", "mask-type"),
        (PATTERNS, "multipart/mixed; boundary=x", "mask-type"),
        (PATTERNS, "application/octet-stream", "mask-type"),
        (PATTERNS, "application/x-ndjson", "mask-type"),
        (PATTERNS, "image/png", "mask-type"),
        (PATTERNS, "", "mask-type"),
        (PATTERNS, "text/plain; charset=utf-7", "mask-charset"),
        (PATTERNS, "text/plain; charset=utf-16", "mask-charset"),
        (PATTERNS, "text/plain; charset=iso-2022-jp", "mask-charset"),
        (FIELDS, "application/json; charset=iso-8859-1", "mask-charset"),
    ],
)
def test_what_the_rule_does_not_cover_is_not_shown(mask: Mask, content_type: str, reason: str) -> None:
    with pytest.raises(CannotMask, match=f"^{reason}$"):
        masked(mask, content_type, "", b'{"email": "a@b.example"}')


def test_text_in_other_bytes_than_the_declared_ones_is_not_shown() -> None:
    for body in ("a@b.example".encode("utf-16-le"), b"\x1b$B@b.example"):
        with pytest.raises(CannotMask, match="mask-charset"):
            masked(PATTERNS, "text/plain", "", body)


def test_other_charsets_come_out_as_utf8() -> None:
    for content_type in ("text/plain; charset=ISO-8859-1", 'text/plain; charset="windows-1252"', "text/plain"):
        body = masked(PATTERNS, content_type, "", "Käse a@b.example".encode("cp1252"))
        assert body == ("text/plain; charset=utf-8", "Käse [hidden]".encode())


def test_encodings_are_taken_off_within_the_bound() -> None:
    plain = b'{"email": "a@b.example", "x": "' + b"y" * 1000 + b'"}'
    shown = masked(FIELDS, "application/json", "", plain)
    assert masked(FIELDS, "application/json", "gzip", gzip.compress(plain)) == shown
    assert masked(FIELDS, "application/json", "deflate", zlib.compress(plain)) == shown
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 60_000
    for encoding, body, reason in (
        ("gzip", bomb, "mask-size"),
        ("", b" " * 600_000, "mask-size"),
        ("gzip", gzip.compress(plain)[:-9], "mask-encoding"),
        ("gzip", gzip.compress(b"{}") + gzip.compress(plain), "mask-encoding"),
        ("gzip", plain, "mask-encoding"),
        ("br", plain, "mask-encoding"),
        ("zstd", plain, "mask-encoding"),
        ("gzip, gzip", plain, "mask-encoding"),
    ):
        with pytest.raises(CannotMask, match=f"^{reason}$"):
            masked(FIELDS, "application/json", encoding, body)
