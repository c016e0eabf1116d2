"""The Allow and Disallow lines of one group of robots.txt, and which of them decides about a path: the longest that matches.

A pattern is a prefix in which `*` stands for anything and a final `$` for the end (RFC 9309 section 2.2.3). Paths are chosen by
clients: a look-up costs a search in a sorted table, and for each pattern with a star one pass over at most MAX_LOOKED_AT bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from proxyguard.core.reading import percent_decode
from proxyguard.policy.compile.text_index import PrefixTable

MAX_LOOKED_AT: Final = 2048
"""Bytes of a path with its query that patterns are compared with; addresses that crawlers follow are shorter."""

MAX_STARS: Final = 16
"""Stars of one pattern. Of an Allow with more the rest is left off, which allows more; a Disallow with more is left out."""

MAX_WILD: Final = 500
"""Patterns with stars of one group. Where there are more, what would be disallowed is unknown. Large shops have 100."""


class PathRule(NamedTuple):
    """One line. A rule with more bytes beats one with fewer; of equal ones that which allows."""

    length: int
    allows: bool


class WildRule(NamedTuple):
    """A line with stars: what stands before, between and after them, decoded."""

    rule: PathRule
    head: bytes
    middle: tuple[bytes, ...]
    tail: bytes
    ends: bool
    """Whether the path must end with the tail."""

    def matches(self, path: bytes) -> bool:
        """Whether the path matches: each part is looked for behind the one before, leftmost first."""
        if not path.startswith(self.head):
            return False
        at = len(self.head)
        for part in self.middle:
            found = path.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        if self.ends:
            return path.endswith(self.tail) and len(path) - len(self.tail) >= at
        return path.find(self.tail, at) >= 0


class PathRules:
    """Decides about paths. Immutable once made."""

    __slots__ = ("_is_whole", "_plain", "_prefixes", "_whole_paths", "_wild")

    def __init__(self, lines: Sequence[tuple[bytes, bool]]) -> None:
        """`lines`: a pattern as it was written, and whether it allows."""
        prefixes: dict[bytes, PathRule] = {}
        whole: dict[bytes, PathRule] = {}
        wild: list[WildRule] = []
        self._is_whole = True
        for pattern, allows in lines:
            if not pattern.startswith((b"/", b"*")):
                continue  # no path begins otherwise; crawlers do not heed it
            rule = PathRule(len(pattern), allows)
            ends = pattern.endswith(b"$")
            text = pattern[:-1] if ends else pattern.rstrip(b"*")
            if text.find(b"*") < 0:
                table, key = whole if ends else prefixes, percent_decode(text)
                table[key] = max(rule, table.get(key, rule))
            elif len(wild) >= MAX_WILD:
                self._is_whole = False
            else:
                found = _wild(rule, text, ends=ends)
                if found is not None:
                    wild.append(found)
        self._whole_paths = whole
        self._plain = tuple(prefixes.values())
        self._prefixes = PrefixTable({prefix: (number,) for number, prefix in enumerate(prefixes)})
        self._wild = tuple(sorted(wild, key=lambda each: each.rule, reverse=True))

    @property
    def is_whole(self) -> bool:
        """Whether every line could be taken."""
        return self._is_whole

    def find(self, path: bytes) -> PathRule | None:
        """The line that decides about a decoded path with its query; None when none matches."""
        best = self._whole_paths.get(path)
        marks = self._prefixes.find(path)
        if marks:
            longest = self._plain[marks[0]]
            best = longest if best is None or longest > best else best
        for each in self._wild:
            if best is not None and each.rule <= best:
                break
            if each.matches(path):
                return each.rule
        return best


def _wild(rule: PathRule, text: bytes, *, ends: bool) -> WildRule | None:
    head, *rest = [percent_decode(part) for part in text.split(b"*")]
    if len(rest) > MAX_STARS:
        if not rule.allows:
            return None
        rest, ends = rest[:MAX_STARS], False
    return WildRule(rule, head, tuple(part for part in rest[:-1] if part), rest[-1], ends)
