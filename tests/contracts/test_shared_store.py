"""The contract of all stores, kept by the store that the workers of a machine share, over its real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from proxyguard.core.settings import Counting
from proxyguard.limits.charge import Charge
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.remote import RemoteStore
from proxyguard.limits.stores.shared import SharedTransport
from proxyguard.limits.stores.shared_server import SharedStoreServer
from proxyguard.limits.stores.store import Outcome
from tests.contracts.remote_driver import RemoteDriver
from tests.contracts.store_contract import FIVE_A_MINUTE, START, Driver, over_all_cases

COUNTING = Counting(keys=1000, bans=100)


class SharedDriver(RemoteDriver):
    def __init__(self, path: Path, runner: asyncio.Runner) -> None:
        super().__init__(runner)
        self.server = SharedStoreServer(path, MemoryStore(keys=1000, bans=100), clock=lambda: self.now)
        self.stores = [
            RemoteStore(SharedTransport(path), COUNTING, timeout_seconds=2.0, clock=lambda: self.now) for _ in range(2)
        ]
        self.run(self.server.start())
        self.run(self.start())

    async def stop(self) -> None:
        await super().stop()
        await self.server.stop()

    async def settle(self, store: RemoteStore) -> None:
        """A round trip: what was written before it on the same connection has been heard."""
        outcome = store.charge([Charge("settled|", FIVE_A_MINUTE, 0.0)], (), START)
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
