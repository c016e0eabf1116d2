"""What a request's fields mean: the heads that they make, every reason to refuse them, and the same verdicts as HTTP/1's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import BadRequest, Malformed
from proxyguard.http.http1.heads import BodyKind, RequestHead
from proxyguard.http.http1.request_parser import RequestParser
from proxyguard.http.http1.serialise import request_head
from proxyguard.http.http2.errors import REQUEST_FAULTS
from proxyguard.http.http2.hpack import Field
from proxyguard.http.http2.request_fields import RequestReader, read_trailers
from tests.examples import examples

BOUNDS = Bounds()
METHOD, SCHEME, AUTHORITY, PATH = (
    (b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/x?y=1"),
)  # fmt: skip
GET = [METHOD, SCHEME, AUTHORITY, PATH]


def read_request(fields: list[Field], bounds: Bounds, *, whole: bool) -> RequestHead:
    return RequestReader(bounds).read(fields, whole=whole)


def get(*more: Field, path: bytes = b"/x", method: bytes = b"GET", authority: bytes = b"a.example") -> list[Field]:
    return [(b":method", method), SCHEME, (b":authority", authority), (b":path", path), *more]


def test_a_plain_request_is_the_head_that_http1_would_have_read() -> None:
    head = read_request([*GET, (b"accept", b"*/*"), (b"te", b"trailers"), (b"cookie", b"a=1"), (b"x", b""), (b"cookie", b"b=2")],
                        BOUNDS, whole=True)  # fmt: skip
    assert head.headers == (
        (b"host", b"a.example"), (b"accept", b"*/*"), (b"te", b"trailers"), (b"cookie", b"a=1; b=2"), (b"x", b""),
    )  # fmt: skip
    text = (
        b"GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\naccept: */*\r\ncookie: a=1; b=2\r\nx: \r\n"
        b"Connection: TE\r\nTE: trailers\r\n\r\n"
    )
    assert request_head(head) == text
    (theirs, _) = RequestParser(BOUNDS).feed(text.replace(b"Host", b"host").replace(b"Connection: TE\r\nTE", b"te"))
    assert theirs == head.with_headers((*head.headers[:2], *head.headers[3:], head.headers[2]))


@pytest.mark.parametrize(
    ("more", "whole", "body", "length", "expects"),
    [
        ([], True, BodyKind.NONE, None, False),
        ([], False, BodyKind.CHUNKED, None, False),
        ([(b"content-length", b"5")], False, BodyKind.LENGTH, 5, False),
        ([(b"content-length", b"0")], True, BodyKind.LENGTH, 0, False),
        ([(b"expect", b"100-continue")], False, BodyKind.CHUNKED, None, True),
        ([(b"expect", b"100-continue"), (b"content-length", b"5")], False, BodyKind.LENGTH, 5, True),
        ([(b"expect", b"100-continue")], True, BodyKind.NONE, None, False),
    ],
)
def test_the_body_is_framed_by_its_length_or_in_chunks(
    more: list[Field], whole: bool, body: BodyKind, length: int | None, expects: bool
) -> None:
    head = read_request(get(*more, method=b"POST"), BOUNDS, whole=whole)
    assert (head.body, head.content_length, head.expect_continue) == (body, length, expects)
    assert head.headers == ((b"host", b"a.example"), *more)


@pytest.mark.parametrize(
    ("fields", "authority", "host"),
    [
        (get(authority=b"A.Example.:8443"), b"a.example:8443", b"a.example"),
        (get(authority=b"[2001:DB8::1]"), b"[2001:db8::1]", b"[2001:db8::1]"),
        ([METHOD, SCHEME, PATH, (b"host", b"b.example")], b"b.example", b"b.example"),
        (get((b"host", b"A.EXAMPLE")), b"a.example", b"a.example"),
        (get((b"host", b"a.example:443")), b"a.example:443", b"a.example"),
    ],
)
def test_the_authority_names_the_host(fields: list[Field], authority: bytes, host: bytes) -> None:
    head = read_request(fields, BOUNDS, whole=True)
    assert (head.authority, head.host) == (authority, host)


REFUSED = [
    ("no-method", [SCHEME, AUTHORITY, PATH], "pseudo-field"),
    ("no-scheme", [METHOD, AUTHORITY, PATH], "pseudo-field"),
    ("no-path", [METHOD, SCHEME, AUTHORITY], "pseudo-field"),
    ("method-twice", [METHOD, *GET], "pseudo-field"),
    ("path-twice", [*GET, PATH], "pseudo-field"),
    ("authority-twice", [*GET, AUTHORITY], "pseudo-field"),
    ("unknown-pseudo", [*GET, (b":version", b"2")], "pseudo-field"),
    ("status", [*GET, (b":status", b"200")], "pseudo-field"),
    ("empty-pseudo-name", [*GET, (b":", b"")], "pseudo-field"),
    ("extended-connect", [(b":method", b"CONNECT"), (b":protocol", b"websocket"), *GET[1:]], "pseudo-field"),
    ("connect", [(b":method", b"CONNECT"), AUTHORITY], "method-refused"),
    ("connect-with-path", get(method=b"CONNECT"), "method-refused"),
    ("trace", get(method=b"TRACE"), "method-refused"),
    ("pseudo-after-field", [METHOD, SCHEME, PATH, (b"accept", b"*/*"), AUTHORITY], "field-name"),
    ("odd-scheme", [METHOD, (b":scheme", b"ftp"), AUTHORITY, PATH], "pseudo-field"),
    ("scheme-in-capitals", [METHOD, (b":scheme", b"HTTPS"), AUTHORITY, PATH], "pseudo-field"),
    ("no-host", [METHOD, SCHEME, PATH], "host-missing"),
    ("empty-authority", get(authority=b""), "host"),
    ("user-in-authority", get(authority=b"me@a.example"), "host"),
    ("space-in-authority", get(authority=b"a.example b"), "host"),
    ("line-in-authority", get(authority=b"a.example\r\nX: 1"), "host"),
    ("other-host", get((b"host", b"b.example")), "host-mismatch"),
    ("other-port", get((b"host", b"a.example:81")), "host-mismatch"),
    ("host-twice", get((b"host", b"a.example"), (b"host", b"a.example")), "host-repeated"),
    ("method-small", get(method=b"get"), "method-unknown"),
    ("method-empty", get(method=b""), "request-line"),
    ("method-space", get(method=b"GET /"), "request-line"),
    ("method-line", get(method=b"GET / HTTP/1.1\r\nX:"), "request-line"),
    ("path-empty", get(path=b""), "request-line"),
    ("path-space", get(path=b"/a b"), "request-line"),
    ("path-line", get(path=b"/ HTTP/1.1\r\nX: y\r\n\r\nGET /admin"), "request-line"),
    ("path-bare-line", get(path=b"/\nX: 1"), "bare-lf"),
    ("path-absolute", get(path=b"https://a.example/x"), "target"),
    ("path-relative", get(path=b"x"), "target"),
    ("path-star", get(path=b"*"), "target"),
    ("path-fragment", get(path=b"/x#y"), "target"),
    ("path-current-and-parent", get(path=b"/./../b"), "target-dots"),
    ("path-dots", get(path=b"/a/../b"), "target-dots"),
    ("path-escaped-dots", get(path=b"/a/%2e%2E/b"), "target-dots"),
    ("path-escape", get(path=b"/%zz"), "target-escape"),
    ("path-nul", get(path=b"/\x00"), "target"),
    ("path-escaped-nul", get(path=b"/%00"), "target-control"),
    ("path-backslash", get(path=b"/a\\b"), "target-backslash"),
    ("path-not-ascii", get(path=b"/\xc3\xa4"), "target"),
    ("path-long", get(path=b"/" + b"z" * BOUNDS.target_bytes), "target-size"),
    ("name-in-capitals", get((b"Accept", b"*/*")), "field-name"),
    ("name-empty", get((b"", b"x")), "field-name"),
    ("name-space", get((b"a b", b"x")), "field-name"),
    ("name-colon", get((b"a:b", b"x")), "field-value"),
    ("name-line", get((b"a\r\nb", b"x")), "field-name"),
    ("name-not-ascii", get((b"\xc3\xa4", b"x")), "field-name"),
    ("value-line", get((b"x", b"1\r\ny: 2")), "field-value"),
    ("value-two-lines", get((b"x", b"1\r\n\r\n"), (b"y", b"1")), "field-name"),
    ("value-lf", get((b"x", b"1\n2")), "bare-lf"),
    ("value-cr", get((b"x", b"1\r2")), "bare-cr"),
    ("value-nul", get((b"x", b"1\x002")), "field-value"),
    ("value-del", get((b"x", b"1\x7f2")), "field-value"),
    ("value-begins-with-space", get((b"x", b" 1")), "field-value"),
    ("value-ends-with-tab", get((b"x", b"1\t")), "field-value"),
    ("connection", get((b"connection", b"close")), "connection-field"),
    ("keep-alive", get((b"keep-alive", b"5")), "connection-field"),
    ("proxy-connection", get((b"proxy-connection", b"close")), "connection-field"),
    ("transfer-encoding", get((b"transfer-encoding", b"chunked")), "connection-field"),
    ("upgrade", get((b"upgrade", b"websocket")), "connection-field"),
    ("te-gzip", get((b"te", b"trailers, gzip")), "connection-field"),
    ("misspelt-length", get((b"content_length", b"5")), "field-name"),
    ("misspelt-encoding", get((b"transfer_encoding", b"chunked")), "field-name"),
    ("length-odd", get((b"content-length", b"+5")), "content-length"),
    ("length-twice", get((b"content-length", b"0"), (b"content-length", b"0")), "content-length-repeated"),
    ("length-without-body", get((b"content-length", b"5")), "content-length"),
    ("expect-odd", get((b"expect", b"miracles")), "expect"),
    ("many-fields", get(*[(b"x", b"1")] * BOUNDS.header_count), "field-count"),
    ("long-field", get((b"x", b"z" * BOUNDS.field_bytes)), "field-size"),
    ("long-cookies", get(*[(b"cookie", b"z" * 1000)] * 9), "field-size"),
    ("long-head", get(*[(b"x", b"z" * 8000)] * 5), "head-size"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "reason"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_could_be_read_in_two_ways_is_refused(fields: list[Field], reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_request(fields, BOUNDS, whole=True)
    assert caught.value.reason == reason
    assert 400 <= REQUEST_FAULTS[reason] <= 505


def test_fields_up_to_the_bounds_pass() -> None:
    many = [(b"x", b"1")] * (BOUNDS.header_count - 1)
    assert len(read_request(get(*many), BOUNDS, whole=True).headers) == BOUNDS.header_count
    assert read_request(get((b"x", b"z" * (BOUNDS.field_bytes - 3))), BOUNDS, whole=True)
    assert read_request(get(*[(b"cookie", b"k%d=v" % number) for number in range(300)]), BOUNDS, whole=True)
    assert read_request(get(path=b"/" + b"z" * (BOUNDS.target_bytes - 1)), BOUNDS, whole=True)


def test_what_is_remembered_of_one_request_is_what_another_would_have_come_to() -> None:
    sections = [
        (get(*more, path=path, method=method, authority=authority), whole)
        for more in ([], [(b"x", b"1")], [(b"content-length", b"5")], [(b"expect", b"100-continue")], [(b"x", b"z" * 60)])
        for path in (b"/", b"/a", b"/../b", b"*", b"/" + b"z" * 30)
        for method in (b"GET", b"OPTIONS", b"CONNECT")
        for authority in (b"a.example", b"b.example")
        for whole in (True, False)
    ]
    bounds = Bounds(head_bytes=120)
    reader = RequestReader(bounds)
    for fields, whole in [*sections, *reversed(sections), *sections[::7]]:
        assert verdict(reader, fields, whole=whole) == verdict(RequestReader(bounds), fields, whole=whole)


def verdict(reader: RequestReader, fields: list[Field], *, whole: bool) -> RequestHead | str:
    try:
        return reader.read(fields, whole=whole)
    except Malformed as fault:
        return fault.reason


PIECES = [
    b"/", b"/a", b"//", b"/.", b"/..", b"/%2e", b"%", b"%00", b"%41", b"?", b"?q=1", b"#", b"\\", b" ", b"\t", b"\x80", b"\x01",
    b"*", b"http://a.example/", b";", b"~", b"'", b'"', b"<",
]  # fmt: skip
TARGETS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(b"".join)
METHODS = st.sampled_from([b"GET", b"HEAD", b"OPTIONS", b"PURGE", b"get", b"G(T", b"M-SEARCH", b"CONNECT"])
NAMES = st.sampled_from([b"accept", b"x-y", b"x_y", b"content_length", b"x y", b"\x00", b"expect", b"content-length"])
VALUES = st.sampled_from([b"", b"1", b"0", b"100-continue", b"a b", b"a\tb", b"\xff", b"\x7f", b"a\x00", b"00", b"-1"])
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=3)
SMALL = Bounds(head_bytes=200, field_bytes=40, header_count=3, target_bytes=12)


@pytest.mark.slow
@given(METHODS, TARGETS, FIELDS)
@settings(max_examples=examples(800), deadline=None)
def test_verdicts_are_those_of_http1(method: bytes, target: bytes, fields: list[Field]) -> None:
    text = (
        b"%b %b HTTP/1.1\r\nhost: a.example\r\n" % (method, target)
        + b"".join(b"%b: %b\r\n" % field for field in fields)
        + b"\r\n"
    )
    whole = not any(name == b"content-length" for name, _ in fields)
    parser = RequestParser(SMALL)
    theirs: RequestHead | None = None
    try:
        theirs = next((event for event in parser.feed(text) if isinstance(event, RequestHead)), None)
    except BadRequest:
        theirs = None
    try:
        ours: RequestHead | None = read_request(get(*fields, path=target, method=method), SMALL, whole=whole)
    except Malformed:
        ours = None
    if theirs is not None and not target.startswith(b"/") and target != b"*":
        assert ours is None  # absolute-form has no place in :path
    else:
        assert ours == theirs


def test_trailers_are_bounded_and_lose_what_may_not_be_there() -> None:
    assert read_trailers([(b"x-sum", b"1"), (b"content-length", b"5"), (b"host", b"b")], BOUNDS) == ((b"x-sum", b"1"),)
    for fields, reason in (
        ([(b":status", b"200")], "field-name"),
        ([(b"X", b"1")], "field-name"),
        ([(b"x", b"1\r\ny: 2")], "field-value"),
        ([(b"connection", b"close")], "connection-field"),
        ([(b"x", b"1")] * 101, "trailer-size"),
        ([(b"x", b"z" * 9000)], "trailer-size"),
    ):
        with pytest.raises(Malformed) as caught:
            read_trailers(fields, BOUNDS)
        assert caught.value.reason == reason
