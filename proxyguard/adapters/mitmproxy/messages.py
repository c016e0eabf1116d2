"""What our layers and our driver say to each other beyond mitmproxy's own commands and events.

Commands travel up from a lane to the driver, events down; other layers pass both on untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from proxyguard.adapters.mitmproxy.private import Client, Command, Event
from proxyguard.core.decision import Tarpit
from proxyguard.guard.interfaces import Ticket

if TYPE_CHECKING:
    from proxyguard.adapters.mitmproxy.exchange import Exchange
    from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamServer
    from proxyguard.adapters.mitmproxy.upstream.pool import UpstreamGroup


class Lease(Command):
    """Get a connection to one of the group's upstreams. Answered by Leased, perhaps at once."""

    __slots__ = ("exchange", "fresh", "group")

    def __init__(self, exchange: Exchange, group: UpstreamGroup, *, fresh: bool) -> None:
        self.exchange = exchange
        self.group = group
        self.fresh = fresh


class Leased(Event):
    """The answer to Lease: a connection, or None and a fault token. `reused`: it carried requests before."""

    __slots__ = ("exchange", "fault", "reused", "server")

    def __init__(self, exchange: Exchange, server: UpstreamServer | None, *, reused: bool, fault: str = "") -> None:
        self.exchange = exchange
        self.server = server
        self.reused = reused
        self.fault = fault


class EndLease(Command):
    """Give an upstream connection back, or cut it; `flush` first sends what was written to it."""

    __slots__ = ("flush", "reusable", "server")

    def __init__(self, server: UpstreamServer, *, reusable: bool, flush: bool = False) -> None:
        self.server = server
        self.reusable = reusable
        self.flush = flush


class GiveUp(Command):
    """Stop waiting for a Lease or a ticket of this exchange."""

    __slots__ = ("exchange",)

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange


class AwaitTicket(Command):
    """Wait for a check that a remote store answers. Answered by Decided."""

    __slots__ = ("awaiting", "exchange")

    def __init__(self, exchange: Exchange, awaiting: Awaitable[Ticket]) -> None:
        self.exchange = exchange
        self.awaiting = awaiting


class Decided(Event):
    """The answer to AwaitTicket."""

    __slots__ = ("exchange", "ticket")

    def __init__(self, exchange: Exchange, ticket: Ticket) -> None:
        self.exchange = exchange
        self.ticket = ticket


class HoldReading(Command):
    """Stop taking bytes from the client, or go on."""

    __slots__ = ("held",)

    def __init__(self, *, held: bool) -> None:
        self.held = held


class HoldUpstream(Command):
    """Stop taking bytes from one upstream connection on lease, or go on. The driver's own holds come on top."""

    __slots__ = ("held", "server")

    def __init__(self, server: UpstreamServer, *, held: bool) -> None:
        self.server = server
        self.held = held


class Detain(Command):
    """Hand the client over to the dripper; no event follows."""

    __slots__ = ("head", "network", "tarpit")

    def __init__(self, head: bytes, tarpit: Tarpit, network: str) -> None:
        self.head = head
        self.tarpit = tarpit
        self.network = network


class Abort(Command):
    """Cut the client connection without sending what is still to be sent."""

    __slots__ = ("connection",)

    def __init__(self, connection: Client) -> None:
        self.connection = connection


class Expired(Event):
    """The deadline that the lane set has passed."""

    __slots__ = ()


class Writable(Event):
    """The client takes bytes again after it had not for a while."""

    __slots__ = ()


class TurnEnds(Event):
    """Everything that came in one turn of the loop has been handed on. Only after `link.wake_soon()`."""

    __slots__ = ()


class UpstreamPace(Event):
    """An upstream connection on lease begins or ceases to be blocked. Only for a lane that says `link.multiplexed`."""

    __slots__ = ()


class Drain(Event):
    """The instance is about to stop: finish what runs, begin nothing."""

    __slots__ = ()
