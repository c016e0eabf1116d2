"""What a client has not taken of a response comes back whole and in order, within every bound, whatever the disk does."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from proxyguard.adapters.mitmproxy.buffering.budget import Budget
from proxyguard.adapters.mitmproxy.buffering.buffers import Buffers
from proxyguard.adapters.mitmproxy.buffering.response_spool import ResponseSpool
from proxyguard.adapters.mitmproxy.buffering.spool_file import BLOCK_BYTES, REST_SECONDS, SpoolFile
from proxyguard.core.settings import BufferBudget, Buffering

NETWORK = "192.0.2.7"


class Rig:
    """Buffers with a clock that stands still."""

    def __init__(self, folder: Path, **budget: int) -> None:
        self.now = 100.0
        self.bounds: Counter[str] = Counter()
        sizes = {"memory_bytes": 1 << 20, "memory_per_network_bytes": 1 << 20, "disk_bytes": 1 << 22}
        chosen = BufferBudget(**(sizes | {"disk_per_network_bytes": 1 << 22} | budget), directory=folder)
        self.buffers = Buffers(chosen, lambda: self.now, self._count)

    def _count(self, bound: str) -> None:
        self.bounds[bound] += 1

    def spool(self, buffering: Buffering | None = None, network: str = NETWORK) -> ResponseSpool:
        return ResponseSpool(self.buffers, buffering or Buffering(response_bytes=100_000, file_bytes=1 << 21), network)

    @property
    def used(self) -> tuple[int, int]:
        return self.buffers.memory.used, self.buffers.disk.used


def is_full(spool: ResponseSpool) -> bool:
    """As it is now: a type checker believes that it cannot have changed."""
    return spool.is_full


def drained(spool: ResponseSpool) -> bytes:
    got = b""
    while not spool.is_empty:
        got += spool.take()
    return got


@pytest.mark.parametrize("seed", range(20))
def test_what_goes_in_comes_out_in_order(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    rig = Rig(tmp_path)
    spool = rig.spool()
    wanted = got = b""
    for _ in range(300):
        if chance.random() < 0.55 and not spool.is_full:
            piece = chance.randbytes(chance.choice([1, 100, 5000, 65_536]))
            wanted += piece
            spool.add(piece)
        elif not spool.is_empty:
            got += spool.take()
    assert got + drained(spool) == wanted
    assert rig.used == (0, 0)
    assert rig.bounds == {}


def test_small_bodies_need_no_file(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "missing")
    spool = rig.spool()
    spool.add(b"z" * 100_000)
    assert rig.used == (100_000, 0)
    assert drained(spool) == b"z" * 100_000
    assert (spool.is_full, rig.bounds) == (False, {})


def test_a_response_is_full_at_its_bound_and_goes_on_when_some_was_taken(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    spool = rig.spool(Buffering(response_bytes=BLOCK_BYTES, file_bytes=2 * BLOCK_BYTES))
    added = 0
    while not is_full(spool):
        spool.add(b"z" * 10_000)
        added += 10_000
    assert added <= 4 * BLOCK_BYTES + 20_000
    assert rig.used[1] == 2 * BLOCK_BYTES
    spool.take()
    spool.take()
    assert not is_full(spool)
    spool.close()
    assert rig.used == (0, 0)


def test_one_network_does_not_use_up_the_disk_of_others(tmp_path: Path) -> None:
    rig = Rig(tmp_path, disk_bytes=4 * BLOCK_BYTES, disk_per_network_bytes=3 * BLOCK_BYTES)
    greedy, other = rig.spool(Buffering(response_bytes=0)), rig.spool(Buffering(response_bytes=0), "198.51.100.1")
    while not greedy.is_full:
        greedy.add(b"z" * BLOCK_BYTES)
    assert rig.used[1] == 3 * BLOCK_BYTES
    other.add(b"z" * BLOCK_BYTES)
    assert not other.is_full
    other.close()
    greedy.close()
    assert rig.used == (0, 0)


def test_a_file_gives_its_room_back_with_the_last_block(tmp_path: Path) -> None:
    bounds: list[str] = []
    file = SpoolFile(tmp_path, 10 * BLOCK_BYTES, lambda: 0.0, bounds.append)
    numbers = [file.write(bytes([n]) * 100) for n in range(10)]
    assert numbers == list(range(10))
    assert file.write(b"one too many") == -1
    file.release(3)
    assert file.write(b"again" * 20) == 3
    assert file.read(3, 100) == b"again" * 20
    for number in range(10):
        file.release(number)
    assert os.fstat(file._fd).st_size == 0
    assert list(tmp_path.iterdir()) == []
    file.close()
    assert bounds == []


def test_a_disk_that_fails_is_left_alone_for_a_while(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "missing")
    spool = rig.spool(Buffering(response_bytes=0))
    spool.add(b"a" * BLOCK_BYTES)
    assert is_full(spool)
    spool.add(b"b" * BLOCK_BYTES)
    assert rig.bounds == {"spool_failed": 1}
    (tmp_path / "missing").mkdir()
    rig.now += REST_SECONDS
    assert drained(spool) == b"a" * BLOCK_BYTES + b"b" * BLOCK_BYTES
    spool.add(b"c" * BLOCK_BYTES)
    assert not is_full(spool)
    spool.close()
    assert rig.used == (0, 0)


def test_a_full_disk_refuses_blocks_and_loses_none() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    rig = Rig(Path("/tmp"))
    rig.buffers.file._fd = os.open(full, os.O_RDWR)
    spool = rig.spool(Buffering(response_bytes=0))
    rig.buffers.file._blocks = 1  # the room on it is not looked at
    spool.add(b"a" * BLOCK_BYTES + b"b")
    assert (spool.is_full, rig.bounds["spool_failed"] > 0) == (True, True)
    assert drained(spool) == b"a" * BLOCK_BYTES + b"b"
    rig.buffers.file.close()


def test_a_slow_disk_is_left_alone_for_a_while(tmp_path: Path) -> None:
    ticks = iter([0.0, 2.0, 3.0, 20.0, 20.0])
    bounds: list[str] = []
    file = SpoolFile(tmp_path, 10 * BLOCK_BYTES, lambda: next(ticks), bounds.append)
    assert [file.write(b"a"), file.write(b"b"), file.write(b"c")] == [0, -1, 1]
    assert bounds == ["spool_slow"]
    file.close()


def test_budgets_bound_a_network_and_all_together() -> None:
    budget = Budget(100, 60)
    assert (budget.take("a", 60), budget.take("a", 1)) == (True, False)
    assert (budget.take("b", 41), budget.take("b", 40)) == (False, True)
    budget.give("a", 60)
    budget.give("a", 0)
    assert (budget.used, budget.take("a", 60)) == (40, True)
