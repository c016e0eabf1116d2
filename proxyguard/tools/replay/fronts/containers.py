"""What container runtimes write in front of a line: the kubelet's CRI log, Docker's json-file, compose, kubectl.

"CRI: Log management for container stdout/stderr streams" (Kubernetes design proposal); Docker's "JSON File logging driver".
Both cut a long line into parts of 16 KiB, which are put together here; at most MAX_LINE_BYTES of one line are kept.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from proxyguard.tools.replay.fronts.front_type import Strip
from proxyguard.tools.replay.logged_request import MAX_LINE_BYTES, LineError, NotAnEntry

_CRI: Final = re.compile(rb"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) (stdout|stderr) ([FP])(?::[^ ]*+)? ")

_TIMESTAMP: Final = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[\d.]*+(?:Z|[+-]\d\d:\d\d) "
_SERVICE: Final = rb"(?:\x1b\[[\d;]*+m)?[\w.@-]++ *+\|(?:\x1b\[[\d;]*+m)? ?"
_POD: Final = rb"\[pod/[\w./-]++\] "

TIMESTAMPED: Final = re.compile(_TIMESTAMP)
COMPOSE: Final = re.compile(_SERVICE)
COMPOSE_TIMESTAMPED: Final = re.compile(_SERVICE + _TIMESTAMP)
KUBECTL: Final = re.compile(_POD)
KUBECTL_TIMESTAMPED: Final = re.compile(_POD + _TIMESTAMP)


class _Parts:
    """The beginnings of lines that go on, one a stream."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[bytes]] = {}
        self._sizes: dict[str, int] = {}

    def add(self, stream: str, part: bytes, *, ends: bool) -> bytes:
        """The whole line when the part is its last. Raises NotAnEntry when it is not."""
        waiting = self._waiting.get(stream)
        if ends and waiting is None:
            return part
        if waiting is None:
            waiting, self._sizes[stream] = [], 0
            self._waiting[stream] = waiting
        if self._sizes[stream] <= MAX_LINE_BYTES:
            waiting.append(part)
            self._sizes[stream] += len(part)
        if not ends:
            raise NotAnEntry
        del self._waiting[stream]
        if self._sizes[stream] > MAX_LINE_BYTES:
            raise LineError(f"its parts are longer than {MAX_LINE_BYTES // 1024} KiB together")
        return b"".join(waiting)


def make_cri() -> Strip:
    parts = _Parts()

    def strip(line: bytes) -> bytes:
        found = _CRI.match(line)
        if found is None:
            raise LineError("it is not a line of a CRI log")
        return parts.add(found[1].decode(), line[found.end() :], ends=found[2] == b"F")

    return strip


DOCKER_PART_BYTES: Final = 16_000
"""Docker cuts at 16 KiB. A shorter record without a newline is whole: log shippers take newlines off."""


class _DockerLine(msgspec.Struct):
    log: str
    time: str
    stream: str = "stdout"


_STREAMS: Final = frozenset({"stdout", "stderr"})

_decode = msgspec.json.Decoder(_DockerLine).decode


def make_docker() -> Strip:
    parts = _Parts()

    def strip(line: bytes) -> bytes:
        try:
            found = _decode(line)
            text = found.log.encode("utf-8", "surrogateescape")
        except (ValueError, RecursionError) as error:
            raise LineError("it is not a line of Docker's json-file log") from error
        stream = found.stream if found.stream in _STREAMS else "other"
        ends = text.endswith(b"\n") or len(text) < DOCKER_PART_BYTES
        return parts.add(stream, text.rstrip(b"\r\n"), ends=ends)

    return strip
