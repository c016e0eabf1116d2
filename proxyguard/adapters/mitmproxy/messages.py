"""The commands and events of our layers and our driver, beyond mitmproxy's own, and what the two know of each other.

Commands travel up from an HTTP layer to the driver, in an Outbox; events travel down. Other layers pass both on untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import ClassVar, Protocol

from proxyguard.adapters.mitmproxy.masking_process import MaskJob, MaskResult
from proxyguard.adapters.mitmproxy.private import Client, Command, DataReceived, Event
from proxyguard.adapters.mitmproxy.upstream.connection import UpstreamServer
from proxyguard.adapters.mitmproxy.upstream.group import UpstreamGroup
from proxyguard.core.decision import Tarpit
from proxyguard.guard.interfaces import Ticket

_bare = object.__new__


def data_received(sender: Client, data: bytes) -> DataReceived:
    """mitmproxy's event for half the cost of its own constructor, which runs interpreted."""
    event = _bare(DataReceived)
    event.connection = sender
    event.data = data
    return event


class Arrived:
    """Bytes of an upstream connection on lease; of the client where `server` is None.

    In place of mitmproxy's DataReceived, at a fraction of its cost, once the layer that speaks HTTP is there.
    """

    __slots__ = ("data", "server")

    def __init__(self, server: UpstreamServer | None, data: bytes) -> None:
        self.server = server
        self.data = data


class Send:
    """Send bytes on an upstream connection on lease; to the client where `server` is None. In place of mitmproxy's SendData."""

    __slots__ = ("data", "server")

    blocking: ClassVar[bool] = False
    """What mitmproxy asks of a command that passes a layer of its own."""

    def __init__(self, server: UpstreamServer | None, data: bytes) -> None:
        self.server = server
        self.data = data


Heard = Event | Arrived
"""What a layer of ours is told."""

Order = Command | Send
"""What it has the driver do."""


class Listener(Protocol):
    """A layer of ours, or one of mitmproxy's that hands on what it does not know."""

    def handle_event(self, event: Heard, /) -> Iterable[Order]:
        """React to an event with commands, which are to be carried out in order."""
        ...


class ClientHandle(Protocol):
    """A client connection as its helpers know it; in the product driver.ClientConnection."""

    @property
    def is_released(self) -> bool:
        """Whether everything that the connection held has been let go."""
        ...

    def dispatch(self, event: Heard, /) -> None:
        """Hand an event to the layers and carry out their commands."""
        ...

    def keep_pace(self) -> None:
        """Read from the client only while its layer and its upstreams take what comes."""
        ...

    def drain(self) -> None:
        """Finish what runs and begin nothing; an idle connection closes."""
        ...

    def abort(self) -> None:
        """Cut the connection now."""
        ...


class ExchangeHandle(Protocol):
    """A request under way, as commands and events refer to it; in the product exchange.Exchange."""

    def lease(self, now: float, /) -> None:
        """Take an idle upstream connection, or ask for a new one, if the exchange still wants one."""
        ...

    def leased(self, server: UpstreamServer | None, fault: str, now: float, /) -> None:
        """Handle the answer to Lease: a connection, or None with a fault token."""
        ...

    def decided(self, ticket: Ticket, now: float, /) -> None:
        """Act on the decision of a check."""
        ...

    def answer_ready(self, result: MaskResult | None, now: float, /) -> None:
        """Send the answer that was waited for; of one that was masked what is left, or a refusal."""
        ...


class Outbox:
    """What a layer hands over after an event. Owned by the layer; its codec, exchanges and streams add to it.

    `commands` are carried out in order. `ready` are exchanges to be forwarded: the layer calls `lease` on each after
    the event, so that what came with the head goes with it, and a request taken back in the same read needs no connection.
    """

    __slots__ = ("commands", "ready")

    def __init__(self) -> None:
        self.commands: list[Order] = []
        self.ready: list[ExchangeHandle] = []

    def take(self) -> list[Order]:
        """The commands, which are then the caller's."""
        commands, self.commands = self.commands, []
        return commands


