"""The listening sockets of several workers: the same addresses for all, or none."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from proxyguard.core.settings import Listen, Settings
from proxyguard.instance.shared_port import bind


def settings(host: str, port: int = 0, workers: int = 3) -> Settings:
    return replace(Settings(), listen=(Listen(host, port),), workers=workers)


def test_every_worker_listens_on_the_same_port() -> None:
    bound = bind(settings("127.0.0.1"))
    try:
        names = [[each.getsockname() for each in sockets] for sockets in bound]
        assert len(names) == 3
        assert names == [names[0]] * 3
        assert names[0][0][1] > 0
        socket.create_connection(names[0][0], timeout=20).close()
    finally:
        for each in (each for sockets in bound for each in sockets):
            each.close()


def test_every_worker_listens_on_all_addresses_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", 0)) for last in (1, 2)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    bound = bind(settings("both.example", workers=2))
    try:
        names = [[each.getsockname() for each in sockets] for sockets in bound]
        port = names[0][0][1]
        assert names == [[("127.0.0.1", port), ("127.0.0.2", port)]] * 2
    finally:
        for each in (each for sockets in bound for each in sockets):
            each.close()


def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"^listen: cannot bind 127.0.0.1:{port}: Address already in use$"):
            bind(settings("127.0.0.1", port))
