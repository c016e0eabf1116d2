"""The compiled engine decides as the plain one does, for random policies and runs of requests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyguard.core.decision import Decision, Mode
from proxyguard.core.request import Request
from proxyguard.limits.stores.store import BanRecord
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.engine import NO_RESPONSE, decide, due, match, owed
from proxyguard.policy.model import Policy
from tests.examples import examples
from tests.naive import TallyStore, naive
from tests.policies import modes, policies, requests

responses = st.tuples(st.sampled_from([200, 404, 503]), st.sampled_from([0, 1, 5]), st.sampled_from([0.0, 0.5, 3.0]))
"""Status, bytes and seconds."""


def compiled_decision(
    policy: CompiledPolicy, request: Request, now: float, store: TallyStore, response: tuple[int, int, float] | None = None
) -> Decision:
    found = match(policy, request, now)
    if found.decision is not None:
        assert found.charges == ()
        assert found.ban_keys == ()
        return found.decision
    outcome = store.charge(found.charges, found.ban_keys, now)
    ruling = decide(found, outcome)
    if ruling.ban is not None:
        assert policy.mode is Mode.ENFORCE
        assert ruling.decision.banned
        order = ruling.ban
        until = now + order.terms.for_seconds
        store.ban(order.key, BanRecord(order.key, now, until, order.rule, order.reason, order.terms.then), until)
    if response is not None:
        counted = response if ruling.decision.forwards else NO_RESPONSE
        store.charge(owed(due(found, outcome, ruling.decision), *counted, since=now, now=now), (), now)
    return ruling.decision


@pytest.mark.thorough
@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(policies(), modes, st.lists(st.tuples(requests(), st.integers(1, 3), responses), min_size=1, max_size=6))
def test_the_compiled_engine_decides_as_the_naive_one(
    policy: Policy, mode: Mode, run: list[tuple[Request, int, tuple[int, int, float]]]
) -> None:
    compiled = compile_policy(policy, mode=mode, secret=b"secret")
    stores = TallyStore(), TallyStore()
    now = 0.0
    for request, times, response in run:
        for _ in range(times):
            expected = naive(policy, mode, request, now, stores[0], response)
            assert compiled_decision(compiled, request, now, stores[1], response) == expected
            now += 2.0
    assert sorted(stores[0].used.values()) == sorted(stores[1].used.values())
    assert len(stores[0].banned) == len(stores[1].banned)
