"""Rules that were read and tested, or why they were not. Values alone: a worker gets them, and reads no rules itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from proxyguard.core.problems import Problem, format_report
from proxyguard.policy.model import Policy


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
