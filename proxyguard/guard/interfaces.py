"""The interface between fronts and the guard: a front builds a Request, asks a Checker, acts, and settles.

A front calls `check` once per request before any body byte goes anywhere, and `settle` once when the exchange is over,
whatever its end. Neither raises: a fault in a check is the Checker's to turn into the failure mode.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from proxyguard.core.address import Address
from proxyguard.core.decision import Decision
from proxyguard.core.request import Headers, Request
from proxyguard.core.value import Value
from proxyguard.http.responses import Answer
from proxyguard.limits.charge import Charge
from proxyguard.telemetry.otel.trace_context import TraceContext


class Forwarding(Value):
    """Changes that a front makes to a request and its response while forwarding them."""

    __slots__ = ("add", "answer", "defaults", "hide", "is_personal", "on_hidden_value", "sets_cookie", "trace")

    def __init__(
        self,
        hide: bytes = b"",
        on_hidden_value: Callable[[bytes], None] | None = None,
        add: Headers = (),
        sets_cookie: bool = False,  # noqa: FBT001, FBT002 - by position, as all are
        trace: TraceContext | None = None,
        is_personal: bool = False,  # noqa: FBT001, FBT002 - likewise
        defaults: Headers = (),
        answer: Answer | None = None,
    ) -> None:
        self.hide = hide
        """A header (lower case) that passes in neither direction; empty: none."""
        self.on_hidden_value = on_hidden_value
        """Called with the value of the hidden header of the final response, if it has one."""
        self.add = add
        """Header fields to add to the final response."""
        self.sets_cookie = sets_cookie
        """Whether one of them is a Set-Cookie: it is left out of a response that shared caches may keep."""
        self.trace = trace
        """Fields of the trace, which the site gets in place of those that the client sent; None: those pass."""
        self.is_personal = is_personal
        """Whether no cache may answer with the final response unasked, whatever the site says: its client needs what is added."""
        self.defaults = defaults
        """Header fields for a final response that has none of that name; of Link: none about a licence."""
        self.answer = answer
        """What the front answers itself, in place of the site; None: it forwards."""

    def held(self) -> tuple[object, ...]:
        return (
            self.hide, self.on_hidden_value, self.add, self.sets_cookie, self.trace, self.is_personal, self.defaults, self.answer,
        )  # fmt: skip


class Ticket(Value):
    """One checked request: what to do, the opaque reference shown to a refused client, and the monotonic time of the check."""

    __slots__ = ("checked_at", "class_", "decision", "due", "forwarding", "reference", "request", "started")

    def __init__(
        self,
        request: Request,
        decision: Decision,
        reference: str,
        started: float,
        forwarding: Forwarding | None = None,
        class_: str = "",
        due: tuple[Charge, ...] = (),
        checked_at: float = 0.0,
    ) -> None:
        self.request = request
        self.decision = decision
        self.reference = reference
        self.started = started
        self.forwarding = forwarding
        self.class_ = class_
        """The class of the client, when the rules define classes."""
        self.due = due
        """Charges to put right when the exchange is over."""
        self.checked_at = checked_at
        """When they were made, Unix seconds."""

    def held(self) -> tuple[object, ...]:
        return (
            self.request, self.decision, self.reference, self.started, self.forwarding, self.class_, self.due, self.checked_at,
        )  # fmt: skip


class Served(Value):
    """How an exchange ended. Byte counts are bodies only. `upstream_seconds` None: never reached the upstream."""

    __slots__ = (
        "bytes_received", "bytes_sent", "fault", "status", "total_seconds", "upstream", "upstream_head_seconds",
        "upstream_seconds",
    )  # fmt: skip

    def __init__(
        self,
        status: int,
        bytes_sent: int = 0,
        bytes_received: int = 0,
        upstream_seconds: float | None = None,
        total_seconds: float = 0.0,
        fault: str = "",
        upstream_head_seconds: float | None = None,
        upstream: str = "",
    ) -> None:
        self.status = status
        self.bytes_sent = bytes_sent
        self.bytes_received = bytes_received
        self.upstream_seconds = upstream_seconds
        self.total_seconds = total_seconds
        self.fault = fault
        """Empty, or a bounded token such as `upstream-connect`, `upstream-timeout`, `client-gone`."""
        self.upstream_head_seconds = upstream_head_seconds
        """From when the upstream had the whole request until the head of its response, or until nobody waited for that any
        longer; None when it failed otherwise, or never had the whole request."""
        self.upstream = upstream
        """The upstream that a fault is about, as an operator would write it; empty otherwise."""

    def held(self) -> tuple[object, ...]:
        return (
            self.status, self.bytes_sent, self.bytes_received, self.upstream_seconds, self.total_seconds, self.fault,
            self.upstream_head_seconds, self.upstream,
        )  # fmt: skip


class Refusal(NamedTuple):
    """An answer of the front's own to what no check stands behind: malformed, for an unknown host, or never finished.

    `fault` says why, a bounded token; `method`, `host`, `path` are as far as they could be read, and empty otherwise.
    """

    reference: str
    client: Address
    status: int
    fault: str
    method: bytes = b""
    host: bytes = b""
    path: bytes = b""
    http_version: bytes = b""


class FileAnswer(NamedTuple):
    """What a site answered to a question of our own. `status` 0: nothing that could be read, in time and without a coding."""

    status: int
    body: bytes = b""
    location: str = ""


AskSite = Callable[[bytes, str], Awaitable[FileAnswer]]
"""Asks the site of a host for a path; at least the first 500 KiB of the body are read. Does not raise."""


class Checker(Protocol):
    """The guard, as a front uses it."""

    def check(self, request: Request) -> Ticket | Awaitable[Ticket]:
        """Decide. A plain Ticket when the store is in this process, an awaitable only for a remote store."""
        ...

    def settle(self, ticket: Ticket, served: Served) -> None:
        """Record how the exchange ended."""
        ...

    def refused(self, refusal: Refusal) -> None:
        """Record an answer that carries a reference and that no Ticket stands for."""
        ...


class FrontEvents(Protocol):
    """Events that a front reports besides requests. Each is counted; none raises. Tokens are from a fixed set."""

    def bound_exceeded(self, bound: str) -> None: ...
    def bad_request(self, reason: str) -> None: ...
    def connection_opened(self) -> None: ...
    def connection_closed(self) -> None: ...
    def tarpits_held(self, count: int) -> None: ...
    def internal_error(self, where: str, error: BaseException) -> None: ...
