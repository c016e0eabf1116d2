"""RewriteCond and RewriteRule: those that refuse, and those that end the rules before they do."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from proxyguard.tools.importers.apache.syntax import Entry
from proxyguard.tools.importers.apache.variables import Environment, tested
from proxyguard.tools.importers.conditions import ALWAYS, Condition, every, negated, some
from proxyguard.tools.importers.draft import Draft, NotCarried, not_carried, slug
from proxyguard.tools.importers.patterns import escaped, pattern_condition
from proxyguard.tools.importers.refusals import refusal

_STATUS: Final = re.compile(r"(?:R|redirect)=(\d{3})", re.IGNORECASE)
_SKIPS: Final = re.compile(r"(?:S|skip)=(\d{1,4})", re.IGNORECASE)
_SETS: Final = re.compile(r"(?:E|env)=(\w+)(?::(.*))?", re.IGNORECASE)
_EVERY_PATH: Final = frozenset(
    ("^", "^.*$", ".*", ".", ".?", "^.", "^(.*)$", "(.*)", "^.*", "^(.*)", "", ".+", "^.+$", "^/?", "^/.*$", "^/", "$")
)  # fmt: skip
"""Patterns of a RewriteRule that every path fits."""

_VARIABLE: Final = re.compile(r"%\{(?:HTTP_|REQUEST_|ENV:)?([A-Za-z_]+)")


@dataclass(slots=True)
class _Skip:
    """The next `left` rules do not hold where `when` does."""

    left: int
    when: Condition | None


@dataclass(slots=True)
class Rewriting:
    """The state of one context. `in_folder`: patterns see the path without its first slash, as in .htaccess.

    `base`: the folder that a RewriteBase names, without its last slash: rules are for what is in it.
    """

    draft: Draft
    scope: Condition
    environment: Environment
    in_folder: bool
    label: str
    base: str = ""
    is_off: bool = False
    conditions: list[Entry] = field(default_factory=list)
    ended: list[Condition | None] = field(default_factory=list)
    """Requests that an earlier rule sent out of the rules."""
    skips: list[_Skip] = field(default_factory=list)
    chained: Condition | NotCarried | None = field(default_factory=dict)
    """When the rule before, which ends with `[C]`, holds: else the rules that it is chained to do not."""

    def add_rule(self, entry: Entry) -> None:
        """Take a RewriteRule with the conditions before it."""
        conditions, self.conditions = self.conditions, []
        chained, self.chained = self.chained, ALWAYS
        skipped = some(skip.when for skip in self.skips)
        for skip in self.skips:
            skip.left -= 1
        self.skips = [skip for skip in self.skips if skip.left > 0]
        if len(entry.args) < 2:
            return
        if self.is_off:
            if _status(_flags(entry.args[2] if len(entry.args) > 2 else "")):
                self.draft.note(entry.line, f"RewriteRule {entry.args[0][:50]} was left out: RewriteEngine is off")
            return
        pattern, target = entry.args[:2]
        flags = _flags(entry.args[2] if len(entry.args) > 2 else "")
        status = _status(flags)
        upper = {flag.upper() for flag in flags}
        ends = target == "-" and bool(upper & {"L", "LAST", "END"})
        sets = [found for flag in flags if (found := _SETS.fullmatch(flag))]
        skips = next((int(found[1]) for flag in flags if (found := _SKIPS.fullmatch(flag))), 0)
        chains = bool(upper & {"C", "CHAIN"})
        if status is None and not ends and not sets and not skips and not chains:
            return
        shown = f"RewriteRule {pattern[:50]} {target[:20]}"
        try:
            if isinstance(chained, NotCarried):
                raise chained
            own = self._when(pattern, conditions, ignore_case=bool(upper & {"NC", "NOCASE"}), is_refusal=status is not None)
            when = every([own, chained, negated(skipped)])
        except NotCarried as error:
            self.chained = error if chains else ALWAYS
            if status is not None or sets:
                self.draft.note(entry.line, f"{shown} was left out: {error}")
            elif ends or skips:
                self.draft.note(entry.line, f"{shown} was left out: {error}; the rules after it hold for whom it spares, too")
            return
        for found in sets:
            self.environment[found[1]] = some([self.environment.get(found[1]), when])
        self.chained = when if chains else ALWAYS
        if status is not None:
            self._refuse(entry, status, every([when, negated(some(self.ended))]), conditions)
        elif ends:
            self.ended.append(when)
        elif skips:
            self.skips.append(_Skip(skips, when))

    def _refuse(self, entry: Entry, status: str, when: Condition | None, conditions: list[Entry]) -> None:
        action = refusal(status, self.draft, entry.line)
        both = every([self.scope, when])
        if action is None or both is None:
            return
        if not both:
            self.draft.note(entry.line, "a RewriteRule was left out: it would refuse every request")
            return
        names = list(
            dict.fromkeys(found[1].lower() for each in conditions if each.args and (found := _VARIABLE.match(each.args[0])))
        )
        label = "-".join(names[:2]) or slug(entry.args[0])[:30]
        self.draft.add(
            f"{self.label}-{label}".strip("-"), f"Apache's RewriteRule refuses them with {status}.", both, action, entry.line
        )

    def _when(self, pattern: str, conditions: list[Entry], *, ignore_case: bool, is_refusal: bool) -> Condition | None:
        """The path and all conditions; those joined by OR as one. Raises NotCarried."""
        parts = [self._path(pattern, ignore_case=ignore_case)]
        either: list[Condition | None] = []
        lost: NotCarried | None = None
        for entry in conditions:
            flags = {flag.upper() for flag in _flags(entry.args[2] if len(entry.args) > 2 else "")}
            is_or = bool(flags & {"OR", "ORNEXT"})
            try:
                if len(entry.args) < 2:
                    not_carried("a RewriteCond without a pattern")
                either.append(tested(entry.args[0], entry.args[1], self.environment, ignore_case=bool(flags & {"NC", "NOCASE"})))
            except NotCarried as error:
                lost = error
                if is_refusal and (is_or or either):
                    self.draft.note(entry.line, f"RewriteCond {' '.join(entry.args[:2])[:70]} was left out: {error}")
            if not is_or:
                if lost is not None and not either:
                    raise lost
                parts.append(some(either))
                either, lost = [], None
        if either or lost is not None:
            parts.append(some(either))
        return every(parts)

    def _path(self, pattern: str, *, ignore_case: bool) -> Condition | None:
        text = pattern.removeprefix("!")
        start = f"^{escaped(self.base)}/"
        if self.in_folder and text not in _EVERY_PATH and text.startswith("^") and not text.startswith(("^/", "^(/")):
            text = start + text[1:]
        found = ALWAYS if text in _EVERY_PATH else pattern_condition("path", text, ignore_case=ignore_case)
        holds = negated(found) if pattern.startswith("!") else found
        if not self.base or (text.startswith(start) and not pattern.startswith("!")):
            return holds
        return every([{"path": {"prefix": f"{self.base}/"}}, holds])


def _flags(text: str) -> list[str]:
    return [flag.strip() for flag in text.strip().strip("[]").split(",") if flag.strip()]


def _status(flags: list[str]) -> str | None:
    """The status that the rule refuses with; None when it does not."""
    for flag in flags:
        if flag.upper() in {"F", "FORBIDDEN"}:
            return "403"
        if flag.upper() in {"G", "GONE"}:
            return "410"
        found = _STATUS.fullmatch(flag)
        if found and found[1][0] in "45":
            return found[1]
    return None
