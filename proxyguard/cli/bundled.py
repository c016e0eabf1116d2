"""Commands about copies of the bundled rules: what this version changes in them, and taking it over."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.options import fail
from proxyguard.cli.rules import rules_argument
from proxyguard.core.problems import format_report
from proxyguard.policy.bundled import BUNDLED_DIRECTORY
from proxyguard.tools.scaffold.bundled_copies import RECORD, CopyState, FileChange, UpdateRefused, changes, recorded_texts
from proxyguard.tools.scaffold.bundled_copies import update as put_in_place


@click.group()
def rules() -> None:
    """Compare copies of the bundled rules with this version, and update them.

    For folders that `proxyguard init --bundled` made. Imported rules (`import: bundled`) are those of this version already.

    \b
    Example:
      proxyguard rules diff /etc/proxyguard/rules
    """


@rules.command()
@rules_argument
def diff(directory: Path) -> None:
    """Show what this version changes in copies of the bundled rules, and whether your edits stand in the way.

    Exit code 0: nothing is to do. 1: an update would change files, or cannot.

    \b
    Example:
      proxyguard rules diff /etc/proxyguard/rules
    """
    found = _found(directory)
    for each in found:
        echo(_line(directory, each))
        echo(each.diff(), nl=False)
    if not found:
        echo(f"{directory}: the copies are those of this version")
    raise SystemExit(int(bool(found)))


@rules.command()
@rules_argument
def update(directory: Path) -> None:
    """Take over what this version changes in copies of the bundled rules. Your edits are kept.

    All of it is written, or nothing: not where you and this version changed the same lines, and not when the rules would be
    refused.

    \b
    Example:
      proxyguard rules update /etc/proxyguard/rules
    """
    found = _found(directory)
    conflicts = [each for each in found if each.state is CopyState.CONFLICT]
    if conflicts:
        listed = "\n".join(_line(directory, each) for each in conflicts)
        fail(
            f"{listed}\nnothing was written\n"
            f"  hint: the new texts are in {_new_files(conflicts)}; take over by hand what you want, then copy them to "
            f"{directory / RECORD}/ to say so"
        )
    try:
        put_in_place(directory, found)
    except UpdateRefused as error:
        fail(f"{format_report(error.problems)}nothing was written: with the update the rules are refused")
    except OSError as error:
        _cannot(error, directory)
    for each in found:
        echo(_line(directory, each))
    echo(f"{directory}: {f'{len(found)} updated' if found else 'the copies are those of this version'}")


def _new_files(conflicts: list[FileChange]) -> str:
    return ", ".join(str(BUNDLED_DIRECTORY / each.name) for each in conflicts)


def _found(directory: Path) -> list[FileChange]:
    try:
        if not recorded_texts(directory):
            fail(
                f"error: {directory} has no copies of bundled rules of proxyguard's making: there is no {directory / RECORD}\n"
                "  hint: `proxyguard init --bundled DIR` makes some; rules that are imported need no update"
            )
        return changes(directory)
    except UnicodeDecodeError as error:
        fail(f"error: a file in {directory} is not UTF-8: {error.reason}")
    except OSError as error:
        _cannot(error, directory)


def _cannot(error: OSError, directory: Path) -> NoReturn:
    fail(f"error: {error.filename or directory}: {error.strerror}")


def _line(directory: Path, change: FileChange) -> str:
    place = f":{change.line}" if change.line else ""
    return f"{directory / change.name}{place}: {change.state}"
