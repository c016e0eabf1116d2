"""One line of an access log as facts, and the two ways in which a line can fail to be one.

Knows nothing of formats or rules.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from proxyguard.core.request import Headers
from proxyguard.tools.replay.knowledge import Knowledge

MAX_LINE_BYTES: Final = 256 * 1024
"""A line longer than this is malformed: several times the largest request head that servers take."""


class LoggedRequest:
    """A request that was logged. `client` is the address as written; `time` is Unix seconds; `user`: a name was logged.

    `status` 0 means unknown; `bytes_sent` is the response's body. What the log does not
    carry is empty; `Knowledge` says what that is.
    """

    __slots__ = (
        "bytes_sent", "client", "headers", "host", "method", "referer", "scheme", "status", "target", "time", "upstream_seconds",
        "user", "version",
    )  # fmt: skip

    def __init__(
        self,
        time: float,
        client: bytes,
        method: bytes,
        target: bytes,
        version: bytes,
        headers: Headers,
        *,
        status: int = 0,
        bytes_sent: int = 0,
        upstream_seconds: float | None = None,
        user: bool = False,
        referer: bool = False,
        host: bytes = b"",
        scheme: bytes = b"",
    ) -> None:
        self.time = time
        self.client = client
        self.method = method
        self.target = target
        self.version = version
        self.headers = headers
        self.status = status
        self.bytes_sent = bytes_sent
        self.upstream_seconds = upstream_seconds
        self.user = user
        self.referer = referer
        self.host = host
        self.scheme = scheme


class LineError(Exception):
    """The line is not of its log's format; the message says why."""


class NoRequest(Exception):
    """The line is well formed, but the server never got a request that proxyguard would look at: it refuses those itself."""


Parse = Callable[[bytes], LoggedRequest]
"""Reads one line. Raises LineError or NoRequest."""


class LogFormat(NamedTuple):
    """A format, what it tells of a request, and how a line is read."""

    name: str
    knowledge: Knowledge
    parse: Parse
