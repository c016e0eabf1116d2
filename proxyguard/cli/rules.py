"""Shared by commands about rules: the rules directory and the policy in it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.options import Decorator, fail
from proxyguard.core.preset import DEFAULT_PRESET, RulesPreset
from proxyguard.core.problems import Problem, format_report, nearest
from proxyguard.policy.bundled import BUNDLED_DIRECTORY, BUNDLED_WORD
from proxyguard.policy.error import PolicyError
from proxyguard.policy.load import LoadResult, load_policy
from proxyguard.policy.model import Policy
from proxyguard.policy.parse.lists import reason
from proxyguard.policy.testing.runner import SelfTest, self_test

DEFAULT_RULES: Final = Path("rules")

rules_argument: Decorator = click.argument("directory", type=click.Path(path_type=Path), default=DEFAULT_RULES)
rules_option: Decorator = click.option(
    "--rules", "directory", metavar="DIR", type=click.Path(path_type=Path), default=DEFAULT_RULES, show_default=True,
    help="Folder of rule sets; bundled: those that come with proxyguard.",
)  # fmt: skip


def loaded_or_usage(directory: Path, preset: RulesPreset = DEFAULT_PRESET) -> LoadResult:
    """Read a rules directory, or the bundled rules; one file alone is a fault of the command line."""
    if str(directory) == BUNDLED_WORD:
        return load_policy(BUNDLED_DIRECTORY, preset=preset)
    try:
        is_file = stat.S_ISREG(directory.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        near = nearest(directory.name, [path.name for path in _folders_beside(directory)])
        hint = f"did you mean {directory.with_name(near)}?" if near else "name the folder that holds the rule files"
        return LoadResult(None, (Problem(str(directory), 0, 0, "there is no such folder", hint),), ())
    except OSError as error:
        return LoadResult(None, (Problem(str(directory), 0, 0, f"the folder cannot be read: {reason(error)}"),), ())
    if is_file:
        hint = f"rules are checked together, since they meet those of other files: proxyguard check {directory.parent}"
        raise click.UsageError(f"{directory} is a file, not a folder of rule files\n  hint: {hint}")
    return load_policy(directory, preset=preset)


def _folders_beside(directory: Path) -> list[Path]:
    try:
        return [path for path in list(directory.parent.iterdir())[:1000] if os.path.isdir(path)]  # noqa: PTH112 - as in policy/load
    except OSError:
        return []


def tested(directory: Path, policy: Policy) -> tuple[SelfTest | None, tuple[Problem, ...]]:
    """The policy's own tests, and what is wrong: tests that fail, or a policy that cannot be compiled."""
    try:
        outcome = self_test(policy)
    except PolicyError as error:
        return None, (Problem(str(directory), 0, 0, str(error)),)
    return outcome, tuple(failure.problem for failure in outcome.failures)


def policy_or_exit(directory: Path, preset: RulesPreset = DEFAULT_PRESET) -> Policy:
    """The policy of a directory; ends the program with the report when there is none.

    A test that fails is said on standard error: what the rules decide can be asked nevertheless, to find out why it does.
    """
    loaded = loaded_or_usage(directory, preset)
    if loaded.policy is None:
        fail(format_report(loaded.problems))
    outcome, problems = tested(directory, loaded.policy)
    if outcome is None:
        fail(format_report(problems))
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        echo(
            f"note: these rules would not be put in force, as a test fails: {problems[0]}{more}\n"
            f"  see: proxyguard check {directory}",
            err=True,
        )
    return loaded.policy
