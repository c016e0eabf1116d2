"""What is kept of a connection's last request serves the next one only where both would come to the same."""

from __future__ import annotations

from typing import Any

import pytest

from proxyguard.adapters.mitmproxy.services import KEPT_BYTES, Route
from proxyguard.core.address import Network
from proxyguard.core.connection_facts import PATH_INDEXED, ROOT_ON_4, ConnectionFacts
from proxyguard.core.settings import Trust
from proxyguard.policy.sites import HostTable
from tests.adapters.http2.rig import GET, Fields, Http2Rig, post

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def get(*more: tuple[bytes, bytes], path: bytes = b"/x", authority: bytes = b"a.example", method: bytes = b"GET") -> Fields:
    return [(b":method", method), (b":scheme", b"https"), (b":authority", authority), (b":path", path), *more]


NEXT: list[Fields] = [
    GET,
    get((b"accept", b"*/*")),
    get((b"accept", b"*/*"), path=b"/y?z=1"),
    get((b"accept", b"*/*"), method=b"HEAD"),
    get((b"accept", b"*/*"), authority=b"A.example:443"),
    get((b"accept", b"text/html")),
    get((b"accept", b"*/*"), (b"te", b"trailers")),
    get((b"accept", b"*/*"), (b"content-length", b"0")),
    get((b"accept", b"x" * KEPT_BYTES)),
    get((b"cookie", b"a=1"), (b"cookie", b"b=2")),
    *(get((b"accept", b"*/*"), (b"referer", value), (b"x-a", b"1")) for value in (b"/1", b"/22", b"", b"\xff")),
    get((b"referer", b"/1"), (b"referer", b"/2")),
    get((b"x-forwarded-for", b"192.0.2.1"), (b"x-forwarded-proto", b"http")),
    get((b"x-forwarded-for", b"192.0.2.2"), (b"x-forwarded-proto", b"http")),
]


def passed_on(rig: Http2Rig, fields: Fields) -> bytes:
    """What the upstream gets of a request."""
    before = sum(len(each.got) for each in rig.upstreams)
    answer = rig.ask(fields)
    head = b"".join(each.got for each in rig.upstreams)[before:]
    rig.reply(OK if dict(fields)[b":method"] != b"HEAD" else OK[:-2])
    assert answer.status == 200
    return head


@pytest.mark.parametrize("trust", [None, Trust(proxies=(Network.parse("192.0.2.0/24"),))], ids=["client", "proxy"])
@pytest.mark.parametrize("second", range(len(NEXT)))
@pytest.mark.parametrize("first", range(len(NEXT)))
def test_every_request_goes_upstream_as_if_it_were_the_first(first: int, second: int, trust: Trust | None) -> None:
    alone = passed_on(Http2Rig(trust=trust), NEXT[second])
    assert alone.endswith(b"\r\n\r\n")
    rig = Http2Rig(trust=trust)
    assert [passed_on(rig, NEXT[each]) for each in (first, second, second)][1:] == [alone, alone]


def test_requests_under_way_at_the_same_time_do_not_mix() -> None:
    rig = Http2Rig()
    numbers = [rig.h2.request(fields) for fields in (NEXT[10], NEXT[11], NEXT[1], NEXT[10])]
    rig.talk()
    got = [bytes(each.got) for each in rig.upstreams]
    assert got == [passed_on(Http2Rig(), fields) for fields in (NEXT[10], NEXT[11], NEXT[1], NEXT[10])]
    for upstream in rig.upstreams:
        rig.reply(OK, upstream)
    assert [rig.h2.answers[number].status for number in numbers] == [200] * 4


def test_a_body_changes_what_goes_upstream() -> None:
    rig = Http2Rig()
    passed_on(rig, post((b"accept", b"*/*")))
    rig.ask(post((b"accept", b"*/*")), b"abc")
    assert b"Transfer-Encoding: chunked\r\n" in b"".join(each.got for each in rig.upstreams)


def test_what_was_derived_of_the_fields_is_shared_by_requests_with_the_same() -> None:
    rig = Http2Rig()
    fields = get((b"cookie", b"a=1"), (b"referer", b"/1"))
    passed_on(rig, fields)
    (first,) = rig.requests
    assert first.header_index[b"referer"] == (b"/1",)
    assert first.cookies == {b"a": (b"1",)}
    passed_on(rig, fields)
    passed_on(rig, get((b"cookie", b"a=1"), (b"referer", b"/2"), path=b"/y"))
    passed_on(rig, get((b"cookie", b"a=2"), (b"referer", b"/2")))
    _, second, third, fourth = rig.requests
    assert second.header_index is first.header_index
    assert third.header_index == {**first.header_index, b"referer": (b"/2",)}
    assert second.cookies is third.cookies is first.cookies
    assert (fourth.cookies, fourth.steady is first.steady) == ({b"a": (b"2",)}, False)


def test_facts_are_derived_anew_when_the_connection_has_shown_more() -> None:
    rig = Http2Rig()
    shown = rig.link.facts = ConnectionFacts()
    shown.path_forms = PATH_INDEXED
    facts: list[Any] = []
    for change in (0, 0, ROOT_ON_4, 0, -1, 0):
        if change < 0:
            shown.is_wasteful = True
        shown.path_forms |= max(change, 0)
        passed_on(rig, GET)
        request = rig.requests[-1]
        facts.append(request.facts)
        request.facts = request.facts or (rig, frozenset({len(facts)}))
    assert facts == [None, (rig, {1}), None, (rig, {3}), None, (rig, {5})]


def test_a_request_without_a_site_between_two_hides_no_change() -> None:
    rig = Http2Rig()
    shown = rig.link.facts = ConnectionFacts()
    passed_on(rig, GET)
    rig.requests[0].facts = (rig, frozenset({1}))
    shown.path_forms = ROOT_ON_4
    rig.services.routes, routes = HostTable[Route](()), rig.services.routes
    assert rig.ask(GET).status == 421
    rig.services.routes = routes
    passed_on(rig, GET)
    assert rig.requests[-1].facts is None
