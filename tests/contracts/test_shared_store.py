"""The contract of all stores, kept by the store that the workers of a machine share, over its real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import uvloop

from proxyguard.limits.memory import MemoryStore
from proxyguard.limits.shared import SharedStore
from proxyguard.limits.shared_server import SharedStoreServer
from proxyguard.limits.store import BanRecord, BanTerms, Charge, Outcome
from proxyguard.settings import Counting
from tests.contracts.store_contract import FIVE_A_MINUTE, START, Driver, over_all_cases

COUNTING = Counting(keys=1000, bans=100)


class SharedDriver:
    """Two workers; calls go to them in turn, so that each case also shows that they are one."""

    def __init__(self, path: Path, runner: asyncio.Runner) -> None:
        self.now = START
        self.run = runner.run
        self.server = SharedStoreServer(path, MemoryStore(keys=1000, bans=100), clock=lambda: self.now)
        self.workers = [
            SharedStore(path, COUNTING, timeout_seconds=2.0, on_state=lambda *_: None, clock=lambda: self.now)
            for _ in range(2)
        ]
        self.run(self.start())

    async def start(self) -> None:
        await self.server.start()
        for worker in self.workers:
            await worker.start()

    async def stop(self) -> None:
        for worker in self.workers:
            assert worker.fallback.answers == 0
            await worker.stop()
        await self.server.stop()

    def next_worker(self, now: float) -> SharedStore:
        self.now = now
        self.workers.reverse()
        return self.workers[0]

    async def settled(self) -> None:
        """All workers know what the server knows: two round trips on each connection are behind the news."""
        for _ in range(2):
            for worker in self.workers:
                await asyncio.wait_for(asked(worker), 5.0)

    def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str] = (), now: float = START) -> Outcome:
        async def ask() -> Outcome:
            outcome = self.next_worker(now).charge(charges, ban_keys, now)
            return outcome if isinstance(outcome, Outcome) else await outcome

        return self.run(ask())

    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float = START) -> BanRecord:
        async def ask() -> BanRecord:
            record = self.next_worker(now).ban(key, rule, reason, terms, now)
            await self.settled()
            return record

        return self.run(ask())

    def unban(self, key: str, now: float = START) -> bool:
        async def ask() -> bool:
            worker = self.next_worker(now)
            worker.charge((), (), now)
            lifted = worker.unban(key)
            await self.settled()
            return lifted

        return self.run(ask())

    def bans(self, now: float = START) -> list[BanRecord]:
        seen = [list(worker.bans(now)) for worker in self.workers]
        assert seen[0] == seen[1] == list(self.server.store.bans(now))
        return seen[0]


async def asked(worker: SharedStore) -> None:
    outcome = worker.charge([Charge("settled|", FIVE_A_MINUTE, 0.0)], (), START)
    assert not isinstance(outcome, Outcome)
    await outcome


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def driver(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SharedDriver]:
    with asyncio.Runner(loop_factory=request.param) as runner:
        driver = SharedDriver(tmp_path / "store.sock", runner)
        yield driver
        runner.run(driver.stop())


@over_all_cases
def test_shared_store_keeps_the_contract(case: Callable[[Driver], None], driver: SharedDriver) -> None:
    case(driver)
