"""Listening sockets on one port for each of several workers (SO_REUSEPORT): the kernel spreads connections over them."""

from __future__ import annotations

import socket

from proxyguard.adapters.mitmproxy.listener import BACKLOG, open_sockets
from proxyguard.core.settings import Listen, Settings

type Sockets = tuple[socket.socket, ...]
"""One for each address of the host."""


def bind(settings: Settings) -> list[Sockets]:
    """The listening sockets of each worker. Raises OSError, with the address in its message."""
    listen = settings.listen
    bound: list[Sockets] = []
    try:
        for _ in range(settings.workers):
            bound.append(tuple(open_sockets(listen, shared_port=True)))
            listen = Listen(listen.host, bound[0][0].getsockname()[1])
            for each in bound[-1]:
                each.listen(BACKLOG)
    except OSError:
        for each in (each for sockets in bound for each in sockets):
            each.close()
        raise
    return bound
