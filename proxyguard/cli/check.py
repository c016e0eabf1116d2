"""`proxyguard check`: parses the rule files, runs their tests and lints them."""

from __future__ import annotations

from pathlib import Path
from time import time

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail, paths_option
from proxyguard.cli.rules import loaded_or_usage, rules_argument, tested
from proxyguard.core.decision import Mode
from proxyguard.core.problems import Problem, name_hint
from proxyguard.core.reading import PRESETS, STRICT, SiteReading
from proxyguard.policy.model import Policy, rules_by_mode
from proxyguard.tools.lint.codes import LINTS
from proxyguard.tools.lint.findings import Finding, Severity
from proxyguard.tools.lint.fixes import apply_fixes
from proxyguard.tools.lint.pages import read_page
from proxyguard.tools.lint.report import FORMATS, entries
from proxyguard.tools.lint.run import lint_policy


def _show_page(context: click.Context, _option: click.Parameter, code: str | None) -> None:
    if code is None or context.resilient_parsing:
        return
    if code.upper() not in LINTS:
        raise click.BadParameter(f"there is no code {code!r}: {name_hint(code.upper(), tuple(LINTS), 'codes')}")
    echo(read_page(code.upper()), nl=False)
    context.exit()


@click.command()
@rules_argument
@click.option(
    "--rules", metavar="DIR", type=click.Path(path_type=Path), help="The same as DIR; bundled: those that come with proxyguard."
)
@click.option(
    "--format", "form", type=click.Choice(list(FORMATS)), default="text", show_default=True,
    help="text for people; github for annotations in a workflow; sarif for code scanning.",
)  # fmt: skip
@click.option("--strict", is_flag=True, help="Warnings fail too.")
@click.option("--fix", is_flag=True, help="Fix mechanical findings in the files: duplicate entries, blanks at line ends.")
@paths_option
@click.option(
    "--explain", metavar="CODE", is_eager=True, expose_value=False, callback=_show_page,
    help="Explain a code, such as PG020, and how to fix what it reports.",
)  # fmt: skip
def check(directory: Path, rules: Path | None, form: str, paths: str, *, strict: bool, fix: bool) -> None:
    """Read every rule file, report all problems, run the tests, and warn about likely mistakes.

    A problem keeps the rules from being loaded. A warning has a code; to keep it, write the reason beside the line and:

    \b
      # proxyguard: ignore PG020

    \b
    Exit code 0: all is well, or there are warnings. 1: problems, or warnings with --strict. 2: the command line is wrong.

    \b
    Examples:
      proxyguard check rules/
      proxyguard check --strict --format github rules/
      proxyguard check --fix rules/
      proxyguard check --explain PG020
    """
    directory = rules or directory
    reading = PRESETS[paths]
    policy, problems, findings = checked(directory, reading)
    if fix and any(finding.edits for finding in findings):
        _mend(findings)
        policy, problems, findings = checked(directory, reading)
    found = entries(problems, findings)
    report = FORMATS[form](found)
    echo(report, nl=False)
    if form == "text" and policy is not None and not problems:
        echo(_summary(directory, policy))
    bad = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    raise SystemExit(int(any(entry.severity in bad for entry in found)))


def checked(directory: Path, reading: SiteReading = STRICT) -> tuple[Policy | None, tuple[Problem, ...], list[Finding]]:
    """The policy, its problems (failed tests among them), and what the lints find when there are none in the files."""
    loaded = loaded_or_usage(directory)
    if loaded.policy is None:
        return None, loaded.problems, []
    _, problems = tested(directory, loaded.policy)
    return loaded.policy, problems, lint_policy(loaded.policy, time(), reading)


def _mend(findings: list[Finding]) -> None:
    try:
        changed = apply_fixes(findings)
    except OSError as error:
        fail(f"error: {error.filename} cannot be written: {error.strerror}")
    for file, lines in changed.items():
        echo(f"{file}: {lines} line{'' if lines == 1 else 's'} mended", err=True)


def _summary(directory: Path, policy: Policy) -> str:
    modes = [mode for _, mode in rules_by_mode(policy, Mode.ENFORCE)]
    counts = ", ".join(f"{modes.count(mode)} {mode}" for mode in Mode if mode in modes)
    files = [rule_set for rule_set in policy.rule_sets if not rule_set.common]
    tests = sum(len(rule_set.tests) for rule_set in files)
    counted = [
        _count(len(files), "rule set"),
        f"{_count(len(modes), 'rule')} ({counts or 'none'})",
        f"{_count(tests, 'test')} passed" if tests else "no tests",
    ]
    return f"{directory}: {', '.join(counted)}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
