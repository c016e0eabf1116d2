"""What the YAML parser's messages mean to somebody who edits a rule file. Knows nothing of YAML but these words."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Final


def syntax_words(problem: str, rest: str, opened: int, before: str = "") -> tuple[str, str]:
    """Message and hint for what libyaml said.

    `rest` is the text from the fault on, `before` what stands before it on its line, `opened` a line above it or 0.
    """
    if "did not find expected key" in problem and before.strip():
        return _after_value(before)
    if "cannot start any token" in problem and rest[:1] in _CANNOT_START:
        return _CANNOT_START[rest[:1]]
    if "cannot start any token" in problem and rest[:1].isprintable():
        return f"a value cannot begin with {rest[:1]}", "put it in single quotes"
    if "node content" in problem and not rest.strip():
        return "the file ends here, inside of a [ or { that is not closed", "look for a missing ] or }"
    for fault in _faults():
        if fault["holds"] in problem:
            return fault["message"].format(where=f" on line {opened}" if opened else ""), fault["hint"]
    return f"not valid YAML: {problem}", "look for a missing quote, bracket or colon on this line or the one above"


def _after_value(before: str) -> tuple[str, str]:
    """Something follows a value on its line."""
    if before.rstrip()[-1] in "'\"":
        return "text after a closing quote", "inside of '…' write '' for a quote, or put the whole value into \"…\""
    return ("text after the end of a value", "look for a missing ':' after the key of this line, or for a bracket too many")


_CANNOT_START: Final = {
    "\t": ("a tab cannot indent YAML", "indent with spaces"),
    "%": ("a value cannot begin with %", "put it in single quotes"),
    "@": ("a value cannot begin with @", "put it in single quotes"),
    "`": ("a value cannot begin with `", "put it in single quotes"),
}


@cache
def _faults() -> list[dict[str, str]]:
    faults: list[dict[str, str]] = tomllib.loads((files("proxyguard.core.yaml") / "syntax_errors.toml").read_text("utf-8"))[
        "faults"
    ]
    return faults
