"""What systemd is told, over a socket as it gives it; and that nothing else is disturbed by telling."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from proxyguard.instance.service_manager import ALIVE, READY, ServiceManager


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as bound:
        bound.bind(str(tmp_path / "notify"))
        bound.settimeout(5)
        yield bound


def test_what_is_told_arrives(inbox: socket.socket, tmp_path: Path) -> None:
    ServiceManager.of({"NOTIFY_SOCKET": str(tmp_path / "notify")}).notify(READY)
    assert inbox.recv(100) == b"READY=1\nSTATUS=serving"


def test_an_abstract_socket_is_written_with_an_at_sign() -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as bound:
        bound.bind(f"\0proxyguard-test-{os.getpid()}")
        bound.settimeout(5)
        ServiceManager.of({"NOTIFY_SOCKET": f"@proxyguard-test-{os.getpid()}"}).notify(READY)
        assert bound.recv(100) == READY


def test_the_names_are_taken_out_of_the_environment() -> None:
    environment = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    ServiceManager.of(environment)
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/notify", "/" + "x" * 200, "vsock:2:1", "/tmp/\0"])
def test_an_address_that_cannot_be_used_is_no_fault(address: str) -> None:
    ServiceManager.of({"NOTIFY_SOCKET": address}).notify(READY)


def test_a_full_socket_is_not_waited_for(inbox: socket.socket, tmp_path: Path) -> None:
    manager = ServiceManager(str(tmp_path / "notify"))
    for _ in range(2000):
        manager.notify(ALIVE)
    assert inbox.recv(100) == ALIVE


@pytest.mark.parametrize(
    ("wanted", "process", "signs"),
    [("20000", "", 3), ("20000", "own", 3), ("20000", "1", 0), ("0", "", 0), ("-1", "", 0), ("often", "", 0), ("", "", 0)],
)
def test_signs_of_life_are_given_to_a_watchdog_that_means_this_process(
    inbox: socket.socket, tmp_path: Path, wanted: str, process: str, signs: int
) -> None:
    given = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": wanted,
        "WATCHDOG_PID": str(os.getpid()) if process == "own" else process,
    }
    manager = ServiceManager.of(given)

    async def run() -> None:
        keeping = asyncio.create_task(manager.keep_alive())
        for _ in range(signs):
            assert await asyncio.to_thread(inbox.recv, 100) == ALIVE
        if not signs:
            await asyncio.wait_for(keeping, 5)
        keeping.cancel()

    asyncio.run(run())
