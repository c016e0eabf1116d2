"""A checker that decides by a header of the request, and events that are written down: what a front needs of the guard."""

from __future__ import annotations

from collections import Counter

from proxyguard.adapters.mitmproxy.private import Command, Context, DataReceived, Event, Layer, SendData
from proxyguard.core.decision import ALLOW, PASS_BY_DEFAULT, Decision, Delay, Drop, Quota, Reject, Tarpit
from proxyguard.core.request import Request
from proxyguard.guard.interfaces import Refusal, Served, Ticket

DECISIONS = {
    b"allow": Decision(action=ALLOW, rule="allowed"),
    b"reject": Decision(action=Reject(), rule="rejecting"),
    b"limit": Decision(action=Reject(), rule="limiting", quota=Quota(5, 60.0, 0, 12.0)),
    b"drop": Decision(action=Drop(), rule="dropping"),
    b"tarpit": Decision(action=Tarpit(hold_seconds=30.0, drip_seconds=0.05, drip_bytes=3), rule="holding"),
    b"delay": Decision(action=Delay(seconds=0.05), rule="delaying"),
}


class HeaderChecker:
    """Decides what the request's X-Do header says, else passes. Remembers the requests and how they ended."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.settled: list[tuple[Ticket, Served]] = []
        self.refusals: list[Refusal] = []

    def check(self, request: Request) -> Ticket:
        self.requests.append(request)
        wish = request.header_index.get(b"x-do", (b"",))[0]
        if wish == b"crash":
            raise RuntimeError("a checker that breaks its promise")
        return Ticket(request, DECISIONS.get(wish, PASS_BY_DEFAULT), f"{len(self.requests):016x}", 0.0)

    def settle(self, ticket: Ticket, served: Served) -> None:
        self.settled.append((ticket, served))

    def refused(self, refusal: Refusal) -> None:
        self.refusals.append(refusal)

    @property
    def served(self) -> list[tuple[int, str]]:
        """Status and fault of every exchange that ended."""
        return [(served.status, served.fault) for _, served in self.settled]


class NotedEvents:
    """Front events as counts."""

    def __init__(self) -> None:
        self.bounds: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.errors: list[tuple[str, BaseException]] = []
        self.connections = 0
        self.tarpits = 0

    def bound_exceeded(self, bound: str) -> None:
        self.bounds[bound] += 1

    def bad_request(self, reason: str) -> None:
        self.bad[reason] += 1

    def connection_opened(self) -> None:
        self.connections += 1

    def connection_closed(self) -> None:
        self.connections -= 1

    def tarpits_held(self, count: int) -> None:
        self.tarpits = count

    def internal_error(self, where: str, error: BaseException) -> None:
        self.errors.append((where, error))


class Echo(Layer):
    """Says back what it hears, as a plain list of commands, as our lanes do."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.heard: list[Event] = []

    def handle_event(self, event: Event) -> list[Command]:  # type: ignore[override]  # a list, not a generator
        self.heard.append(event)
        return [SendData(event.connection, event.data)] if isinstance(event, DataReceived) else []

    def _handle_event(self, event: Event) -> list[Command]:  # type: ignore[override]  # the abstract one
        return self.handle_event(event)
