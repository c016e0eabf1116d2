"""`valid_referers` as the variable `$invalid_referer`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from proxyguard.tools.importers.conditions import ALWAYS, Condition, some
from proxyguard.tools.importers.draft import Draft, NotCarried
from proxyguard.tools.importers.nginx.syntax import Directive
from proxyguard.tools.importers.nginx.variables import Decision
from proxyguard.tools.importers.patterns import pattern_condition

_FIELD = "header.referer"


def referer_decisions(found: Directive, server_names: Sequence[str], draft: Draft) -> list[Decision]:
    """Empty for the valid ones, else 1."""
    parts: list[Condition | None] = []
    for arg in found.args:
        try:
            parts += _valid(arg, server_names)
        except NotCarried as error:
            draft.note(found.line, f"valid_referers: '{arg[:60]}' was left out: {error}", found.file)
    valid = some(parts)
    return [*([(valid, "")] if valid is not None else []), (ALWAYS, "1")]


def _valid(arg: str, server_names: Sequence[str]) -> list[Condition | None]:
    match arg:
        case "none":
            return [{_FIELD: ["absent", ""]}]
        case "blocked":
            return [{_FIELD: {"not": {"regex": "(?i)^https?://"}}, "header": {"referer": "present"}}]
        case "server_names":
            return [part for name in server_names if name not in {"_", ""} for part in _valid(name, ())]
        case _ if arg.startswith("~"):
            text = arg[1:].removeprefix("*")
            prefix = r"^https?://" if text.startswith("^") else r"^https?://.*"
            return [pattern_condition(_FIELD, prefix + f"(?:{text.removeprefix('^')})", ignore_case=True)]
        case _:
            host, _, path = arg.partition("/")
            text = re.escape(host.strip(".")).replace(r"\*", "[^/]*").replace(r"\-", "-")
            if host.startswith("."):
                text = rf"(?:[^/]*\.)?{text}"
            tail = f"/{re.escape(path)}" if path else r"(?::\d+)?(?:/|$)"
            return [pattern_condition(_FIELD, rf"^https?://{text}{tail}", ignore_case=True)]
