"""A line of an access log as a request, and the ways in which a line can fail to be one.

Knows nothing of formats or rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Final, NamedTuple

from proxyguard.core.decision import STOPPING, ShadowHit
from proxyguard.core.request import Headers
from proxyguard.tools.replay.knowledge import Knowledge

MAX_LINE_BYTES: Final = 256 * 1024
"""A line longer than this is malformed: several times the largest request head that servers take."""


class Recorded(NamedTuple):
    """What was decided about a request when it came, as our own audit log says."""

    rule: str
    name: str
    """Of the action."""
    shadow: tuple[ShadowHit, ...]

    @property
    def refuses(self) -> bool:
        return self.name in STOPPING


@dataclass(slots=True, eq=False)
class LoggedRequest:
    """A request that was logged. What the log does not carry is empty; `Knowledge` says what that is."""

    time: float
    """Unix seconds."""
    client: bytes
    """The address as it was written."""
    method: bytes
    target: bytes
    version: bytes
    headers: Headers
    _: KW_ONLY
    status: int = 0
    """0: unknown."""
    bytes_sent: int = 0
    """Of the response's body."""
    upstream_seconds: float | None = None
    user: bool = False
    """A user name was logged."""
    referer: bool = False
    host: bytes = b""
    scheme: bytes = b""
    recorded: Recorded | None = None


class LineError(Exception):
    """The line is not of its log's format; the message says why."""


class NoRequest(Exception):
    """The line is well formed, but the server never got a request that proxyguard would look at: it refuses those itself."""


class NotAnEntry(Exception):
    """The line is about the log itself, or goes on in the next one; it is not counted."""


Parse = Callable[[bytes], LoggedRequest]
"""Reads one line. Raises LineError, NoRequest or NotAnEntry."""


def _nothing() -> None:
    pass


def _no_notes() -> Sequence[str]:
    return ()


class LogFormat(NamedTuple):
    """A format: its name, the facts of a request that it records, and the parser of its lines."""

    name: str
    knowledge: Knowledge
    parse: Parse
    reset: Callable[[], None] = _nothing
    """Forget what earlier lines said; called before a log is read from its beginning."""
    notes: Callable[[], Sequence[str]] = _no_notes
    """What the operator should know about the log, once it was read."""
