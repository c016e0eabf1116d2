"""One port, and as many listening sockets on it as there are workers (SO_REUSEPORT): the kernel deals connections out to them."""

from __future__ import annotations

import socket
from typing import Final

from proxyguard.settings import Settings

BACKLOG: Final = 4096


def bind(settings: Settings) -> list[socket.socket]:
    """One listening socket per worker on the same port. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.listen.host else socket.AF_INET
    port = settings.listen.port
    sockets: list[socket.socket] = []
    try:
        for _ in range(settings.workers):
            listening = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.bind((settings.listen.host, port))
            port = listening.getsockname()[1]
            listening.listen(BACKLOG)
            listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except OSError:
        for listening in sockets:
            listening.close()
        raise
    return sockets
