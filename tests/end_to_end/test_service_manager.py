"""What systemd hears of a real process, with one worker and with two: that it serves, lives and drains; of no other process."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.end_to_end.processes import proxyguard


@pytest.mark.parametrize("workers", [1, 2])
def test_it_says_when_it_serves_lives_and_drains(workers: int, tmp_path: Path, upstream: str) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        given = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        settings = f"mode: shadow\nworkers: {workers}\n"
        with proxyguard(tmp_path / "guard", upstream, settings=settings, environment=given) as running:
            assert manager.recv(200) == b"READY=1\nSTATUS=serving"
            assert running.get("/", headers={"User-Agent": "GPTBot"}).status_code == 200
            assert {manager.recv(200) for _ in range(3)} == {b"WATCHDOG=1"}
            for child in running.family():
                assert b"NOTIFY_SOCKET" not in Path(f"/proc/{child}/environ").read_bytes() or child == running.process.pid
            assert "everything: mode is shadow" in running.said()
        said = _all_that_waits(manager)
        assert [each for each in said if each != b"WATCHDOG=1"] == [b"STOPPING=1\nSTATUS=draining: requests under way may finish"]


def _all_that_waits(manager: socket.socket) -> list[bytes]:
    manager.settimeout(0)
    found = []
    while True:
        try:
            found.append(manager.recv(200))
        except BlockingIOError:
            return found
