"""Which texts of a policy a value compares with: one index per field, whose cost depends on the value alone.

Equal texts are a dictionary, prefixes and suffixes a sorted table, words a dictionary of tokens, texts that may stand anywhere in
either case a dictionary of their rarest four bytes, a few that may stand anywhere a list, everything else one RE2 set.
Knows nothing of rules: a text carries marks (small numbers), and a look-up answers the marks of every text that compares.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.policy.compile.cooperative import YieldControl, in_steps, never_yield, sorted_in_steps
from proxyguard.policy.compile.needed_bytes import needed_bytes, rare_bytes
from proxyguard.policy.compile.pattern_set import PatternSet, beginnings, pattern_of
from proxyguard.policy.model import TextKind

MEMO_VALUES: Final = 2048
"""Per field, then it begins anew; about 1.5 MiB when all of them are as long as they may be."""

MEMO_VALUE_BYTES: Final = 512
"""Longer than any user agent that comes again."""

Marks = tuple[int, ...]
Find = Callable[[bytes], Collection[int] | None]
"""From a value to the marks of what compares with it; None for none."""

NOTHING: Final[AbstractSet[int]] = frozenset()

_TOKENS: Final = bytes(ord(chr(byte).lower()) if byte < 0x80 and chr(byte).isalnum() else 0x20 for byte in range(256))
"""Translates a text to its tokens: ASCII letters and digits in lower case, everything else a space."""

_WILDCARD: Final = re.compile(rb"[*?]")


def simplest(kind: TextKind, text: bytes) -> tuple[TextKind, bytes]:
    """The cheapest matcher that means the same: a glob may be a prefix, a regex is left alone."""
    if kind is not TextKind.GLOB:
        return kind, text
    core = text.strip(b"*")
    if _WILDCARD.search(core):
        return kind, text
    starts, ends = text.startswith(b"*"), text.endswith(b"*")
    if starts and ends:
        return TextKind.CONTAINS, core
    if starts:
        return TextKind.SUFFIX, core
    return (TextKind.PREFIX if ends else TextKind.EQUAL), core


def remembering(find: Find, most: int, most_bytes: int) -> Find:
    """The same function, which knows so many values again that are not longer than that."""
    known: dict[bytes, Collection[int]] = {}

    def look(value: bytes) -> Collection[int] | None:
        found = known.get(value)
        if found is None:
            found = find(value) or NOTHING
            if len(value) <= most_bytes:
                keep_at_hand(known, most, value, found)
        return found

    return look


def _known_by_hash(find: Callable[[bytes], Collection[int]]) -> Find:
    known: dict[int, Collection[int]] = {}

    def look(value: bytes) -> Collection[int]:
        mark = hash(value)
        found = known.get(mark)
        if found is None:
            found = keep_at_hand(known, MEMO_VALUES, mark, find(value))
        return found

    return look


class TextIndex:
    """Finds the marks of all texts that a value compares with."""

    __slots__ = (
        "_anywhere", "_beginnings", "_equal", "_has_others", "_inside", "_needed", "_patterns", "_prefixes", "_rare", "_suffixes",
        "_words",
    )  # fmt: skip

    def __init__(self, texts: Iterable[tuple[TextKind, bytes, int]], yield_control: YieldControl = never_yield) -> None:
        """`texts` are matcher kind, text, mark. Raises PolicyError when a pattern cannot be compiled."""
        by_kind: dict[TextKind, dict[bytes, set[int]]] = {kind: {} for kind in TextKind}
        for kind, text, mark in in_steps(tuple(texts), yield_control):
            kind, text = simplest(kind, text)  # noqa: PLW2901 - the same text in its simplest form
            if kind is TextKind.WORD and not text.translate(_TOKENS).split():
                kind, text = TextKind.REGEX, pattern_of(kind, text)  # noqa: PLW2901 - a word without a token has no index
            elif kind is TextKind.GLOB:
                kind, text = TextKind.REGEX, pattern_of(kind, text)  # noqa: PLW2901 - one set for globs and patterns
            by_kind[kind].setdefault(text, set()).add(mark)
        self._equal = _with_marks(by_kind[TextKind.EQUAL])
        self._prefixes = PrefixTable(_with_marks(by_kind[TextKind.PREFIX]), yield_control) if by_kind[TextKind.PREFIX] else None
        self._suffixes = SuffixTable(_with_marks(by_kind[TextKind.SUFFIX]), yield_control) if by_kind[TextKind.SUFFIX] else None
        self._words = WordTable(_with_marks(by_kind[TextKind.WORD]), yield_control) if by_kind[TextKind.WORD] else None
        if len(by_kind[TextKind.CONTAINS]) > FEW_TEXTS:
            for text, found in by_kind.pop(TextKind.CONTAINS).items():
                by_kind[TextKind.REGEX].setdefault(pattern_of(TextKind.CONTAINS, text), set()).update(found)
        self._inside = tuple(_with_marks(by_kind.get(TextKind.CONTAINS, {})).items())
        anywhere = _with_marks(by_kind[TextKind.CONTAINS_ANY])
        self._anywhere = SubstringTable(anywhere, yield_control) if anywhere else None
        patterns = _with_marks(by_kind[TextKind.REGEX])
        self._patterns = (
            (PatternSet(tuple(patterns), yield_control=yield_control), tuple(patterns.values())) if patterns else None
        )
        known = {pattern: beginnings(pattern) for pattern in patterns}
        beginning = dict.fromkeys([text for texts in known.values() for text in texts], (0,))
        self._beginnings = PrefixTable(beginning, yield_control) if beginning else None
        """What values begin with in which some patterns are found."""
        others = [pattern for pattern in patterns if not known[pattern]]
        self._has_others = bool(others)
        self._needed = _changing(needed_bytes(others))
        """Changes each value in which one of the other patterns is found; None: one may be found in any value."""
        self._rare = _changing(rare_bytes((*anywhere, *(text for text, _ in self._inside))))
        """Changes each value in which a text stands that may stand anywhere; None: one may stand in any value."""

    def finder(self, *, remembers: bool = True, is_secret: bool = False) -> Find:
        """A function from a value to the marks of every text that it compares with, or None for none.

        User agents and the like come again and again, and a dictionary beats any automaton: where a look-up costs more than
        that, values of ordinary length are remembered, unless the caller does so. A flood of values never seen again
        makes that useless for a while, never large, never wrong. Secrets are known again by a hash that nobody else can make.
        """
        if self._words is None and self._patterns is None and self._anywhere is None and not self._inside:
            if self._prefixes is None and self._suffixes is None:
                return self._equal.get
            return self._of_affixes
        if not remembers:
            return self.find
        return _known_by_hash(self.find) if is_secret else remembering(self.find, MEMO_VALUES, MEMO_VALUE_BYTES)

    def _of_affixes(self, value: bytes) -> Marks:
        """Of the texts that a value is, begins or ends with: of all, where there are neither words nor patterns."""
        marks = self._equal.get(value, ())
        if self._prefixes is not None:
            marks += self._prefixes.find(value)
        if self._suffixes is not None:
            marks += self._suffixes.find(value)
        return marks

    def find(self, value: bytes) -> Collection[int]:
        """The marks of every text that `value` compares with."""
        affixed = self._of_affixes(value)
        may_contain = self._may_contain(value)
        may_find = self._may_find(value)
        if self._words is None and not may_contain and not may_find:
            return affixed
        positions: list[int] = []
        by_position: tuple[Marks, ...] = ()
        if may_find and self._patterns is not None:
            found, by_position = self._patterns
            positions = found.find(value)
            if len(positions) < 2 and self._words is None and not may_contain and not affixed:
                return by_position[positions[0]] if positions else NOTHING
        marks = set(affixed)
        if self._words is not None:
            self._words.collect(value, marks)
        if may_contain:
            for text, text_marks in self._inside:
                if value.find(text) >= 0:
                    marks.update(text_marks)
            if self._anywhere is not None:
                self._anywhere.collect(value.lower(), marks)
        for position in positions:
            marks.update(by_position[position])
        return marks or NOTHING

    def _may_contain(self, value: bytes) -> bool:
        """Whether any text has to be looked for that may stand anywhere: most paths have nothing of them."""
        if self._anywhere is None and not self._inside:
            return False
        return self._rare is None or value.translate(self._rare) != value

    def _may_find(self, value: bytes) -> bool:
        """Whether any pattern has to be looked for: most fields have nothing of what exploits are made of."""
        if self._has_others and (self._needed is None or value.translate(self._needed) != value):
            return True
        return self._beginnings is not None and bool(self._beginnings.find(value))


def _changing(found: bytes) -> bytes | None:
    """What changes (`bytes.translate`) the values that have one of these bytes; None for no bytes."""
    return bytes.maketrans(found, bytes([(byte + 1) & 0xFF for byte in found])) if found else None


class PrefixTable:
    """Sorted prefixes; each knows the longest other one that it starts with, and the marks of itself and all of those."""

    __slots__ = ("_least", "_marks", "_shorter", "_sorted", "_stems")

    def __init__(self, prefixes: Mapping[bytes, Marks], yield_control: YieldControl = never_yield) -> None:
        self._sorted = sorted_in_steps(tuple(prefixes), yield_control)
        self._shorter: list[int] = []
        self._marks: list[Marks] = []
        for at, prefix in enumerate(in_steps(self._sorted, yield_control)):
            shorter = at - 1
            while shorter >= 0 and not prefix.startswith(self._sorted[shorter]):
                shorter = self._shorter[shorter]
            self._shorter.append(shorter)
            self._marks.append((*prefixes[prefix], *(self._marks[shorter] if shorter >= 0 else ())))
        self._least = min(map(len, prefixes), default=0)
        self._stems = frozenset(prefix[: self._least] for prefix in prefixes)
        """What a value begins with that begins with any of them: as many bytes as the shortest has."""

    def find(self, value: bytes) -> Marks:
        """Marks of the prefixes that `value` starts with.

        The nearest prefix at or before a value in sorted order starts with every prefix that the value starts with.
        """
        if value[: self._least] not in self._stems:
            return ()
        at = bisect_right(self._sorted, value) - 1
        while at >= 0:
            if value.startswith(self._sorted[at]):
                return self._marks[at]
            at = self._shorter[at]
        return ()


class SuffixTable:
    """Suffixes, as prefixes of what is read backwards."""

    __slots__ = ("_backwards", "_ends", "_least")

    def __init__(self, suffixes: Mapping[bytes, Marks], yield_control: YieldControl = never_yield) -> None:
        self._backwards = PrefixTable({text[::-1]: marks for text, marks in suffixes.items()}, yield_control)
        self._least = min(map(len, suffixes), default=0)
        self._ends = frozenset(text[len(text) - self._least :] for text in suffixes)
        """What a value ends with that ends with any of them: as many bytes as the shortest has."""

    def find(self, value: bytes) -> Marks:
        """Marks of the suffixes that `value` ends with."""
        start = len(value) - self._least
        return self._backwards.find(value[::-1]) if start >= 0 and value[start:] in self._ends else ()


class WordTable:
    """Words by their rarest token; a word of several tokens is then looked for in the value."""

    __slots__ = ("_phrases", "_singles", "_tokens")

    def __init__(self, words: Mapping[bytes, Marks], yield_control: YieldControl = never_yield) -> None:
        """Each word has at least one token."""
        singles: dict[bytes, set[int]] = {}
        phrases: dict[bytes, list[tuple[bytes, Marks]]] = {}
        tokens_of = {word: word.translate(_TOKENS).split() for word in words}
        frequency = Counter(token for tokens in tokens_of.values() for token in set(tokens))
        for word, tokens in in_steps(tuple(tokens_of.items()), yield_control):
            if tokens == [word.lower()]:
                singles.setdefault(tokens[0], set()).update(words[word])
            else:
                rarest = min(tokens, key=lambda token: (frequency[token], -len(token)))
                phrases.setdefault(rarest, []).append((word.lower(), words[word]))
        self._singles = {token: tuple(sorted(marks)) for token, marks in singles.items()}
        self._phrases = phrases
        self._tokens = frozenset(singles) | frozenset(phrases)

    def collect(self, value: bytes, marks: set[int]) -> None:
        """Add to `marks` those of every word that stands in `value`."""
        lower = b""
        for token in self._tokens.intersection(value.translate(_TOKENS).split()):
            marks.update(self._singles.get(token, ()))
            for word, word_marks in self._phrases.get(token, ()):
                lower = lower or value.lower()
                if stands_in(word, lower):
                    marks.update(word_marks)


class SubstringTable:
    """Texts in lower case by their rarest run of GRAM_BYTES; shorter ones, and a few of any length, are looked for one by one.

    A look-up takes the runs of the value apart, so its cost depends on the value, whether there are ten texts or ten thousand.
    """

    __slots__ = ("_by_gram", "_grams", "_short")

    def __init__(self, texts: Mapping[bytes, Marks], yield_control: YieldControl = never_yield) -> None:
        grams_of = {text: _grams(text) for text in in_steps(tuple(texts), yield_control)}
        frequency = Counter(gram for grams in in_steps(tuple(grams_of.values()), yield_control) for gram in grams)
        by_gram: dict[bytes, list[tuple[bytes, Marks]]] = {}
        self._short: list[tuple[bytes, Marks]] = []
        for text, grams in in_steps(tuple(grams_of.items()), yield_control):
            if grams and len(texts) > FEW_TEXTS:
                rarest = min(grams, key=lambda gram: (frequency[gram], gram))
                by_gram.setdefault(rarest, []).append((text, texts[text]))
            else:
                self._short.append((text, texts[text]))
        self._by_gram = by_gram
        self._grams = frozenset(by_gram)

    def collect(self, value: bytes, marks: set[int]) -> None:
        """Add to `marks` those of every text that stands in `value`, which is in lower case."""
        for text, text_marks in self._short:
            if value.find(text) >= 0:
                marks.update(text_marks)
        if self._by_gram:
            for gram in self._grams.intersection(_grams(value)):
                for text, text_marks in self._by_gram[gram]:
                    if value.find(text) >= 0:
                        marks.update(text_marks)


FEW_TEXTS: Final = 8
"""So many are looked for faster one by one."""

GRAM_BYTES: Final = 4
"""Of names of programs, few share four bytes; texts that are shorter are found in many values and few in a list."""


def _grams(text: bytes) -> set[bytes]:
    return {text[at : at + GRAM_BYTES] for at in range(len(text) - GRAM_BYTES + 1)}


def stands_in(word: bytes, value: bytes) -> bool:
    """Whether `word` occurs in `value` neither preceded nor followed by an ASCII letter or digit; both in lower case."""
    at = value.find(word)
    while at >= 0:
        end = at + len(word)
        if not (at and _is_alnum(value[at - 1])) and not (end < len(value) and _is_alnum(value[end])):
            return True
        at = value.find(word, at + 1)
    return False


def _is_alnum(byte: int) -> bool:
    return _TOKENS[byte] != 0x20


def _with_marks(texts: Mapping[bytes, set[int]]) -> dict[bytes, Marks]:
    return {text: tuple(sorted(marks)) for text, marks in texts.items()}


def joined(first: Collection[int] | None, second: Collection[int] | None) -> Collection[int] | None:
    """All marks of two look-ups, as far as they found any."""
    if not first or not second:
        return first or second
    return (*first, *second)
