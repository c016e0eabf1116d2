"""The listening sockets: made here, so that several workers can share a port and a failed bind has a plain message."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from proxyguard.core.settings import Listen

BACKLOG: Final = 4096
"""Connections the kernel holds for us while we are busy; the kernel caps it at net.core.somaxconn."""


TCP_NOTSENT_LOWAT: Final = 25
"""From linux/tcp.h; Python 3.12 has no name for it."""

UNSENT_BYTES: Final = 128 * 1024
"""What the kernel takes before it has sent what it has; fast clients do not notice, it is refilled as it drains."""

PROBE_AFTER_SECONDS: Final = 120
"""Of silence. Four unanswered probes later a peer that vanished without a word is let go: after four minutes."""


class ListenFault(OSError):
    """Why nothing listens: the deployer's address or certificate cannot be used."""


def open_sockets(listen: Listen, *, shared_port: bool) -> list[socket.socket]:
    """Bound sockets for every address of the host, or the Unix socket, not yet listening. Raises ListenFault.

    `shared_port` sets SO_REUSEPORT; only several workers ask for it, since with it a second instance would take half of the
    connections instead of failing to start.
    """
    if listen.path:
        return [_open_unix_socket(listen)]
    try:
        found = socket.getaddrinfo(
            listen.host or None, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except OSError as error:
        raise ListenFault(f"listen: cannot resolve {listen.host!r}: {error.strerror or error}") from error
    sockets: list[socket.socket] = []
    port = listen.port
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            made = socket.socket(family, kind, protocol)
            sockets.append(made)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared_port:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                only_v6 = len(found) > 1 or address[0] != "::"
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only_v6))
            made.bind((address[0], port, *address[2:]))
            port = port or made.getsockname()[1]  # with port 0 all addresses get the port that the first was given
            made.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except OSError as error:
        for made in sockets:
            made.close()
        raise ListenFault(f"listen: cannot bind {listen}: {error.strerror or error}") from error
    return sockets


def _open_unix_socket(listen: Listen) -> socket.socket:
    """A bound Unix socket; nobody else may use its file before it has its permissions."""
    made = socket.socket(socket.AF_UNIX)
    try:
        _remove_stale(listen.path)
        before = os.umask(0o177)
        try:
            made.bind(listen.path)
        finally:
            os.umask(before)
        Path(listen.path).chmod(listen.mode)
        made.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except OSError as error:
        made.close()
        raise ListenFault(f"listen: cannot bind {listen}: {error.strerror or error}") from error
    return made


def _remove_stale(path: str) -> None:
    """Remove the file of a socket that an instance left behind when it was killed. Raises OSError when the path is in use."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "a file that is no socket is there already")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)  # noqa: FBT003 - the standard library's signature
        if probe.connect_ex(path) != errno.ECONNREFUSED:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    Path(path).unlink()


def remove_files(sockets: Iterable[socket.socket]) -> None:
    """Remove the files of those Unix sockets that are not closed yet."""
    for each in sockets:
        if each.fileno() >= 0 and each.family == socket.AF_UNIX:
            Path(each.getsockname()).unlink(missing_ok=True)


def close_sockets(sockets: Iterable[socket.socket]) -> None:
    """Close sockets that `open_sockets` made, and remove the files of Unix sockets."""
    sockets = tuple(sockets)
    remove_files(sockets)
    for each in sockets:
        each.close()


def listen_of(listening: socket.socket, listens: Sequence[Listen]) -> Listen:
    """Which of the addresses to listen on a socket was made for, with the port that it has."""
    name = listening.getsockname()
    if isinstance(name, str):
        return next((each for each in listens if each.path == name), Listen("", 0, name))
    host, port = name[:2]
    alike = [each for each in listens if not each.path and each.port in (port, 0)]
    alike.sort(key=lambda each: (each.port != port, each.host != host))
    return replace(alike[0], host=host, port=port) if alike else Listen(host, port)


def tune(listening: socket.socket) -> None:
    """Options that accepted connections inherit: little unsent data in the kernel, and probes that find dead peers.

    Without the first, a client that asks for large files and does not read them fills megabytes of kernel memory a connection
    before we notice.
    """
    if listening.family == socket.AF_UNIX:
        return
    listening.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_AFTER_SECONDS)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_AFTER_SECONDS // 4)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


def raise_file_limit(wanted: int) -> int:
    """Let this process have `wanted` open files if the hard limit allows it; returns the limit in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft
