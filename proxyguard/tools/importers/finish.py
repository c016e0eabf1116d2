"""Writes a draft as a rule file that loads and whose tests pass, alone and in the folder that it is meant for.

A rule that the rule language refuses is taken out with a note that says why. A test that fails is never taken out:
nothing is written then.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from proxyguard.core.decision import Mode
from proxyguard.core.problems import Problem
from proxyguard.policy.load import load_policy, rule_files
from proxyguard.policy.model import Policy, RuleSet
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.testing.runner import TestFailure
from proxyguard.tools.importers.browsers import keep_browsers
from proxyguard.tools.importers.draft import Draft, ImportFault
from proxyguard.tools.importers.proofs import failures_of, make_tests
from proxyguard.tools.importers.shorten import shorten
from proxyguard.tools.importers.yaml_text import rule_file

MAX_FAILURES_SHOWN: Final = 5


class Finished(NamedTuple):
    """A rule file, and the draft as it was written."""

    text: str
    draft: Draft


class Provenance(NamedTuple):
    """The source, the command and the mode, for the comment at the top of the file."""

    source: str
    command: str
    mode: Mode


def finish(draft: Draft, origin: Provenance, target: Path | None) -> Finished:
    """Write, load and test. `target` is the path that the file will have. Raises ImportFault."""
    if not draft.rules:
        raise ImportFault("nothing in it could be carried over" + "".join(f"\n  {note}" for note in draft.notes))
    keep_browsers(draft, _loaded(draft, origin))
    shorten(draft)
    make_tests(draft)
    rule_set = _loaded(draft, origin)
    _check(failures_of(Policy((rule_set,))))
    neighbours = _neighbours(draft, target)
    if neighbours is not None and target is not None:
        _check_others(draft, _in_order(neighbours, _at(rule_set, target)))
    draft.notes.sort(key=lambda note: (not note.is_warning, not note.line, note.file, note.line))
    return Finished(rule_file(draft, *origin), draft)


def _loaded(draft: Draft, origin: Provenance) -> RuleSet:
    """The rule set. Rules that the rule language refuses are taken out of the draft first. Raises ImportFault."""
    rule_set, problems = parse_rule_set(rule_file(draft, *origin))
    if rule_set is not None:
        return rule_set
    for rule in tuple(draft.rules):
        alone = replace(draft, rules=[rule], tests=[], notes=[])
        _, faults = parse_rule_set(rule_file(alone, *origin))
        if faults:
            draft.rules.remove(rule)
            draft.note(rule.line, f"{rule.name} was left out: {_format(faults[0])}")
            draft.tests = [test for test in draft.tests if test.rule != rule.name]
    rule_set, problems = parse_rule_set(rule_file(draft, *origin))
    if rule_set is None or not draft.rules:
        why = _format(problems[0]) if problems and draft.rules else "".join(f"\n  {note}" for note in draft.notes)
        raise ImportFault(f"nothing in it could be carried over: {why}")
    return rule_set


def _format(problem: Problem) -> str:
    return f"{problem.message} ({problem.hint})" if problem.hint else problem.message


def _check(failures: tuple[TestFailure, ...]) -> None:
    """Raises ImportFault when a test fails: a file with one would not load."""
    if failures:
        listed = "\n".join(f"  {failure.problem.message}: {failure.reason}" for failure in failures[:MAX_FAILURES_SHOWN])
        raise ImportFault(f"tests of the rules fail ({len(failures)}); nothing was written\n{listed}")


def _check_others(draft: Draft, together: Policy) -> None:
    """Raises ImportFault when a test of another file fails with these rules."""
    file = next(rule_set.file for rule_set in together.rule_sets if rule_set.name == draft.name)
    failures = failures_of(together)
    others = [failure for failure in failures if failure.place.file != file]
    if others:
        listed = "\n".join(str(failure.problem) for failure in others[:MAX_FAILURES_SHOWN])
        hint = "without --mode enforce the rules come in shadow, and stop nobody"
        raise ImportFault(
            f"with these rules, tests of other rule files fail ({len(others)}); nothing was written\n{listed}\n{hint}"
        )


def _neighbours(draft: Draft, target: Path | None) -> Policy | None:
    """The other rule files of the folder, if there are any. Raises ImportFault when names meet or the folder does not load."""
    if target is None:
        return None
    paths, _ = rule_files(target.parent)
    others = [path for path in paths if path.resolve() != target.resolve()]
    if not others:
        return None
    loaded = load_policy(target.parent)
    if loaded.policy is None:
        first = loaded.problems[0]
        raise ImportFault(f"the folder {target.parent} does not load: {first}\n  hint: proxyguard check {target.parent}")
    kept = tuple(rule_set for rule_set in loaded.policy.rule_sets if Path(rule_set.file).resolve() != target.resolve())
    taken = {rule_set.name for rule_set in kept} | {rule.name for rule_set in kept for rule in rule_set.rules}
    for name in (draft.name, *(rule.name for rule in draft.rules)):
        if name in taken:
            raise ImportFault(f"the name '{name}' is taken in {target.parent}\n  hint: choose another with --name")
    return replace(loaded.policy, rule_sets=kept)


def _at(rule_set: RuleSet, target: Path) -> RuleSet:
    """The rule set as if it had been read from `target`."""
    tests = tuple(
        replace(test, steps=tuple(step._replace(place=step.place._replace(file=str(target))) for step in test.steps))
        for test in rule_set.tests
    )
    return replace(rule_set, file=str(target), tests=tests)


def _in_order(neighbours: Policy, rule_set: RuleSet) -> Policy:
    common = tuple(each for each in neighbours.rule_sets if each.common)
    rest = [each for each in neighbours.rule_sets if not each.common]
    ordered = sorted([*rest, rule_set], key=lambda each: each.file)
    return replace(neighbours, rule_sets=(*common, *ordered))
