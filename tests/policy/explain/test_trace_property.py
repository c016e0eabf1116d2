"""The trace decides as the compiled engine does, and counts the same, for random policies and runs of requests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyguard.core.decision import Decision, Mode
from proxyguard.core.request import Request
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.explain.trace import trace
from proxyguard.policy.model import Policy
from tests.examples import examples
from tests.policies import modes, policies, requests


def served(policy: CompiledPolicy, request: Request, now: float, store: MemoryStore) -> Decision:
    """What the guard does with one request."""
    found = match(policy, request, now)
    if found.decision is not None:
        return found.decision
    ruling = decide(found, store.charge(found.charges, found.ban_keys, now))
    if ruling.ban is not None:
        order = ruling.ban
        store.ban(order.key, order.rule, order.reason, order.terms, now)
    return ruling.decision


@pytest.mark.slow
@settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(policies(), modes, st.lists(st.tuples(requests(), st.integers(1, 3)), min_size=1, max_size=4))
def test_a_trace_decides_as_the_engine(policy: Policy, mode: Mode, run: list[tuple[Request, int]]) -> None:
    compiled = compile_policy(policy, mode=mode, secret=b"secret")
    stores = MemoryStore(keys=1000, bans=1000), MemoryStore(keys=1000, bans=1000)
    now = 0.0
    for request, times in run:
        for _ in range(times):
            traced = trace(policy, request, now, stores[0], mode=mode, secret=b"secret")
            assert traced.decision == served(compiled, request, now, stores[1])
            fields = traced.as_dict()
            assert (fields["action"], fields["rule"]) == (traced.decision.name, traced.decision.rule)
            assert traced.as_text().count("\n") >= len(traced.looked)
            now += 2.0
    assert sorted(map(repr, stores[0].bans(now))) == sorted(map(repr, stores[1].bans(now)))
