"""Scenarios that take a second: the cohorts of the range in small numbers, over an hour or two."""

from __future__ import annotations

from pathlib import Path

from proxyguard.cli.range_guard import GuardFirewall
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Policy
from proxyguard.tools.range.scenarios import Gate, Scenario
from proxyguard.tools.range.values import Cohort, Presence
from tests.paths import BUNDLED_RULES

NINE, TEN = 9 * 3_600.0, 10 * 3_600.0
HERE = Path(__file__).parent


def policy(directory: Path = BUNDLED_RULES) -> Policy:
    loaded = load_policy(directory)
    assert loaded.policy is not None, loaded.problems
    return loaded.policy


def firewall(directory: Path = BUNDLED_RULES) -> GuardFirewall:
    return GuardFirewall(policy(directory))


def scenario(*cohorts: Cohort, size: float = 0.02, begin: float = NINE, end: float = TEN) -> Scenario:
    return Scenario("small", "a test", tuple((cohort, Presence(begin, end, size)) for cohort in cohorts), end, gate=Gate())
