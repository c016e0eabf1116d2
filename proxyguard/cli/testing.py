"""`proxyguard test`: run the tests inside rule files alone, and name the rules that none of them touches."""

from __future__ import annotations

import json
from pathlib import Path

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail, json_option
from proxyguard.cli.rules import loaded_or_usage, rules_argument, tested
from proxyguard.core.problems import format_report
from proxyguard.policy.model import Policy, Rule
from proxyguard.policy.testing.runner import SelfTest, TestFailure


@click.command("test")
@rules_argument
@click.option("--coverage", is_flag=True, help="Name the rules that apply in no test.")
@click.option(
    "--fail-under", type=click.FloatRange(0, 100), metavar="PERCENT",
    help="Exit with 1 when tests touch less than this share of the rules; implies --coverage.",
)  # fmt: skip
@json_option
def test(directory: Path, fail_under: float | None, *, coverage: bool, as_json: bool) -> None:
    """Run the tests in rule files. Each has a virtual clock of its own: no network, no waiting.

    A failed test shows the expected and the actual decision, and each rule that was evaluated.

    \b
    Exit code 0: all tests hold. 1: some do not, or the rules have problems. 2: the command line is wrong.

    \b
    Examples:
      proxyguard test rules/
      proxyguard test --coverage rules/
      proxyguard test --fail-under 90 --json rules/
    """
    loaded = loaded_or_usage(directory)
    if loaded.policy is None:
        fail(format_report(loaded.problems))
    outcome, problems = tested(directory, loaded.policy)
    if outcome is None:
        fail(format_report(problems))
    rules = _rules(loaded.policy)
    untouched = [rule for rule in rules if rule.name in outcome.untouched]
    share = 100.0 if not rules else 100.0 * (len(rules) - len(untouched)) / len(rules)
    if as_json:
        _write_json(outcome, untouched, share)
    else:
        _write_text(directory, outcome)
        if coverage or fail_under is not None:
            _write_coverage(rules, untouched, share)
    raise SystemExit(int(bool(outcome.failures) or (fail_under is not None and share < fail_under)))


def _rules(policy: Policy) -> list[Rule]:
    return [rule for rule_set in policy.rule_sets if not rule_set.common for rule in rule_set.rules]


def _write_text(directory: Path, outcome: SelfTest) -> None:
    for failure in outcome.failures:
        echo(str(failure.problem))
        echo("\n".join(f"    {line}" for line in failure.trace.as_text().split("\n")))
    failed = len(outcome.failures)
    plural = "" if outcome.tests == 1 else "s"
    if failed:
        echo(f"{directory}: {failed} of {outcome.tests} tests failed")
    else:
        echo(f"{directory}: {outcome.tests} test{plural} passed")


def _write_coverage(rules: list[Rule], untouched: list[Rule], share: float) -> None:
    echo(f"{len(rules) - len(untouched)} of {len(rules)} rules ({share:.0f} %) apply in a test")
    if untouched:
        echo("in no test:")
    for rule in untouched:
        echo(f"  {rule.place}: {rule.name}")


def _write_json(outcome: SelfTest, untouched: list[Rule], share: float) -> None:
    shown = {
        "ok": not outcome.failures,
        "tests": outcome.tests,
        "failures": [_failure(failure) for failure in outcome.failures],
        "untouched": [{"rule": rule.name, "place": str(rule.place)} for rule in untouched],
        "coverage_percent": round(share, 1),
    }
    echo(json.dumps(shown))


def _failure(failure: TestFailure) -> dict[str, object]:
    return {
        "place": str(failure.place),
        "name": failure.name,
        "expected": failure.expected,
        "got": failure.got,
        "reason": failure.reason,
        "trace": failure.trace.as_dict(),
    }
