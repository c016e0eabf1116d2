"""The fields that go upstream are kept from one request of a connection to the next: only where they would be the same."""

from __future__ import annotations

import pytest

from proxyguard.adapters.mitmproxy.services import KEPT_BYTES
from tests.adapters.http1.rig import LaneRig

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
GET = b"GET /a HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\nTE: trailers\r\nConnection: TE\r\n\r\n"

NEXT = [
    GET,
    GET.replace(b"/a", b"/b?c=d"),
    GET.replace(b"GET /a", b"HEAD /a"),
    GET.replace(b"/a", b"http://a.example:80/a"),
    GET.replace(b"a.example", b"A.example:81"),
    GET.replace(b"Accept: */*", b"Accept: text/html"),
    GET.replace(b"Accept: */*\r\n", b""),
    GET.replace(b"Accept: */*", b"Content-Length: 0"),
    GET.replace(b"HTTP/1.1", b"HTTP/1.0"),
    GET.replace(b"Accept: */*", b"Accept: " + b"x" * KEPT_BYTES),
    *(GET.replace(b"Accept: */*", b"Referer: /" + value) for value in (b"1", b"22", b"", b"1\r\nReferer: /2", b"\xff")),
    GET.replace(b"Connection: TE", b"Referer: /1\r\nConnection: TE, Referer"),
    GET.replace(b"Connection: TE", b"Referer: /2\r\nConnection: TE, Referer"),
]


def ask(rig: LaneRig, request: bytes) -> bytes:
    before = sum(len(each.got) for each in rig.upstreams)
    rig.feed(request)
    head = b"".join(each.got for each in rig.upstreams)[before:]  # not every connection is kept
    rig.respond(OK if not request.startswith(b"HEAD") else OK[:-2])
    return head


@pytest.mark.parametrize("second", NEXT)
@pytest.mark.parametrize("first", [*NEXT[:4], *NEXT[10:]])
def test_every_request_goes_upstream_as_if_it_were_the_first(first: bytes, second: bytes) -> None:
    alone = ask(LaneRig(), second)
    assert alone.endswith(b"\r\n\r\n")
    rig = LaneRig()
    assert [ask(rig, each) for each in (first, second)][1] == alone
    if b"HTTP/1.0" not in second:
        assert ask(rig, second) == alone


def test_a_request_that_comes_back_is_found_by_its_target_too() -> None:
    rig = LaneRig()
    rig.services.hop = b"0123456789abcdef"
    for target in (b"/a", b"/b"):
        assert b"X-Proxyguard-Hop: 0123456789abcdef\r\n" in ask(rig, GET.replace(b"/a", target))
    rig.feed(GET.replace(b"/a", b"/c?0123456789abcdef"))
    assert b" 508 " in rig.sent


def test_a_request_that_comes_back_is_found_by_its_referer_too() -> None:
    rig = LaneRig()
    rig.services.hop = b"0123456789abcdef"
    for value in (b"/a", b"/b"):
        assert b"X-Proxyguard-Hop: 0123456789abcdef\r\n" in ask(rig, GET.replace(b"*/*\r\n", b"*/*\r\nReferer: %b\r\n" % value))
    rig.feed(GET.replace(b"*/*\r\n", b"*/*\r\nReferer: /0123456789abcdef\r\n"))
    assert b" 508 " in rig.sent
