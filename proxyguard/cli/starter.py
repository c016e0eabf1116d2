"""`proxyguard init` writes a commented set of first files; `proxyguard new rule` asks three questions and adds a rule."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import replace
from pathlib import Path, PurePosixPath
from time import time
from typing import Final

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail
from proxyguard.cli.rules import loaded_or_usage, rules_option
from proxyguard.cli.schema import SCHEMA_FILE, schema_text
from proxyguard.core.problems import Fault, Problem, format_report
from proxyguard.core.yaml.nodes import Scalar
from proxyguard.limits.limit import REQUESTS
from proxyguard.policy.bundled import BUNDLED_WORD
from proxyguard.policy.load import load_policy, rule_files
from proxyguard.policy.model import Policy, RuleSet
from proxyguard.policy.parse.limits import read_rate
from proxyguard.policy.parse.networks import read_network
from proxyguard.policy.testing.runner import run_tests
from proxyguard.tools.lint.codes import severity_of
from proxyguard.tools.lint.findings import Finding, Severity
from proxyguard.tools.lint.fixes import replace_file
from proxyguard.tools.lint.report import as_text, entries
from proxyguard.tools.lint.run import findings_of
from proxyguard.tools.scaffold.bundled_copies import RECORD, copies
from proxyguard.tools.scaffold.first_files import AlreadyThere, write_first_files
from proxyguard.tools.scaffold.new_rule import ACTIONS, MATCHES, CannotAppend, NewRule, appended, new_file

OWN_FILE: Final = "90-own.yaml"

NEW_RULE: Final = "the new rule"
"""The place of problems in what is not written."""

HARMFUL: Final = frozenset({"PG022", "PG031"})
"""Warnings about a rule that refuses people from the moment it acts."""

LINE_BREAK: Final = re.compile("[\n\r\x85\u2028\u2029]")
"""As YAML has them."""

USELESS: Final = frozenset({"PG004"})
"""Warnings about a rule that does nothing, whatever its mode."""


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option(
    "--bundled", is_flag=True, help="With copies of all rules that come with proxyguard, to edit; see also: proxyguard rules."
)
def init(directory: Path | None, *, bundled: bool) -> None:
    """Write a first set of files into a folder. Settings, a rule file with tests, a list, a README; nothing is overwritten.

    Without DIRECTORY: /etc/proxyguard where this user may write there, else the folder proxyguard here.

    \b
    Examples:
      proxyguard init /etc/proxyguard
      proxyguard init --bundled /etc/proxyguard
    """
    directory = directory or _usual_directory()
    schemas = {PurePosixPath(SCHEMA_FILE): schema_text(of_settings=True), PurePosixPath("rules") / SCHEMA_FILE: schema_text()}
    rules = {PurePosixPath("rules") / name: text for name, text in copies().items()} if bundled else {}
    try:
        written = write_first_files(directory, schemas | rules, with_rules=not bundled)
    except AlreadyThere as error:
        names = "\n".join(f"  {path}" for path in error.paths)
        fail(f"error: nothing was written, because there is already\n{names}\n  hint: name an empty folder, or move these away")
    except OSError as error:
        fail(f"error: {error.filename or directory} cannot be written: {error.strerror}")
    for path in written:
        if RECORD not in path.parts:
            echo(str(path))
    folder, read_me = (shlex.quote(str(directory / name)) for name in ("rules", "README.md"))
    echo(f"next: proxyguard check {folder}; then read {read_me}")


def _usual_directory() -> Path:
    place = Path("/etc/proxyguard")
    nearest_there = place if place.exists() else place.parent
    return place if os.access(nearest_there, os.W_OK) else Path("proxyguard")


@click.group()
def new() -> None:
    """Add something to the rules.

    \b
    Example:
      proxyguard new rule
    """


@new.command("rule")
@rules_option
@click.option(
    "--file", "name", metavar="NAME", default=OWN_FILE, show_default=True,
    help="The rule file to add it to, or to make.",
)  # fmt: skip
@click.option("--name", "rule_name", help="The rule's name. Default: made of the answers.")
@click.option("--why", default="", help="The reason, kept with every decision.")
@click.option("--match", type=click.Choice(list(MATCHES)), help="What to look at.")
@click.option("--value", help="What it must be.")
@click.option("--action", type=click.Choice(list(ACTIONS)), help="What to do.")
@click.option("--limit", metavar="RATE", help="Only above so many from one client, such as 30/minute.")
@click.option("--since", type=click.Choice(["shadow", "now"]), help="shadow: only record, at first; now: act at once.")
@click.option("--expires", default="", metavar="DAY", help="When it ends by itself: 2026-07-01, or 2026-07-01T18:00Z.")
@click.option("--force", is_flag=True, help="Add it although it would refuse browsers, close the site, or has ended already.")
def new_rule(
    directory: Path, name: str, rule_name: str | None, why: str, match: str | None, value: str | None,
    action: str | None, limit: str | None, since: str | None, expires: str, *, force: bool,
) -> None:  # fmt: skip
    """Ask what to match, what to do and since when, and add the rule, with a test, to a rule file.

    Questions that options answer are not asked. Nothing is written when the rules would have problems with the new one, when it
    would act at once on real browsers or on everybody, or when its end is past. What `check` would warn of is shown.

    \b
    Examples:
      proxyguard new rule
      proxyguard new rule --match user-agent --value BadBot --action reject --since now
      proxyguard new rule --match path --value /search --limit 30/minute --action reject --since shadow
    """
    if str(directory) == BUNDLED_WORD:
        raise click.BadParameter("the next version replaces the bundled rules: name a folder of yours", param_hint="--rules")
    try:
        rule = _asked_for(match, value, action, limit, since, rule_name, expires, why)
    except click.Abort:
        hint = "in a script give all of --match, --value, --action and --since (and --limit); answers can be piped, one a line"
        fail(f"\nerror: the answers end before the last question; nothing was written\n  hint: {hint}")
    _write(directory, name, rule, force=force)


def _asked_for(
    match: str | None, value: str | None, action: str | None, limit: str | None, since: str | None, rule_name: str | None,
    expires: str, why: str,
) -> NewRule:  # fmt: skip
    """The rule of the options and of the answers to what they leave open. Raises click.Abort when there are no more answers."""
    asks_limit = action is None
    match = match or _choose("1. What to match?", MATCHES)
    value = value or click.prompt(f"   {MATCHES[match]}", type=str)
    _check_line(value, "--value")
    _check_line(why, "--why")
    _check_value(match, value)
    action = action or _choose("2. What to do?", ACTIONS)
    if asks_limit and limit is None and action != "allow":
        limit = click.prompt(
            "   only above a limit from one client, such as 30/minute (empty: always)", default="", show_default=False
        )
    if limit:
        _check_limit(action, limit)
    since = since or _choose("3. Since when?", {"shadow": "only record at first (best)", "now": "act at once"})
    return NewRule(
        name=rule_name or _made_name(match, value, limit), match=match, value=value, action=action, limit=limit or "",
        since=since, expires=expires, why=why,
    )  # fmt: skip


def _choose(question: str, choices: dict[str, str]) -> str:
    echo(question)
    for choice, meaning in choices.items():
        echo(f"   {choice:<12}{meaning}")
    answer: str = click.prompt("  ", type=click.Choice(list(choices)), show_choices=False, default=next(iter(choices)))
    return answer


def _check_line(text: str, option: str) -> None:
    """Refuse what YAML would make a blank of."""
    if LINE_BREAK.search(text):
        raise click.BadParameter(f"{text!r} has a line break", param_hint=option)


def _check_value(match: str, value: str) -> None:
    if match == "path" and not value.startswith("/"):
        raise click.BadParameter(f"{value!r} does not begin with /", param_hint="--value")
    if match == "client":
        try:
            read_network(value)
        except Fault as fault:
            hint = "such as 203.0.113.9, 203.0.113.0/24 or 2001:db8::/32"
            raise click.BadParameter(f"{fault.message}\n  hint: {hint}", param_hint="--value") from fault


def _check_limit(action: str, limit: str) -> None:
    if action == "allow":
        raise click.BadParameter(f"{limit!r} is not possible: an allow rule has none", param_hint="--limit")
    try:
        read_rate(Scalar(1, 1, limit, plain=True), REQUESTS)
    except Fault as fault:
        raise click.BadParameter(f"{fault.message}\n  hint: {fault.hint}", param_hint="--limit") from fault


def _made_name(match: str, value: str, limit: str | None) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:48].strip("-")
    return f"{words or match}-{'flood' if limit else match}"


def _write(directory: Path, name: str, rule: NewRule, *, force: bool) -> None:
    path = directory / name
    if path.suffix not in (".yaml", ".yml") or name.startswith(".") or path.parent != directory:
        raise click.BadParameter(f"{name!r} is not the name of a rule file, such as {OWN_FILE}", param_hint="--file")
    policy = _policy(directory)
    taken = {each.name: each.place for rule_set in policy.rule_sets for each in rule_set.rules}
    if rule.name in taken:
        fail(f"error: there is a rule {rule.name!r} already, at {taken[rule.name]}\n  hint: choose another with --name")
    try:
        text = appended(path.read_bytes().decode("utf-8"), rule) if path.exists() else new_file(rule, _set_name(path, policy))
    except CannotAppend as error:
        fail(
            f"error: a rule cannot be added to {path}: {error}\n  hint: name another file with --file, or add this by hand:\n"
            + "\n".join(f"  {line}" for line in rule.rule_lines())
        )
    findings = findings_of(rule.name, _proven(directory, path, text, rule), time())
    reasons = [finding for finding in findings if _is_reason(finding, rule.since)]
    if reasons and not force:
        report = format_report(_as_problem(finding) for finding in reasons)
        has_ended = any(finding.code in USELESS for finding in reasons)
        hint = "give a later --expires" if has_ended else "choose another --value, begin with --since shadow"
        fail(f"{report}nothing was written\n  hint: {hint}, or use --force")
    try:
        replace_file(path, text.encode())
    except OSError as error:
        fail(f"error: {path} cannot be written: {error.strerror}")
    echo(f"{path}: added")
    echo("\n".join(f"  {line}" for line in rule.rule_lines()))
    echo(as_text(entries((), findings)), nl=False, err=True)
    if rule.since == "shadow":
        echo("It records and does not act; write mode: enforce when you have seen what it finds.")


def _policy(directory: Path) -> Policy:
    """The rules so far; none when the folder has no rule file yet."""
    if directory.is_dir() and rule_files(directory) == ([], []):
        return Policy(())
    loaded = loaded_or_usage(directory)
    if loaded.policy is None:
        fail(f"{format_report(loaded.problems)}nothing was written: mend these first")
    return loaded.policy


def _set_name(path: Path, policy: Policy) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", re.sub(r"^\d+[-_]?", "", path.stem).lower()).strip("-") or "own"
    taken = {rule_set.name for rule_set in policy.rule_sets}
    return plain if plain not in taken else f"{plain}-rules"


def _proven(directory: Path, path: Path, text: str, rule: NewRule) -> Policy:
    """The rules with the new one. Ends the program, with nothing written, on a problem, a failed test, or an earlier decision."""
    loaded = load_policy(directory, instead={path: text.encode()})
    if loaded.policy is None:
        fail(f"{format_report(_at_new_rule(problem, path) for problem in loaded.problems)}nothing was written")
    policy = loaded.policy
    its_tests = (
        test for each in policy.rule_sets for test in each.tests if any(step.expect.rule == rule.name for step in test.steps)
    )
    among_all = RuleSet(name="new:", file=str(path), tests=tuple(its_tests))  # without rules: judged with all files together
    without_tests = (replace(each, tests=()) for each in policy.rule_sets)
    failures = run_tests(policy) or run_tests(replace(policy, rule_sets=(*without_tests, among_all)))
    if failures:
        report = format_report(_at_new_rule(failure.problem, path) for failure in failures)
        fail(f"{report}nothing was written: with the new rule these tests would fail (a rule before it may decide first)")
    return policy


def _is_reason(finding: Finding, since: str) -> bool:
    """Whether a finding is a reason not to write the rule, unless somebody insists."""
    codes = USELESS | HARMFUL if since == "now" else USELESS
    return finding.code in codes and severity_of(finding) is Severity.WARNING


def _as_problem(finding: Finding) -> Problem:
    return Problem(NEW_RULE, 0, 0, f"{finding.message} [{finding.code}]", finding.hint)


def _at_new_rule(problem: Problem, path: Path) -> Problem:
    """A problem of the text that was not written: it has no lines to look at."""
    return problem._replace(file=NEW_RULE, line=0, column=0) if problem.file == str(path) else problem
