"""Ports for servers that tests start."""

from __future__ import annotations

import contextlib
import os
import random
import re
import socket

#: Below what the system gives to clients (net.ipv4.ip_local_port_range begins at 32,768).
PORTS = range(10_000, 30_000)

#: Test processes that run side by side and have ports of their own; more of them share.
SIDE_BY_SIDE = 8


class Ports:
    """Hands out the ports of one test process in turn, so that none comes twice before all others came."""

    def __init__(self, worker: int) -> None:
        self._own = PORTS[worker % SIDE_BY_SIDE :: SIDE_BY_SIDE]
        # Not the shared generator: tests seed that one, and would all begin at the same port.
        self._next = random.SystemRandom().randrange(len(self._own))

    def take(self) -> int:
        """A port of the loopback interface that nobody listens on; OSError where every one is taken."""
        for _ in self._own:
            port = self._own[self._next]
            self._next = (self._next + 1) % len(self._own)
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
        raise OSError(f"no free port in {self._own}")


def _worker() -> int:
    """The number of this process among those that run tests side by side."""
    named = re.fullmatch(r"gw(\d+)", os.environ.get("PYTEST_XDIST_WORKER", ""))
    return int(named[1]) if named else 0


free_port = Ports(_worker()).take
