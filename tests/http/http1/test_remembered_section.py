"""What a parser remembers of the request before must never change what it makes of the next one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import BadRequest
from proxyguard.http.http1.heads import RequestEvent, RequestHead
from proxyguard.http.http1.request_parser import REMEMBERED_BYTES, RequestParser

TARGETS = (b"/", b"/a?b", b"http://a.example/", b"http://b.example/", b"*")
LINES = st.builds(
    b"%b %b HTTP/1.%b\r\n".__mod__,
    st.tuples(st.sampled_from((b"GET", b"POST", b"OPTIONS", b"HEAD")), st.sampled_from(TARGETS), st.sampled_from((b"0", b"1"))),
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


def read(parser: RequestParser, data: bytes) -> tuple[RequestEvent, ...] | str:
    try:
        return tuple(parser.feed(data))
    except BadRequest as fault:
        return fault.reason


@given(st.lists(st.tuples(LINES, SECTIONS), min_size=2, max_size=6))
def test_a_request_means_the_same_whatever_came_before_it(requests: list[tuple[bytes, bytes]]) -> None:
    parser = RequestParser(Bounds())
    for line, section in requests:
        expected = read(RequestParser(Bounds()), line + section)
        assert read(parser, line + section) == expected
        if isinstance(expected, str):
            return
        head = expected[0]
        assert isinstance(head, RequestHead)
        if head.upgrade is not None:
            parser.resume()


def test_the_fields_of_a_repeated_section_are_one_object() -> None:
    parser = RequestParser(Bounds())
    first, second = (parser.feed(b"GET %b HTTP/1.1\r\nHost: a.example\r\n\r\n" % target)[0] for target in (b"/1", b"/2"))
    assert isinstance(first, RequestHead)
    assert isinstance(second, RequestHead)
    assert (first.target, second.target) == (b"/1", b"/2")
    assert first.headers is second.headers
