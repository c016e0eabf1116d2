"""Formats a draft as the text of a rule file, in the layout that people use.

Rule files have texts only, so that quoting is all there is to decide: what is not plainly a word or a path stands in single
quotes, and what cannot stand on one line in double quotes with escapes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from textwrap import wrap
from typing import Any, Final

from proxyguard.core.decision import Mode
from proxyguard.tools.importers.draft import MAX_NOTES_SHOWN, Draft, DraftRule, DraftTest

WIDTH: Final = 120
INDENT: Final = "  "

TEST_BEGINS: Final = "  - request: "
"""How a test begins, on a line of its own and nowhere else."""

SCHEMA_LINE: Final = "# yaml-language-server: $schema=.schema.json"

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*(?: [A-Za-z0-9_./+-]+)*", re.ASCII)
_ODD_WORDS: Final = frozenset(
    ("", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "absent", "present", ".nan", ".inf")
)


def rule_file(draft: Draft, source: str, command: str, mode: Mode) -> str:
    """The whole file. `command` is what was typed, for the comment at the top."""
    lines = [SCHEMA_LINE, f"# Made by `{command}` from {comment_text(source)}."]
    lines += _notes(draft)
    lines.append(f"name: {draft.name}")
    lines.append(f"description: {scalar(draft.description)}")
    if mode is not Mode.ENFORCE:
        lines.append(f"mode: {scalar(mode, odd=mode is Mode.OFF)}")
    if draft.lists:
        lines += ["", "lists:"]
        for name, entries in draft.lists.items():
            lines += _block(name, entries, 1)
    lines += ["", "rules:"]
    for at, rule in enumerate(draft.rules):
        lines += [""] if at else []
        lines += _rule(rule)
    if draft.tests:
        lines += ["", "tests:"]
        for test in draft.tests:
            lines += _test(test, [rule.name for rule in draft.rules if rule.mode is not None and rule.name != test.rule])
    return "\n".join(lines) + "\n"


def comment_text(text: str) -> str:
    """A text that cannot end its comment."""
    return "".join(char if char.isprintable() else " " for char in text)


def _notes(draft: Draft) -> Iterator[str]:
    if not draft.notes:
        yield ""
        return
    yield "#"
    yield "# Not carried over, or changed:"
    for note in draft.notes[:MAX_NOTES_SHOWN]:
        first, *rest = wrap(comment_text(str(note)), WIDTH - 6, break_on_hyphens=False) or [""]
        yield f"# - {first}"
        yield from (f"#   {line}" for line in rest)
    if len(draft.notes) > MAX_NOTES_SHOWN:
        yield f"# - and {len(draft.notes) - MAX_NOTES_SHOWN} more, which the import listed"
    yield ""


def _rule(rule: DraftRule) -> Iterator[str]:
    pairs: list[tuple[str, Any]] = [("name", rule.name), ("why", rule.why)]
    if rule.when:
        pairs.append(("when", rule.when))
    if rule.limit is not None:
        pairs.append(("limit", rule.limit))
    pairs.append(("action", rule.action))
    if rule.expires is not None:
        pairs.append(("expires", rule.expires))
    if rule.mode is not None:
        pairs.append(("mode", rule.mode))
    lines = [line for key, value in pairs for line in _block(key, value, 2)]
    yield "  - " + lines[0].removeprefix(INDENT * 2)
    yield from lines[1:]


def _test(test: DraftTest, resting: list[str]) -> Iterator[str]:
    """A test. `resting`: rules that are in shadow by themselves, which tests would have in force."""
    first, *rest = [f"{key}: {flow(value)}" for key, value in _step(test).items()]
    yield f"{TEST_BEGINS}{first.removeprefix('request: ')}"
    yield from (f"    {line}" for line in rest)
    if resting:
        yield f"    without: {flow(resting)}"


def _step(test: DraftTest) -> dict[str, Any]:
    step: dict[str, Any] = {"request": test.request}
    step |= {"response": {"status": test.status}} if test.status else {}
    step |= {"repeat": str(test.repeat)} if test.repeat > 1 else {}
    step |= {"under_way": str(test.under_way)} if test.under_way else {}
    step["expect"] = test.expect
    return step | {"then": _step(test.then)} if test.then is not None else step


def _block(key: str, value: Any, level: int) -> Iterator[str]:
    """`key: value` on one line if it fits, else one line an entry."""
    indent = INDENT * level
    line = f"{indent}{key}: {flow(value)}"
    if isinstance(value, str) or len(line) <= WIDTH or not value:
        yield line
        return
    yield f"{indent}{key}:"
    if isinstance(value, dict):
        for inner, item in value.items():
            yield from _block(_key(inner), item, level + 1)
        return
    for item in value:
        yield from _item(item, level + 1)


def _item(item: Any, level: int) -> Iterator[str]:
    indent = INDENT * level
    line = f"{indent}- {flow(item)}"
    if isinstance(item, dict) and len(line) > WIDTH:
        lines = [each for key, value in item.items() for each in _block(_key(key), value, level + 1)]
        yield f"{indent}- {lines[0].strip()}"
        yield from lines[1:]
        return
    yield line


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return scalar(str(value))


def _key(key: str) -> str:
    return scalar(key)


def scalar(text: str, *, odd: bool = False) -> str:
    """A text, quoted where it has to be. A word that means something to other YAML readers is quoted too."""
    if _PLAIN.fullmatch(text) and not odd and text.lower() not in _ODD_WORDS - {"absent", "present"}:
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return json.dumps(text)
