"""The fields of a trace on their way to the site: in place of the client's, or as the client sent them."""

from __future__ import annotations

import pytest

from proxyguard.core.decision import PASS_BY_DEFAULT
from proxyguard.core.request import Headers, Request
from proxyguard.guard.interfaces import Forwarding, Refusal, Served, Ticket
from proxyguard.telemetry.otel.trace_context import TraceContext
from tests.adapters.http1.rig import LaneRig

SENT = (
    b"GET /%d HTTP/1.1\r\nHost: a.example\r\nTraceparent: 00-theirs\r\ntracestate: a=1\r\nTRACESTATE: b=2\r\nX-Other: 1\r\n\r\n"
)


class Tracing:
    """A checker that gives each request the next of some traces."""

    def __init__(self, *traces: Headers | None) -> None:
        self._traces = iter(traces)

    def check(self, request: Request) -> Ticket:
        fields = next(self._traces)
        forwarding = None if fields is None else Forwarding(trace=TraceContext(1, 2, 3, b"", fields))
        return Ticket(request, PASS_BY_DEFAULT, "0", 0.0, forwarding)

    def settle(self, ticket: Ticket, served: Served) -> None:
        """Nothing to do."""

    def refused(self, refusal: Refusal) -> None:
        """Nothing to do."""


def traced(rig: LaneRig, number: int) -> list[bytes]:
    """The fields about traces in the head that a request's upstream gets."""
    rig.feed(SENT % number)
    head = rig.upstream.got[rig.upstream.got.rindex(b"GET /") :]
    rig.respond(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert head.startswith(b"GET /%d " % number)
    assert b"X-Other: 1\r\n" in head
    return [line for line in head.split(b"\r\n") if line.lower().startswith(b"trace")]


def test_without_a_tracer_they_pass_as_they_came() -> None:
    rig = LaneRig(checker=Tracing(None))
    assert traced(rig, 1) == [b"Traceparent: 00-theirs", b"tracestate: a=1", b"TRACESTATE: b=2"]


@pytest.mark.parametrize("fields", [(), ((b"Traceparent", b"00-ours"),), ((b"Traceparent", b"00-ours"), (b"Tracestate", b"c=3"))])
def test_ours_stand_in_place_of_the_clients(fields: Headers) -> None:
    rig = LaneRig(checker=Tracing(fields))
    assert traced(rig, 1) == [name + b": " + value for name, value in fields]


def test_what_one_request_was_given_is_not_kept_for_the_next_of_its_connection() -> None:
    own: list[Headers] = [((b"Traceparent", b"00-%d" % number),) for number in range(2)]
    rig = LaneRig(checker=Tracing(None, own[0], own[1], (), None))
    theirs = [b"Traceparent: 00-theirs", b"tracestate: a=1", b"TRACESTATE: b=2"]
    assert [traced(rig, number) for number in range(5)] == [theirs, [b"Traceparent: 00-0"], [b"Traceparent: 00-1"], [], theirs]
