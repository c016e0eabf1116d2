"""`proxyguard check`: parses the rule files, runs their tests and lints them."""

from __future__ import annotations

import os
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, NoReturn

import click
from click.core import ParameterSource

from proxyguard.cli.completing import completes
from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail, paths_option, preset_option
from proxyguard.cli.rules import DEFAULT_RULES, loaded_or_usage, tested
from proxyguard.core.decision import Mode
from proxyguard.core.preset import DEFAULT_PRESET, RulesPreset
from proxyguard.core.problems import Problem, name_hint, plural
from proxyguard.core.reading import PRESETS, STRICT, SiteReading
from proxyguard.policy.model import Policy, rules_by_mode
from proxyguard.tools.lint.codes import LINTS
from proxyguard.tools.lint.findings import Finding, Severity
from proxyguard.tools.lint.fixes import apply_fixes
from proxyguard.tools.lint.pages import read_page
from proxyguard.tools.lint.report import FORMATS, ReportEntry, as_entry, by_place, entries
from proxyguard.tools.lint.run import lint_policy

if TYPE_CHECKING:
    from proxyguard.settings.given import SettingsAsGiven


def _show_page(context: click.Context, _option: click.Parameter, code: str | None) -> None:
    if code is None or context.resilient_parsing:
        return
    if code.upper() not in LINTS:
        raise click.BadParameter(f"there is no code {code!r}: {name_hint(code.upper(), tuple(LINTS), 'codes')}")
    echo(read_page(code.upper()), nl=False)
    context.exit()


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), required=False)
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False),
    help="Check this settings file too, with PROXYGUARD_* variables, and the rules that it names.",
)  # fmt: skip
@click.option("--online", is_flag=True, help="With --config: ask the store and the upstreams whether they answer.")
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
@preset_option
@click.option(
    "--explain", metavar="CODE", is_eager=True, expose_value=False, callback=_show_page,
    shell_complete=completes(lambda _: LINTS),
    help="Explain a code, such as PG020, and how to fix what it reports.",
)  # fmt: skip
@click.pass_context
def check(
    context: click.Context, directory: Path | None, rules: Path | None, config: Path | None, form: str, paths: str, preset: str,
    *,
    online: bool, strict: bool, fix: bool,
) -> None:  # fmt: skip
    """Read every rule file, report all problems, run the tests, and warn about likely mistakes.

    With --config the settings are checked first: addresses, certificates, files to read and to write, and what does not go
    together. DIR is the folder of the settings then, else rules. Run it as the user that runs proxyguard: permissions are those
    of the user.

    A problem keeps the rules from being loaded. A warning has a code; to keep it, write the reason beside the line and:

    \b
      # proxyguard: ignore PG020

    \b
    Exit code 0: all is well, or there are warnings. 1: problems, or warnings with --strict. 2: the command line is wrong.

    \b
    Examples:
      proxyguard check rules/
      proxyguard check --config /etc/proxyguard/proxyguard.yaml
      proxyguard check --strict --format github rules/
      proxyguard check --fix rules/
      proxyguard check --explain PG020
    """
    directory = rules or directory
    if online and config is None:
        raise click.UsageError("--online asks those that the settings name: name the settings with --config FILE")
    reading = PRESETS[paths]
    level = RulesPreset(preset)
    concerns: list[ReportEntry] = []
    sites: SettingsAsGiven | None = None
    if config is not None:
        sites, concerns = checked_settings(config, asks=online)
        directory = directory or (sites.settings.rules if sites.is_known("rules") else None)
        if context.get_parameter_source("paths") is ParameterSource.DEFAULT:
            reading = sites.settings.paths
        if context.get_parameter_source("preset") is ParameterSource.DEFAULT:
            level = sites.settings.preset
        if directory is None:
            _finish(concerns, form, strict=strict)
    directory = directory or DEFAULT_RULES
    policy, problems, findings = checked(directory, reading, level)
    if fix and any(finding.edits for finding in findings):
        _mend(findings)
        policy, problems, findings = checked(directory, reading, level)
    if sites is not None and policy is not None:
        problems = (*problems, *unknown_rule_sets(sites, policy))
        concerns = [*concerns, *unknown_origins(sites, policy)]
    found = by_place([*concerns, *entries(problems, findings)])
    summary = _summary(directory, policy) if policy is not None and not problems else ""
    _finish(found, form, strict=strict, summary=summary)


def _finish(found: list[ReportEntry], form: str, *, strict: bool, summary: str = "") -> NoReturn:
    echo(FORMATS[form](found), nl=False)
    bad = {Severity.ERROR, Severity.WARNING} if strict else {Severity.ERROR}
    if form == "text" and summary:
        echo(summary)
    raise SystemExit(int(any(entry.severity in bad for entry in found)))


def checked_settings(config: Path, *, asks: bool) -> tuple[SettingsAsGiven, list[ReportEntry]]:
    """The settings as far as they can be read, and all that is wrong with them. `asks`: store and upstreams are asked."""
    from proxyguard.instance.preflight.concern import Weight  # noqa: PLC0415 - commands about rules need no settings: 0.1 s
    from proxyguard.instance.preflight.run import check_settings  # noqa: PLC0415 - as above
    from proxyguard.settings.file import read_as_given  # noqa: PLC0415 - as above

    found = read_as_given(config, os.environ)
    weighed = check_settings(found, asks=asks)
    doubts = [as_entry(each.problem, Severity.WARNING) for each in weighed if each.weight is Weight.DOUBT]
    errors = [as_entry(each.problem, Severity.ERROR) for each in weighed if each.weight is not Weight.DOUBT]
    return found, [*(as_entry(problem, Severity.ERROR) for problem in found.problems), *errors, *doubts]


def unknown_rule_sets(found: SettingsAsGiven, policy: Policy) -> list[Problem]:
    """The rule sets that sites name and that are in no file."""
    known = [rule_set.name for rule_set in policy.rule_sets if not rule_set.common]
    return [
        found.problem(f"sites.{at}.rule_sets.{number}", f"there is no rule set {name!r}", name_hint(name, known, "rule sets"))
        for at, site in enumerate(found.settings.sites)
        for number, name in enumerate(site.rule_sets or ())
        if name not in known
    ]


def unknown_origins(found: SettingsAsGiven, policy: Policy) -> list[ReportEntry]:
    """Warnings about what rules ask of addresses and no table answers."""
    from proxyguard.instance.preflight.unanswered import unanswered  # noqa: PLC0415 - as above

    if not all(map(found.is_known, ("origin.directory", "origin.country_file", "origin.asn_file"))):
        return []
    return [as_entry(problem, Severity.WARNING) for problem in unanswered(policy, found.settings.origin)]


def checked(
    directory: Path, reading: SiteReading = STRICT, preset: RulesPreset = DEFAULT_PRESET
) -> tuple[Policy | None, tuple[Problem, ...], list[Finding]]:
    """The policy, its problems (failed tests among them), and what the lints find when there are none in the files."""
    loaded = loaded_or_usage(directory, preset)
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
        plural(len(files), "rule set"),
        f"{plural(len(modes), 'rule')} ({counts or 'none'})",
        f"{plural(tests, 'test')} passed" if tests else "no tests",
    ]
    return f"{directory}: {', '.join(counted)}"
