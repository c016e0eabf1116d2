"""What the guard asks of a front while forwarding: a header that passes in neither direction, and others that are added."""

from __future__ import annotations

from proxyguard.core.decision import PASS_BY_DEFAULT
from proxyguard.core.request import Request
from proxyguard.guard.interfaces import Forwarding, Refusal, Served, Ticket
from tests.adapters.http1.rig import LaneRig


class Hiding:
    """A checker that hides X-Class, remembers what it heard, and adds a header."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def check(self, request: Request) -> Ticket:
        forwarding = Forwarding(b"x-class", self.heard.append, ((b"RateLimit", b'"a";r=1'),))
        return Ticket(request, PASS_BY_DEFAULT, "0", 0.0, forwarding)

    def settle(self, ticket: Ticket, served: Served) -> None:
        """Nothing to do."""

    def refused(self, refusal: Refusal) -> None:
        """Nothing to do."""


def rig_and_checker() -> tuple[LaneRig, Hiding]:
    checker = Hiding()
    return LaneRig(checker=checker), checker


def test_a_client_cannot_send_the_hidden_header_in_any_spelling() -> None:
    rig, _ = rig_and_checker()
    rig.feed(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Class: staff\r\nX_CLASS: staff\r\nx-class: staff\r\nX-Classy: 1\r\n\r\n")
    assert b"staff" not in rig.upstream.got
    assert b"X-Classy: 1\r\n" in rig.upstream.got


def test_a_client_cannot_send_it_in_a_trailer() -> None:
    rig, _ = rig_and_checker()
    rig.feed(
        b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: x-class, x-sum\r\n\r\n"
        b"1\r\na\r\n0\r\nX-Class: staff\r\nX-Sum: 9\r\n\r\n"
    )
    assert b"staff" not in rig.upstream.got
    assert rig.upstream.got.endswith(b"0\r\nX-Sum: 9\r\n\r\n")


def test_the_word_of_the_upstream_is_heard_and_never_shown() -> None:
    rig, checker = rig_and_checker()
    rig.feed(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    rig.respond(b"HTTP/1.1 103 Early Hints\r\nX-Class: early\r\nLink: </a>\r\n\r\n")
    rig.respond(b"HTTP/1.1 200 OK\r\nX-Class: member\r\nContent-Length: 2\r\nETag: 1\r\n\r\nhi")
    assert checker.heard == [b"member"]
    assert b"X-Class" not in rig.sent
    assert rig.sent.endswith(b'HTTP/1.1 200 OK\r\nETag: 1\r\nRateLimit: "a";r=1\r\nContent-Length: 2\r\n\r\nhi')
    assert b"Link: </a>" in rig.sent


def test_it_is_taken_out_of_trailers_too() -> None:
    rig, checker = rig_and_checker()
    rig.feed(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    rig.respond(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Class: member\r\nX-Sum: 9\r\n\r\n")
    assert checker.heard == []
    assert rig.sent.endswith(b"0\r\nX-Sum: 9\r\n\r\n")


def test_a_response_that_says_nothing_is_not_heard() -> None:
    rig, checker = rig_and_checker()
    rig.feed(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
    rig.respond(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert checker.heard == []
    assert b'RateLimit: "a";r=1\r\n' in rig.sent
