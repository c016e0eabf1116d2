"""Families of paths: `/users/ada.lovelace` is `/users/{word}`, and `/users/4711` is `/users/{number}`.

A segment is kept as it is only when it is one of the words given beforehand: those of the rules under test and of the range's own
site. A path that rules do not name cannot be told apart by them, so nothing is lost; and whatever a visitor had in a path, it is
none of those words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import lru_cache
from itertools import islice
from random import Random
from typing import Final

from proxyguard.policy.model import Policy
from proxyguard.tools.range.draw import WORDS, popular_item
from proxyguard.tools.range.site import FIXED, LISTS, NUMBERED
from proxyguard.tools.replay.traits import ASSETS

NUMBER: Final = "{number}"
WORD: Final = "{word}"

MAX_DEPTH: Final = 6
"""Segments of a path that are looked at; what is below is left out."""

TESTS: Final = "tests"
MAX_WORDS: Final = 20_000
MAX_WORD: Final = 40
ENDINGS: Final = frozenset({*ASSETS, b"xml", b"rss", b"atom", b"txt", b"html", b"php", b"pdf", b"zip", b"gz", b"ics"})

_PLAIN: Final = re.compile(r"\.?[A-Za-z][A-Za-z0-9_.-]*")
_DIGITS: Final = re.compile(rb"\d{1,18}")
_PARTS: Final = re.compile(r"(\{number\}|\{word\})")


class Vocabulary:
    """The words that a family may have, as they are written in rules; what is compared is in lower case."""

    __slots__ = ("family", "words")

    def __init__(self, words: Iterable[str]) -> None:
        plain = (word for word in words if len(word) <= MAX_WORD and _PLAIN.fullmatch(word))
        self.words = {word.lower(): word for word in islice(plain, MAX_WORDS)}
        self.family = lru_cache(maxsize=50_000)(self._family)

    def _family(self, path: bytes) -> str:
        """The family of a path without its query."""
        segments = path.split(b"/")[1 : MAX_DEPTH + 1]
        return "/" + "/".join(self._segment(segment) for segment in segments)

    def _segment(self, segment: bytes) -> str:
        if not segment:
            return ""
        known = self.words.get(segment.decode("ascii", "replace").lower())
        if known is not None:
            return known
        stem, dot, ending = segment.rpartition(b".")
        if dot and stem and ending.lower() in ENDINGS:
            return f"{self._segment(stem)}.{ending.lower().decode()}"
        return NUMBER if _DIGITS.fullmatch(segment) else WORD


def words_of(policies: Iterable[Policy]) -> Iterator[str]:
    """The words that may be kept: segments of every path that rules name, and of the range's site."""
    own = (*(path for path in FIXED if b".git" not in path), *LISTS, *(b"/" + name for name in NUMBERED), b"/calendar")
    for text in (*(path.decode() for path in own), *(text for policy in policies for text in _paths(policy))):
        yield from text.split("/")


def _paths(value: object) -> Iterator[str]:
    """Every text that begins with a slash, wherever it stands in a policy but in its tests, which name people."""
    if isinstance(value, str):
        if value.startswith("/"):
            yield value
    elif isinstance(value, bytes):
        yield from _paths(value.decode("utf-8", "replace"))
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _paths(inner)
    elif isinstance(value, tuple | list | frozenset | set):
        for inner in value:
            yield from _paths(inner)
    elif is_dataclass(value):
        for field in fields(value):
            if field.name != TESTS:
                yield from _paths(getattr(value, field.name))


def target_of(family: str, random: Random) -> bytes:
    """A path of the family: numbers by popularity, words that are made up."""
    return "".join(_filled(part, random) for part in _PARTS.split(family)).encode()


def _filled(part: str, random: Random) -> str:
    if part == NUMBER:
        return str(popular_item(random))
    return f"{random.choice(WORDS).decode()}-{popular_item(random)}" if part == WORD else part


def family_pattern(family: str) -> re.Pattern[bytes]:
    """What recognises the paths of a family."""
    forms = {NUMBER: r"\d{1,18}", WORD: r"[^/]{1,200}"}
    return re.compile("".join(forms.get(part) or re.escape(part) for part in _PARTS.split(family)).encode())