class Lease(Command):
    """Open a connection to one of the group's upstreams. Answered by Leased. `fresh`: not one that has become idle meanwhile."""

    __slots__ = ("exchange", "fresh", "group")

    def __init__(self, exchange: ExchangeHandle, group: UpstreamGroup, *, fresh: bool) -> None:
        self.exchange = exchange
        self.group = group
        self.fresh = fresh


class Awaited(Event):
    """What an exchange waits for."""

    __slots__ = ("exchange",)

    exchange: ExchangeHandle

    def hand_over(self, now: float) -> None:
        """Tell the exchange."""
        raise NotImplementedError


class Leased(Awaited):
    """The answer to Lease: a connection, or None and a fault token."""

    __slots__ = ("fault", "server")

    def __init__(self, exchange: ExchangeHandle, server: UpstreamServer | None, *, fault: str = "") -> None:
        self.exchange = exchange
        self.server = server
        self.fault = fault

    def hand_over(self, now: float) -> None:
        self.exchange.leased(self.server, self.fault, now)


class EndLease(Command):
    """Give an upstream connection back, or cut it; `flush` first sends what was written to it."""

    __slots__ = ("flush", "reusable", "server")

    def __init__(self, server: UpstreamServer, *, reusable: bool, flush: bool = False) -> None:
        self.server = server
        self.reusable = reusable
        self.flush = flush


class GiveUp(Command):
    """Stop waiting for the Lease of this exchange."""

    __slots__ = ("exchange",)

    def __init__(self, exchange: ExchangeHandle) -> None:
        self.exchange = exchange


class AwaitTicket(Command):
    """Wait for a check that a remote store answers. Answered by Decided."""

    __slots__ = ("awaiting", "exchange")

    def __init__(self, exchange: ExchangeHandle, awaiting: Awaitable[Ticket]) -> None:
        self.exchange = exchange
        self.awaiting = awaiting


class Decided(Awaited):
    """The answer to AwaitTicket."""

    __slots__ = ("ticket",)

    def __init__(self, exchange: ExchangeHandle, ticket: Ticket) -> None:
        self.exchange = exchange
        self.ticket = ticket

    def hand_over(self, now: float) -> None:
        self.exchange.decided(self.ticket, now)


class AwaitMask(Command):
    """Have an answer masked, for a client of this network. Answered by Ready."""

    __slots__ = ("exchange", "job", "network")

    def __init__(self, exchange: ExchangeHandle, job: MaskJob, network: str) -> None:
        self.exchange = exchange
        self.job = job
        self.network = network


class AwaitTime(Command):
    """Wait until a time of the worker's clock before an answer goes out. Answered by Ready."""

    __slots__ = ("due", "exchange")

    def __init__(self, exchange: ExchangeHandle, due: float) -> None:
        self.exchange = exchange
        self.due = due


class Ready(Awaited):
    """The answer to AwaitMask, or to AwaitTime: then `result` is None."""

    __slots__ = ("result",)

    def __init__(self, exchange: ExchangeHandle, result: MaskResult | None) -> None:
        self.exchange = exchange
        self.result = result

    def hand_over(self, now: float) -> None:
        self.exchange.answer_ready(self.result, now)


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
    """Hand the client over to the tarpit; no event follows."""

    __slots__ = ("head", "network", "tarpit")

    def __init__(self, head: bytes, tarpit: Tarpit, network: str) -> None:
        self.head = head
        self.tarpit = tarpit
        self.network = network


class Abort(Command):
    """Cut the client connection without sending what is still to be sent; `is_error`: such that the client sees an error."""

    __slots__ = ("connection", "is_error")

    def __init__(self, connection: Client, *, is_error: bool = False) -> None:
        self.connection = connection
        self.is_error = is_error


class Expired(Event):
    """The deadline that the layer set has passed."""

    __slots__ = ()


class Writable(Event):
    """The client takes bytes again after it had not for a while."""

    __slots__ = ()


class TurnEnds(Event):
    """Everything that came in one turn of the loop has been handed on. Only after `link.wake_soon()`."""

    __slots__ = ()


class UpstreamPace(Event):
    """An upstream connection on lease begins or ceases to be blocked. Only for layers that pace each by itself: services.Link."""

    __slots__ = ()


class Drain(Event):
    """The instance is about to stop: finish what runs, begin nothing."""

    __slots__ = ()
