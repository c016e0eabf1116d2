"""What the shell completes besides commands and options: names of rules, restrictions, bans and lints.

Names of rules come from the rule files, everything that only a running instance knows from there. Completion is never in the
way: what cannot be had within half a second is left out, and nothing is written but names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import click

from proxyguard.core.settings import Settings
from proxyguard.instance.control.client import ControlError, send_command
from proxyguard.instance.control.socket_file import running_socket
from proxyguard.policy.bundled import BUNDLED_WORD, bundled_file, bundled_names, importable_names
from proxyguard.policy.load import rule_files

ANSWER_SECONDS: Final = 0.5
"""Longer than an instance under attack takes; short enough for somebody who has pressed a key."""

MAX_NAMES: Final = 2000
"""More than anybody looks through; a shell becomes slow with more."""

MAX_FILES: Final = 500

MAX_BYTES: Final = 16 * 1024 * 1024

_RULE_NAME: Final = re.compile(r"""^(?:-\s+|\s+(?:-\s+)?)name:\s*["']?([a-z0-9][a-z0-9-]{0,63})["']?\s*(?:#.*)?$""", re.MULTILINE)
"""The name of a rule, or of a test of one word: only a rule set's own begins its line. Files with mistakes are read, too."""

_HARMLESS: Final = re.compile(r"[A-Za-z0-9._:/=@%+,-]+")
"""What a shell takes as it is: some bans are of keys that clients chose, and what is completed stands on a command line."""

_IMPORTED: Final = re.compile(rf"\b{BUNDLED_WORD}\b(?:/((?:kits/)?[a-z0-9-]+))?")

type Completing = Callable[[click.Context, click.Parameter, str], list[str]]


def completes(names: Callable[[click.Context], Iterable[str]]) -> Completing:
    """A completion of names, for `shell_complete`. A fault gives no names."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        try:
            found = {name for name in names(context) if name.startswith(incomplete) and _HARMLESS.fullmatch(name)}
        except (OSError, ValueError, KeyError, TypeError, ControlError):
            return []
        taken = context.params.get("rules") or ()
        return sorted(found - set(taken))[:MAX_NAMES]

    return complete


def _settings(context: click.Context) -> Settings:
    """The settings that the command would have, whatever is wrong with some of them."""
    from proxyguard.settings.file import read_as_given  # noqa: PLC0415 - only when completing

    return read_as_given(context.params.get("config"), os.environ).settings


def ask(context: click.Context, command: str) -> dict[str, Any]:
    """What the running instance answers. Raises ControlError."""
    socket = context.params.get("control") or running_socket(_settings(context))
    return send_command(Path(socket), command, timeout=ANSWER_SECONDS)


def _rule_names(context: click.Context) -> Iterable[str]:
    """Of the rule files, and of the bundled ones that they import."""
    waiting = rule_files(_settings(context).rules)[0][:MAX_FILES]
    known = set(waiting)
    names: list[str] = []
    left = MAX_BYTES
    while waiting:
        text = waiting.pop().read_bytes()[:left].decode("utf-8", "replace")
        left -= len(text)
        names += _RULE_NAME.findall(re.split(r"^tests:", text, maxsplit=1, flags=re.MULTILINE)[0])
        imported = _IMPORTED.findall(text) if "import:" in text else ()
        files = {bundled_file(name) for name in bundled_names() if "" in imported}
        files |= {bundled_file(name) for name in importable_names() if name in imported}
        waiting += files - known
        known |= files
    return names


def _shadow_rule_names(context: click.Context) -> Iterable[str]:
    """Those that can be promoted, as far as the instance answers."""
    try:
        report = ask(context, "shadow-report")
    except ControlError:
        return _rule_names(context)
    return [*(rule["rule"] for rule in report["rules"]), *report["quiet"]]


def _restriction_names(context: click.Context) -> Iterable[str]:
    return [each["name"] for each in ask(context, "restrictions-list")["restrictions"]]


def _ended_by_hand(context: click.Context) -> Iterable[str]:
    return [each["name"] for each in ask(context, "restrictions-list")["restrictions"] if each["on"]]


def _paused_rules(context: click.Context) -> Iterable[str]:
    return list(ask(context, "status")["paused"])


def _banned(context: click.Context) -> Iterable[str]:
    """The keys as `bans list` shows them; of single clients and networks only what is banned."""
    keys = [ban["key"] for ban in ask(context, "bans-list")["bans"]]
    return [key.partition(":")[2] if key.startswith(("client:", "network:")) else key for key in keys]


rule_names: Final = completes(_rule_names)
shadow_rule_names: Final = completes(_shadow_rule_names)
restriction_names: Final = completes(_restriction_names)
restrictions_on: Final = completes(_ended_by_hand)
paused_rules: Final = completes(_paused_rules)
banned: Final = completes(_banned)
