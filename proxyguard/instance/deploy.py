"""From a rules directory to the policies in force: read, test, compile the new whole; notice when its files change.

Swapping it in is the worker's one assignment; on any error the last good policy stays. Knows nothing of requests. What it
reports is what `proxyguard check` would say.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from proxyguard.core.decision import Ban, Mode
from proxyguard.core.problems import Problem, format_report
from proxyguard.core.settings import Settings
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.compile.cooperative import YieldControl, never_yield
from proxyguard.policy.error import PolicyError
from proxyguard.policy.given import GIVEN_NAME
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Policy, Restriction, rules_by_mode
from proxyguard.policy.sites import HostTable, Policies
from proxyguard.policy.testing.runner import run_tests


class RulesRejected(Exception):
    """The rules cannot be put in force. `report` has every problem, in file order. Whose fault: whoever edited the rules."""

    def __init__(self, problems: tuple[Problem, ...], files: tuple[Path, ...] = ()) -> None:
        super().__init__(format_report(problems))
        self.problems = problems
        self.files = files
        """The files that were asked for: when one of them changes, another try may go better."""

    @classmethod
    def because(cls, rules: Path, fault: str) -> RulesRejected:
        """For one fault that is of no file in particular."""
        return cls((Problem(str(rules), 0, 0, fault),))

    @property
    def report(self) -> str:
        return str(self)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A policy that was read without a problem and whose own tests hold, and the files it came from."""

    policy: Policy
    files: tuple[Path, ...]


class InForce(NamedTuple):
    """What is known of rules that were put in force: their digest, their files, and the mode that each rule really has.

    `shadowed` has a number for what each rule in shadow looks at and would do; another number means another rule. `given` are the
    restrictions among them that commands gave; `banned_by` says what rules ban by, as the keys of their bans begin.
    """

    digest: str
    files: tuple[Path, ...]
    modes: Mapping[str, Mode]
    shadowed: Mapping[str, int]
    restrictions: tuple[Restriction, ...] = ()
    classes: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()
    banned_by: frozenset[str] = frozenset()

    @classmethod
    def of(cls, loaded: Loaded, mode: Mode) -> InForce:
        """What to say of a policy in a process of this mode."""
        policy = loaded.policy
        modes: dict[str, Mode] = {}
        shadowed: dict[str, int] = {}
        banned_by: set[str] = set()
        for rule, own in rules_by_mode(policy, mode):
            modes[rule.name] = own
            if own is Mode.SHADOW:
                shadowed[rule.name] = hash((rule.when, rule.limit, rule.action))
            if own is Mode.ENFORCE and isinstance(rule.action, Ban) and rule.limit is not None:
                banned_by.add("+".join(str(part) for part in rule.limit.per))
        return cls(
            policy.digest,
            loaded.files,
            modes,
            shadowed,
            policy.restrictions,
            policy.classes,
            frozenset(each.name for one in policy.rule_sets if one.name == GIVEN_NAME for each in one.restrictions),
            frozenset(banned_by),
        )

    def rule_counts(self) -> dict[str, int]:
        """How many rules are in force in which mode."""
        counted = Counter(self.modes.values())
        return {mode.value: counted[mode] for mode in Mode}


def load_tested(rules: Path) -> Loaded:
    """Read a rules directory and run the tests in its files. Raises RulesRejected."""
    loaded = load_policy(rules)
    if loaded.policy is None or loaded.problems:
        raise RulesRejected(loaded.problems, loaded.files)
    try:
        failures = run_tests(loaded.policy)
    except PolicyError as error:
        raise RulesRejected((Problem(str(rules), 0, 0, str(error)),), loaded.files) from error
    if failures:
        raise RulesRejected(tuple(failure.problem for failure in failures), loaded.files)
    return Loaded(loaded.policy, loaded.files)


def compile_sites(
    policy: Policy, settings: Settings, secret: bytes, yield_control: YieldControl = never_yield
) -> Policies:
    """One compiled policy per distinct choice of rule sets. Raises RulesRejected when a site names one that is not there.

    `yield_control` is called between short steps, for a thread beside a serving loop.
    """
    everywhere = {rule_set.name for rule_set in policy.rule_sets if rule_set.common or rule_set.name == GIVEN_NAME}
    known = {rule_set.name for rule_set in policy.rule_sets} - everywhere
    compiled: dict[tuple[str, ...] | None, CompiledPolicy] = {}

    def compiled_for(names: tuple[str, ...] | None) -> CompiledPolicy:
        if names not in compiled:
            chosen = tuple(r for r in policy.rule_sets if names is None or r.name in everywhere or r.name in names)
            try:
                compiled[names] = compile_policy(
                    Policy(chosen, policy.digest),
                    mode=settings.mode,
                    secret=secret,
                    prefixes=settings.counting.prefixes,
                    yield_control=yield_control,
                )
            except PolicyError as error:
                raise RulesRejected((Problem(str(settings.rules), 0, 0, str(error)),)) from error
        return compiled[names]

    entries: list[tuple[str, CompiledPolicy]] = []
    for site in settings.sites:
        for name in site.rule_sets or ():
            if name not in known:
                hint = f"rule sets in {settings.rules}: {', '.join(sorted(known)) or 'none'}"
                message = f"site {site.hosts[0]}: there is no rule set {name!r}"
                raise RulesRejected((Problem("proxyguard.yaml", 0, 0, message, hint),))
        entries += [(host, compiled_for(site.rule_sets)) for host in site.hosts]
    return Policies(policy.digest, HostTable(entries), compiled_for(None))


type Signature = tuple[tuple[str, int, int, int], ...]
"""Path, inode, modification time and size of every file that the rules depend on."""


def signature_of_load(before: Signature, after: Signature, started_ns: int) -> Signature:
    """What a load that began at `started_ns` (Unix nanoseconds) is known to have read, from looks before and after it.

    A file that changed meanwhile keeps its look of before, and one that only the load found counts as unseen when it is
    younger than the load: both are then read again.
    """
    known = {facts[0]: facts for facts in before}
    return tuple(known.get(facts[0]) or (facts if facts[2] < started_ns else (facts[0], 0, 0, 0)) for facts in after)


def signature(rules: Path, files: Iterable[Path]) -> Signature:
    """What changes when an editor saves, git checks out, or a ConfigMap's symlink swaps: compare two of these."""
    watched = {os.fspath(path) for path in files}
    watched.add(os.fspath(rules))
    for folder, folders, names in os.walk(rules, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        watched.update(os.path.join(folder, name) for name in names if name.endswith((".yaml", ".yml")))  # noqa: PTH118 - ten times the speed of Path, once a second
        watched.update(os.path.join(folder, name) for name in folders)  # noqa: PTH118 - as above
    found = []
    for path in sorted(watched):
        try:
            facts = os.stat(path)  # noqa: PTH116 - as above
        except OSError:
            found.append((path, 0, 0, 0))
        else:
            found.append((path, facts.st_ino, facts.st_mtime_ns, facts.st_size))
    return tuple(found)
