"""Refusals through the guard: what is charged, on a store of several workers too, and never while nothing acts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from proxyguard.guard.guard import Guard
from proxyguard.guard.interfaces import Ticket
from proxyguard.limits.charge import Charge
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.shared import SharedTransport
from proxyguard.limits.stores.shared_server import SharedStoreServer
from proxyguard.limits.stores.store import AsyncStore, Outcome, StoreUnavailable
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.load import load_policy
from proxyguard.policy.sites import HostTable, Policies
from proxyguard.telemetry.metrics import Metrics
from tests.build import request
from tests.contracts.remote_rig import started
from tests.guard.test_settling import Desk
from tests.late_store import LateStore
from tests.scenes import run

RULES = """name: a
rules:
  - {name: banned, when: {refused: {at_least: 20, within: 10m}}, action: {ban: {for: 10m}}}
  - {name: pages, limit: {rate: 10/minute}, action: reject}
"""


def desk(folder: Path, store: AsyncStore | None = None) -> Desk:
    (folder / "a.yaml").write_text(RULES)
    policy = load_policy(folder).policy
    assert policy is not None
    return Desk(compile_policy(policy, secret=b"test"), store)


def test_who_goes_on_asking_is_banned(tmp_path: Path) -> None:
    one = desk(tmp_path)
    found = [one.serve() for _ in range(35)]
    assert found == ["pass by default"] * 10 + ["reject by pages"] * 20 + ["ban by banned"] * 5
    assert one.serve(address="192.0.2.2") == "pass by default"


def test_nothing_is_counted_while_nothing_acts(tmp_path: Path) -> None:
    one = desk(tmp_path)
    one.guard.restrictions.shadow_until = one.now + 60
    assert {one.serve().partition(" by ")[0] for _ in range(100)} == {"pass"}
    one.now += 61
    assert one.serve() == "pass by default"


def test_a_store_that_cannot_be_reached_fails_no_request(tmp_path: Path) -> None:
    class Gone(LateStore):
        def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str], now: float) -> Outcome:
            if any(charge.owed for charge in charges):
                raise StoreUnavailable
            return self.kept.charge(charges, ban_keys, now)

    one = desk(tmp_path, Gone())
    assert [one.serve() for _ in range(12)] == ["pass by default"] * 10 + ["reject by pages"] * 2
    assert not one.metrics.internal_errors


def test_the_refusals_of_all_workers_add_up(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "a.yaml").write_text(RULES)
    policy = load_policy(tmp_path / "rules").policy
    assert policy is not None
    compiled = compile_policy(policy, secret=b"test")

    async def scene() -> None:
        server = SharedStoreServer(tmp_path / "s", MemoryStore())
        await server.start()
        async with (
            started(SharedTransport(tmp_path / "s")) as (first, _),
            started(SharedTransport(tmp_path / "s")) as (second, _),
        ):
            guards = [Guard(Policies("", HostTable([]), compiled), each, Metrics(), None) for each in (first, second)]
            found = []
            for number in range(34):
                ticket = guards[number % 2].check(request())
                found.append((ticket if isinstance(ticket, Ticket) else await ticket).decision.rule)
                await asyncio.sleep(0)
            assert found == ["default"] * 10 + ["pages"] * 20 + ["banned"] * 4
        await server.stop()

    run(scene())


def test_a_store_that_answers_late_is_charged_too(tmp_path: Path) -> None:
    async def scene() -> None:
        one = desk(tmp_path, LateStore())
        found = []
        for _ in range(32):
            ticket = one.guard.check(request())
            found.append((ticket if isinstance(ticket, Ticket) else await ticket).decision.rule)
            await asyncio.sleep(0.002)
        assert found == ["default"] * 10 + ["pages"] * 20 + ["banned"] * 2

    run(scene())
