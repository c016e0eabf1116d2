"""Listening sockets on one port for each of several workers (SO_REUSEPORT): the kernel spreads connections over them."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import replace

from proxyguard.adapters.mitmproxy.listener import BACKLOG, close_sockets, open_sockets
from proxyguard.core.settings import Settings

type Sockets = tuple[socket.socket, ...]
"""One for each address of the host."""


def bind(settings: Settings) -> list[Sockets]:
    """The listening sockets of each worker; a Unix socket is one for all. Raises OSError, with the address in its message."""
    bound: list[list[socket.socket]] = [[] for _ in range(settings.workers)]
    try:
        for listen in settings.listen:
            for sockets in bound:
                if listen.path and sockets is not bound[0]:
                    sockets.append(bound[0][-1])
                    continue
                made = open_sockets(listen, shared_port=True)
                sockets.extend(made)
                if not listen.path:
                    listen = replace(listen, port=made[0].getsockname()[1])  # noqa: PLW2901 - the port that the first was given
        for each in distinct(bound):
            each.listen(BACKLOG)
    except OSError:
        close_sockets(distinct(bound))
        raise
    return [tuple(sockets) for sockets in bound]


def distinct(bound: Iterable[Iterable[socket.socket]]) -> list[socket.socket]:
    """Every socket of all workers, once."""
    return list({id(each): each for sockets in bound for each in sockets}.values())
