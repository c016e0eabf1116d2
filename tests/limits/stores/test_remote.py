"""A store elsewhere and requests under way: what it is told of them again, and what is given back where."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from proxyguard.core.build_info import BUILD_KIND
from proxyguard.core.settings import OnStoreDown
from proxyguard.limits.charge import Charge, Usage, held_key
from proxyguard.limits.limit import LEASE_SECONDS, Count, CountKind, Limit
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.mirror import StoreChange
from proxyguard.limits.stores.remote import Call, RemoteStore, Transport
from proxyguard.limits.stores.store import Outcome
from tests.contracts.remote_rig import started
from tests.guard.test_settling import OK, Desk, compiled
from tests.scenes import CLIENT, run, until

if BUILD_KIND == "compiled":
    pytest.skip("a compiled class has no interpreted subclass, such as a fake transport", allow_module_level=True)


class FakeTransport(Transport):
    """Permits everything at once; cannot be reached while it `fails`, and does not answer while it is `silent`."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.silent = False
        self.sent: list[Charge] = []

    async def connect(self) -> str:
        if self.fails:
            raise OSError("no")
        return "there"

    async def disconnect(self) -> None:
        pass

    def send_calls(self, calls: Sequence[Call]) -> None:
        for call in calls:
            self.sent += call.charges
            if not self.silent:
                usages = tuple(Usage(exceeded=False, remaining=1, retry_after_seconds=0.0) for _ in call.charges)
                self.store.on_outcome(Outcome(None, usages))

    def send_changes(self, changes: Sequence[StoreChange]) -> None:
        pass

    def send_sightings(self, message: bytes) -> None:
        pass


class LateTransport(FakeTransport):
    """Counts in the memory of its `server`, as the worker w1; while it is `silent`, the answers wait for `answer`."""

    def __init__(self) -> None:
        super().__init__()
        self.server = MemoryStore(keys=1000, bans=10)
        self._answers: list[Outcome] = []

    def send_calls(self, calls: Sequence[Call]) -> None:
        for call in calls:
            charges = [held_by(charge, "w1") for charge in call.charges]
            self._answers.append(self.server.charge(charges, call.ban_keys, call.now))
        if not self.silent:
            self.answer()

    def answer(self) -> None:
        """Give the answers that are due, the first asked first."""
        answers, self._answers = self._answers, []
        for outcome in answers:
            self.store.on_outcome(outcome)


def under_way(amount: int) -> Charge:
    """A request, where so many may be under way together."""
    limit = Limit(amount, LEASE_SECONDS, amount, CLIENT, count=Count(CountKind.CONCURRENT))
    return Charge("few!|a", limit, owner=("client:a", "network"))


def held_by(charge: Charge, worker: str) -> Charge:
    """As the store counts what a worker holds."""
    return Charge(held_key(charge.key, worker), charge.limit, charge.cost, charge.stops, charge.owed, charge.owner)


def over(charge: Charge) -> Charge:
    return charge.arisen(-1.0)


async def said(store: RemoteStore, charge: Charge) -> Outcome:
    outcome = store.charge([charge], (), store.clock())
    return outcome if isinstance(outcome, Outcome) else await outcome


def test_what_was_told_again_when_the_store_went_down_is_not_counted_here() -> None:
    async def scene() -> None:
        transport, one = FakeTransport(), under_way(3)
        async with started(transport) as (store, _):
            for _ in range(3):
                await said(store, one)
            transport.silent = transport.fails = True
            store._renew()  # as every ten seconds
            await asyncio.sleep(0)
            store.on_failure("gone")
            for _ in range(3):
                await said(store, over(one))
            assert len(store.held) == 0
            assert not (await said(store, one)).usages[0].exceeded

    run(scene())


def test_a_request_that_is_refused_after_it_was_told_again_holds_no_place() -> None:
    async def scene() -> None:
        transport, one = LateTransport(), under_way(1)
        async with started(transport) as (store, _):
            elsewhere, now = held_by(one, "w2"), store.clock()
            transport.server.charge([elsewhere], (), now)
            transport.silent = True
            refused = asyncio.ensure_future(said(store, one))
            await until(lambda: bool(store._waiting))
            store._renew()
            await until(lambda: len(store._waiting) == 2)
            transport.silent = False
            transport.answer()
            assert (await refused).usages[0].exceeded
            transport.server.charge([over(elsewhere)], (), now)
            assert not (await said(store, one)).usages[0].exceeded

    run(scene())


@pytest.mark.parametrize(("on_down", "mode"), [(OnStoreDown.OPEN, "enforce"), (OnStoreDown.CLOSED, "shadow")])
def test_what_nobody_counted_is_not_given_back_when_the_store_is_there_again(on_down: OnStoreDown, mode: str) -> None:
    rule = f"  - {{name: guess, limit: {{rate: 3/hour, count: {{status: 404}}}}, action: reject, mode: {mode}}}\n"

    async def scene() -> None:
        transport = FakeTransport(fails=True)
        async with started(transport, on_down=on_down) as (store, _):
            desk = Desk(compiled(rule), store)
            ticket = desk.check()
            transport.fails = False
            await until(lambda: store.fallback.up)
            desk.guard.settle(ticket, OK)
            await asyncio.sleep(0)
        assert transport.sent == []

    run(scene())
