"""Reads a rules directory and runs the tests in its files. Reports what `proxyguard check` would."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proxyguard.core.preset import DEFAULT_PRESET, RulesPreset
from proxyguard.core.problems import Problem, format_report
from proxyguard.policy.error import PolicyError
from proxyguard.policy.load import NOTHING, load_policy
from proxyguard.policy.model import Policy
from proxyguard.policy.parse.kept_lists import KeptLists
from proxyguard.policy.testing.runner import run_tests


class RulesRejected(Exception):
    """The rules cannot be put in force. `report` has every problem, in file order. Whose fault: whoever edited the rules."""

    def __init__(self, problems: tuple[Problem, ...], files: tuple[Path, ...] = ()) -> None:
        super().__init__(format_report(problems))
        self.problems = problems
        self.files = files
        """The files that were read or asked for: a change of one of them is a reason to try again."""

    @classmethod
    def because(cls, rules: Path, fault: str) -> RulesRejected:
        """For one fault that no file in particular has."""
        return cls((Problem(str(rules), 0, 0, fault),))

    @property
    def report(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """A policy that was read without a problem and passes its own tests, and the files it came from.

    `stale` says what is wrong with lists that are in it with their content of before.
    """

    policy: Policy
    files: tuple[Path, ...]
    stale: tuple[Problem, ...] = ()


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
