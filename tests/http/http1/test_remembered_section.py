"""What a parser remembers of the request before must never change what it makes of the next one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import BadRequest
from proxyguard.http.http1.heads import RequestEvent, RequestHead
from proxyguard.http.http1.request_parser import REMEMBERED_BYTES, STEADY_BYTES, RequestParser

TARGETS = (b"/", b"/a?b", b"http://a.example/", b"http://b.example/", b"*")
LINES = st.builds(
    b"%b %b HTTP/1.%b\r\n".__mod__,
    st.tuples(st.sampled_from((b"GET", b"POST", b"OPTIONS", b"HEAD")), st.sampled_from(TARGETS), st.sampled_from((b"0", b"1"))),
)
VALUES = st.one_of(
    st.sampled_from((
        b"https://a.example/1", b"https://a.example/2", b"", b" ", b" /a", b"/a ", b"/a\tb", b"/a\r\nReferer: /b", b"/\r\n b",
        b"/\0", b"/a\r\nContent-Length: 4", b"/\xff", b"/a\r\nX-A: 1", b"/" + b"x" * STEADY_BYTES,
    )),
    st.binary(max_size=3),
)  # fmt: skip
REFERRED = st.builds(
    lambda before, name, value, after: before + name + value + b"\r\n" + after,
    st.sampled_from((b"Host: a.example\r\n", b"Host: a.example\r\nReferer: /0\r\n", b"")),
    st.sampled_from((b"Referer: ", b"referer: ", b"Referer:", b"Referer:  ")),
    VALUES,
    st.sampled_from((b"\r\n", b"Host: a.example\r\n\r\n", b"Connection: close\r\n\r\n", b" folded\r\n\r\n")),
)
SECTIONS = st.sampled_from((
    b"\r\n",
    b"Host: a.example\r\n\r\n",
    b"Host: a.example\r\nConnection: keep-alive, X-A\r\nX-A: 1\r\n\r\n",
    b"Host: a.example\r\nContent-Length: 0\r\n\r\n",
    b"Host: a.example\r\nExpect: 100-continue\r\n\r\n",
    b"Host: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"Host: a.example\r\nHost: a.example\r\n\r\n",
    b"Host: a.example\r\nX-Long: " + b"x" * REMEMBERED_BYTES + b"\r\n\r\n",
))  # fmt: skip
BOUNDS = (Bounds(), Bounds(field_bytes=64), Bounds(header_count=2), Bounds(head_bytes=64), Bounds(head_bytes=50))


def read(parser: RequestParser, data: bytes) -> tuple[RequestEvent, ...] | str:
    try:
        return tuple(parser.feed(data))
    except BadRequest as fault:
        return fault.reason


@given(st.lists(st.tuples(LINES, st.one_of(SECTIONS, REFERRED)), min_size=2, max_size=6), st.sampled_from(BOUNDS))
def test_a_request_means_the_same_whatever_came_before_it(requests: list[tuple[bytes, bytes]], bounds: Bounds) -> None:
    parser = RequestParser(bounds)
    for line, section in requests:
        expected = read(RequestParser(bounds), line + section)
        found = read(parser, line + section)
        assert found == expected
        for each in found:
            if isinstance(each, RequestHead):
                assert_steady(each)
        if isinstance(expected, str):
            return
        head = expected[0]
        assert isinstance(head, RequestHead)
        if head.content_length:
            return  # what comes next is its body
        if head.upgrade is not None:
            parser.resume()


def assert_steady(head: RequestHead) -> None:
    at = head.referer_at
    referers = [place for place, (name, _) in enumerate(head.headers) if name.lower() == b"referer"]
    assert at == -1 or [at] == referers
    assert head.steady == (head.headers if at < 0 else head.headers[:at] + head.headers[at + 1 :])


@pytest.mark.parametrize("name", [b"Referer", b"referer", b"REFERER"])
@pytest.mark.parametrize("section", [b"Host: a.example\r\n%b: %b\r\nA: b\r\n\r\n", b"%b: %b\r\nHost: a.example\r\n\r\n"])
def test_what_requests_share_that_have_other_referers_is_one_object(section: bytes, name: bytes) -> None:
    parser = RequestParser(Bounds())
    heads = [
        parser.feed(b"GET /%d HTTP/1.1\r\n" % number + section % (name, b"https://a.example/%d" % (number // 2)))[0]
        for number in range(6)
    ]
    for number, head in enumerate(heads):
        assert isinstance(head, RequestHead)
        assert head.headers[head.referer_at] == (name, b"https://a.example/%d" % (number // 2))
        assert head.steady is heads[0].steady  # type: ignore[union-attr]  # looked at above


def test_the_fields_of_a_repeated_section_are_one_object() -> None:
    parser = RequestParser(Bounds())
    first, second = (parser.feed(b"GET %b HTTP/1.1\r\nHost: a.example\r\n\r\n" % target)[0] for target in (b"/1", b"/2"))
    assert isinstance(first, RequestHead)
    assert isinstance(second, RequestHead)
    assert (first.target, second.target) == (b"/1", b"/2")
    assert first.headers is second.headers
