r"""Patterns for the target as it was sent, path and query together (`$request_uri`, `%{REQUEST_URI}?…`), as conditions.

Rules look at the path and at the query by themselves: a pattern is split at its `\?`, and one that has none and no anchor is
looked for in both.
"""

from __future__ import annotations

from proxyguard.tools.importers.conditions import Condition, every, some
from proxyguard.tools.importers.draft import NotCarried
from proxyguard.tools.importers.patterns import alternatives, pattern_condition


def target_condition(pattern: str, *, ignore_case: bool) -> Condition | None:
    """The requests whose target the pattern finds. Raises NotCarried."""
    parts = alternatives(pattern) if r"\?" in pattern or "[?]" in pattern else [pattern]
    return some(_one(part, ignore_case=ignore_case) for part in parts)


def _one(pattern: str, *, ignore_case: bool) -> Condition | None:
    before, mark, after = _split(pattern)
    if mark:
        if before.count("(") - before.count(r"\(") != before.count(")") - before.count(r"\)"):
            raise NotCarried(f"'{pattern[:60]}' has the ? of the query inside of a group")
        path = pattern_condition("path", f"{before}$", ignore_case=ignore_case) if before.strip("^") else {}
        query = pattern_condition("query_string", f"^{after}", ignore_case=ignore_case) if after else {}
        return every([path, query or {"query_string": "present"}])
    if pattern.startswith("^"):
        path = pattern_condition("path", pattern, ignore_case=ignore_case)
        ends = pattern.endswith("$") and not pattern.endswith(r"\$")
        return every([path, {"query_string": "absent"}]) if ends else path
    in_path = pattern_condition("path", pattern, ignore_case=ignore_case)
    if pattern.endswith("$"):
        in_path = every([in_path, {"query_string": ["absent", ""]}]) or {}
    return some([in_path, pattern_condition("query_string", pattern, ignore_case=ignore_case)])


def _split(pattern: str) -> tuple[str, str, str]:
    r"""At the first `\?` or `[?]`."""
    for mark in (r"\?", "[?]"):
        if mark in pattern:
            return pattern.partition(mark)
    return pattern, "", ""
