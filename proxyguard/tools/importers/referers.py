"""`valid_referers` of nginx: where a reference comes from, as a condition on the Referer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from proxyguard.tools.importers.conditions import Condition
from proxyguard.tools.importers.patterns import pattern_condition

_FIELD: Final = "header.referer"


def valid_referer(arg: str, server_names: Sequence[str]) -> list[Condition | None]:
    """What one word of `valid_referers` lets pass. Raises NotCarried."""
    match arg:
        case "none":
            return [{_FIELD: ["absent", ""]}]
        case "blocked":
            return [{"all": [{_FIELD: "present"}, {"not": {_FIELD: {"regex": "(?i)^https?://"}}}]}]
        case "server_names":
            return [part for name in server_names if name not in {"_", ""} for part in valid_referer(name, ())]
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
