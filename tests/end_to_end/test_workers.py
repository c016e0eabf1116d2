"""Several worker processes behind one port: limits count as one, and the death of one is no news to the clients of others."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.end_to_end.processes import Proxyguard, proxyguard, wait_until

FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0"}


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Proxyguard]:
    """proxyguard with three workers."""
    with proxyguard(tmp_path_factory.mktemp("guard"), upstream, settings="workers: 3\n") as running:
        yield running


def test_a_limit_is_as_exact_as_with_one_worker(guard: Proxyguard) -> None:
    """Each request on a connection of its own, so that all workers get some."""
    form = {"email": "ada@example.net", "password": "x"}
    headers = FIREFOX | {"Connection": "close"}
    passed = 0
    for _ in range(12):
        with guard.ask("POST", "/login", data=form, headers=headers) as answer:
            passed += answer.status_code == 401
    assert passed == 10


@pytest.mark.alone
def test_a_killed_worker_is_replaced_and_others_go_on(guard: Proxyguard) -> None:
    workers = _workers(guard)
    assert len(workers) == 3
    counted = _requests(guard)
    with guard.get("/events?interval=0.05", headers=FIREFOX, stream=True) as stream:
        lines = stream.iter_lines()
        assert next(lines) == b"data: 1"
        victim = next(pid for pid in workers if not _serves(pid, guard.port))
        os.kill(victim, signal.SIGKILL)

        def good_in_a_row() -> bool:
            try:
                return all(
                    guard.get("/profiles/1", headers=FIREFOX | {"Connection": "close"}, timeout=2).status_code == 200
                    for _ in range(10)
                )
            except requests.RequestException:
                return False

        wait_until(good_in_a_row, "service as before")
        assert any(next(lines).startswith(b"data: ") for _ in range(4))
    wait_until(lambda: len(_workers(guard)) == 3, "three workers")
    assert _requests(guard) >= counted  # a fall would look like a restart of the instance


def test_recycled_workers_leave_all_that_they_counted(upstream: str, folder: Path) -> None:
    """Also what they counted while they drained: a stream is counted when it ends."""
    with proxyguard(folder, upstream, settings="workers: 2\nrecycle: {memory: 64MiB}\n") as guard:
        first = _workers(guard)
        asked = 0
        with guard.get("/events?interval=0.05", headers=FIREFOX, stream=True) as stream:
            while len(_workers(guard) - first) < 2:
                assert guard.get("/profiles/1", headers=FIREFOX | {"Connection": "close"}).status_code == 200
                asked += 1
            assert _workers(guard) & first  # the one with the stream
            assert next(stream.iter_lines()) == b"data: 1"
        wait_until(lambda: not _workers(guard) & first, "the end of the first workers")
        wait_until(lambda: _requests(guard) == asked + 1, f"{asked + 1} requests in the sum")
        assert f'proxyguard_responses_total{{status="200"}} {asked + 1:.1f}' in guard.admin("/metrics")


def _workers(guard: Proxyguard) -> set[int]:
    return {pid for pid in guard.family()[1:] if b"worker_main" in _command_line(pid)}


def _requests(guard: Proxyguard) -> float:
    [line] = [line for line in guard.admin("/metrics").splitlines() if line.startswith("proxyguard_requests_total ")]
    return float(line.split()[1])


def _command_line(pid: int) -> bytes:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 - it may be gone between two looks
            return file.read()
    except OSError:
        return b""


def _serves(pid: int, port: int) -> bool:
    """Whether a process holds an established connection on a port of ours."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            link = str(entry.readlink())
        except FileNotFoundError:  # closed between two looks
            continue
        if link.startswith("socket:["):
            inodes.add(link[8:-1])
    with open(f"/proc/{pid}/net/tcp", encoding="ascii") as table:  # noqa: PTH123 - a table of the kernel, not a file
        for row in list(table)[1:]:
            fields = row.split()
            if fields[1].endswith(f":{port:04X}") and fields[3] == "01" and fields[9] in inodes:
                return True
    return False
