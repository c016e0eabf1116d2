"""The contract of all stores, kept by two instances on one real Valkey or Redis server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from proxyguard.core.settings import Counting
from proxyguard.limits.stores.nodes import StoreUrl
from proxyguard.limits.stores.remote import RemoteStore
from proxyguard.limits.stores.valkey import ValkeyTransport
from tests.contracts.remote_driver import RemoteDriver
from tests.contracts.servers import command, valkey
from tests.contracts.store_contract import Driver, over_all_cases

COUNTING = Counting(keys=1000, bans=100)


class ValkeyDriver(RemoteDriver):
    def __init__(self, path: Path, runner: asyncio.Runner) -> None:
        super().__init__(runner)
        url = StoreUrl.parse(f"unix://{path}")
        self.transports = [ValkeyTransport(url, server_clock=False) for _ in range(2)]
        self.stores = [
            RemoteStore(transport, COUNTING, timeout_seconds=2.0, clock=lambda: self.now) for transport in self.transports
        ]
        self.run(self.start())

    async def settle(self, store: RemoteStore) -> None:
        transport = next(each for each in self.transports if each.store is store)
        assert transport._connection is not None
        await transport._catch_up(transport._connection)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("valkey") / "s"
    with valkey(path):
        yield path


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def driver(server: Path, request: pytest.FixtureRequest) -> Iterator[ValkeyDriver]:
    command(server, "FLUSHALL")
    with asyncio.Runner(loop_factory=request.param) as runner:
        driver = ValkeyDriver(server, runner)
        yield driver
        runner.run(driver.stop())


@over_all_cases
def test_valkey_store_keeps_the_contract(case: Callable[[Driver], None], driver: ValkeyDriver) -> None:
    case(driver)
