"""How much may be under way at once in one worker: the bounds of the settings, lowered to what its open files allow.

A client connection is one file, and a forwarded request one more. Files are shared out once, at start, so that accepting,
upstreams and the admin port never compete for the last one.
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from proxyguard.core.settings import Bounds

logger = logging.getLogger(__name__)

SPARE_FILES: Final = 256
"""Files besides connections: listening sockets, logs, certificates, the admin port and its reserve, the loop's own."""


class Capacity(NamedTuple):
    """What one worker holds at most; see `capacity_of`."""

    connections: int
    connections_per_network: int
    requests: int
    requests_per_network: int
    requests_per_network_and_site: int
    """So that a client whose requests to one site hang can still use another."""
    delayed: int
    delayed_per_network: int
    upstream_connections: int
    """On lease or being opened, for all sites together."""
    queue: int
    """Requests of one site that wait for an upstream connection."""


def files_wanted(bounds: Bounds) -> int:
    """The open files with which no bound has to be lowered."""
    return SPARE_FILES + bounds.connections + bounds.requests // 2


def capacity_of(bounds: Bounds, files: int, sites: int) -> Capacity:
    """Share out `files` open files. Every result is at least 1, but a queue of 0 is left at that.

    Clients get what they may have of three quarters, upstreams the rest. Half of all requests may hold an upstream connection,
    a quarter may be delayed, an eighth wait in the queue of one site: so none of these can use up the room of the others. One
    client network gets at most half of the upstream connections, and where there are several sites half of that for each.
    """
    room = max(2, files - SPARE_FILES)
    connections = min(bounds.connections, room * 3 // 4)
    per_network = bounds.connections_per_network
    if connections < bounds.connections:
        per_network = min(per_network, max(1, connections // 4))
    requests = min(bounds.requests, room)
    upstreams = max(1, min(room - connections, requests // 2))
    requests_per_network = min(bounds.requests_per_network, max(1, upstreams // 2))
    return Capacity(
        connections=connections,
        connections_per_network=per_network,
        requests=requests,
        requests_per_network=requests_per_network,
        requests_per_network_and_site=max(1, requests_per_network // 2) if sites > 1 else requests_per_network,
        delayed=max(1, requests // 4),
        delayed_per_network=max(1, requests_per_network // 10),
        upstream_connections=upstreams,
        queue=min(bounds.upstream_queue, max(1, requests // 8)),
    )


def lowered(bounds: Bounds, capacity: Capacity) -> list[tuple[str, int, int]]:
    """The bounds that are lower than their settings: name, setting, and what there is."""
    names = ("connections", "connections_per_network", "requests", "requests_per_network")
    found = [(name, int(getattr(bounds, name)), int(getattr(capacity, name))) for name in names]
    return [each for each in found if each[2] < each[1]]


def files_hint(wanted: int) -> str:
    """What to do about too few open files."""
    most = max(65_536, wanted)
    return (
        f"allow {most} files: ulimit -n {most} in a shell, LimitNOFILE={most} in a systemd unit, ulimits: {{nofile: {most}}} in "
        f"compose.yaml; or lower the bound"
    )


def note_lowered(bounds: Bounds, capacity: Capacity, files: int) -> None:
    """Say in the log, on one line, which bounds are lower than their settings, and what to do.

    A warning when an operator asked for more, and for their information when it is the default that does not fit.
    """
    found = lowered(bounds, capacity)
    if not found:
        return
    parts = ", ".join(f"bounds.{name} {given} (of {wanted})" for name, wanted, given in found)
    defaults = Bounds()
    is_asked_for = any(wanted != getattr(defaults, name) for name, wanted, _ in found)
    level = logging.WARNING if is_asked_for else logging.INFO
    logger.log(level, "%d open files allow %s; %s", files, parts, files_hint(files_wanted(bounds)))
