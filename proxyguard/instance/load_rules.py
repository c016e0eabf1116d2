"""Reads a rules directory and runs the tests in its files. Reports what `proxyguard check` would."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from proxyguard.core.preset import DEFAULT_PRESET, RulesPreset
from proxyguard.core.problems import Problem
from proxyguard.instance.loaded_rules import LoadedRules, RulesRejected
from proxyguard.policy.error import PolicyError
from proxyguard.policy.load import NOTHING, load_policy
from proxyguard.policy.parse.kept_lists import KeptLists
from proxyguard.policy.testing.runner import run_tests


def load_tested(
    rules: Path, kept: KeptLists | None = None, *, instead: Mapping[Path, bytes] = NOTHING, preset: RulesPreset = DEFAULT_PRESET
) -> LoadedRules:
    """Read a rules directory and run the tests in its files. Raises RulesRejected.

    `kept` has what lists held before; `instead` is what some files would hold.
    """
    loaded = load_policy(rules, kept, instead=instead, preset=preset)
    if loaded.policy is None or loaded.problems:
        raise RulesRejected(loaded.problems, loaded.files)
    try:
        failures = run_tests(loaded.policy)
    except PolicyError as error:
        raise RulesRejected((Problem(str(rules), 0, 0, str(error)),), loaded.files) from error
    if failures:
        raise RulesRejected(tuple(failure.problem for failure in failures), loaded.files)
    return LoadedRules(loaded.policy, loaded.files, loaded.stale)
