"""The tests of a draft: that each rule does what it says, and that an ordinary browser passes while it does.

A test names its rule, and so runs with that rule in force whatever the mode of the file is: it proves something in shadow too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from proxyguard.core.decision import Mode
from proxyguard.policy.error import PolicyError
from proxyguard.policy.model import Policy
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.testing.runner import TestFailure, run_tests
from proxyguard.tools.importers.draft import Draft, DraftRule, DraftTest, ImportFault
from proxyguard.tools.importers.samples import BROWSER
from proxyguard.tools.importers.witness import OTHER_CLIENT, guesses
from proxyguard.tools.importers.yaml_text import TEST_BEGINS, rule_file

MAX_TESTS: Final = 400
"""Rules of one file that tests are made up for: more than that are of one kind, and load slowly when each is tried."""

MAX_NAMES_SHOWN: Final = 10

_REFUSALS: Final = frozenset({"reject", "tarpit", "drop", "ban", "delay"})

PAGE_VIEWS: Final[tuple[dict[str, Any], ...]] = (
    {"client": OTHER_CLIENT, "user_agent": BROWSER},
    {
        "client": OTHER_CLIENT,
        "user_agent": BROWSER,
        "headers": {"accept": "text/html", "accept-language": "en", "accept-encoding": "gzip"},
    },
)
"""A person's page view, short and with the headers that some rules ask for."""


def make_tests(draft: Draft) -> None:
    """Replace the tests of the draft, which are guesses, by those that hold, and make some up for the rules that have none.

    A rule for which no request could be found is named in a note. Raises ImportFault.
    """
    given = [test for test in draft.tests if test.rule not in {"", "default"}]
    kept = _holding(draft, given)
    tested = {test.rule for test in kept}
    lacking = [rule for rule in draft.rules if rule.name not in tested][:MAX_TESTS]
    tried = {id(guess): (rule.name, guess) for rule in lacking for guess in guesses(rule, draft.lists)}
    for test in _holding(draft, [guess for _, guess in tried.values()]):
        name = tried[id(test)][0]
        if name not in tested:
            tested.add(name)
            kept.append(test)
    order = {rule.name: at for at, rule in enumerate(draft.rules)}
    draft.tests = sorted(kept, key=lambda test: order.get(test.rule, len(order)))
    _add_page_views(draft)
    _note_untested(draft, tested)
    if not draft.tests:
        draft.tests = [DraftTest(PAGE_VIEWS[0], "pass")]


def _note_untested(draft: Draft, tested: set[str]) -> None:
    names = [rule.name for rule in draft.rules if rule.name not in tested and not _gives_a_tag(rule)]
    if names:
        more = f" and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else ""
        draft.note(0, f"no test could be made for {', '.join(names[:MAX_NAMES_SHOWN])}{more}: write one, so that it is proven")


def _gives_a_tag(rule: DraftRule) -> bool:
    return isinstance(rule.action, dict) and "tag" in rule.action


def _add_page_views(draft: Draft) -> None:
    """After a refusal, a browser passes: with the same rule in force. Not for limits, and rules that are in shadow themselves."""
    rules = {rule.name: rule for rule in draft.rules}
    for view in PAGE_VIEWS:
        seen = {test.rule for test in draft.tests if test.then is not None}
        added: list[DraftTest] = []
        for test in draft.tests:
            rule = rules.get(test.rule)
            if rule is None or rule.limit is not None or rule.mode is not None or test.rule in seen:
                continue
            if str(test.expect).partition(" ")[0] in _REFUSALS:
                host = {"host": test.request["host"]} if "host" in test.request else {}
                test.then = DraftTest(view | host, "pass")
                seen.add(test.rule)
                added.append(test)
        holding = {id(test) for test in _holding(draft, added)}
        for test in added:
            test.then = test.then if id(test) in holding else None


def _holding(draft: Draft, tests: Sequence[DraftTest]) -> list[DraftTest]:
    """Those of the tests that hold with all rules of the draft in force, except for rules with a mode of their own."""
    if not tests:
        return []
    text = rule_file(replace(draft, tests=list(tests), notes=[]), "", "", Mode.ENFORCE)
    rule_set, problems = parse_rule_set(text)
    if rule_set is None:
        raise ImportFault(f"the tests could not be written: {problems[0].message}")
    begins = _begins(text)
    failed = {bisect_right(begins, failure.place.line) - 1 for failure in failures_of(Policy((rule_set,)))}
    return [test for at, test in enumerate(tests) if at not in failed]


def failures_of(policy: Policy) -> tuple[TestFailure, ...]:
    """The tests that fail. Raises ImportFault when the rules cannot be compiled."""
    try:
        return run_tests(policy)
    except PolicyError as error:
        raise ImportFault(str(error)) from error


def _begins(text: str) -> list[int]:
    """The lines on which tests begin."""
    return [number for number, line in enumerate(text.split("\n"), 1) if line.startswith(TEST_BEGINS)]
