"""Learns at which places of a site's paths names stand rather than words of the site, so that records do not repeat them.

A place is what stands before a segment, as a family: `/team/` in `/team/anna-smith`. A place at which many different words
were asked for, and let through, is one of names: there only words stay that a large part of its requests has. Bounded: MAX_PLACES
places, MAX_WORDS words each, of which one client network gives few, so that nobody alone says what is shown. What follows from
the shape of a segment alone is `core/path_family`'s.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from proxyguard.core.path_family import MAX_SEGMENTS, is_word_or_name

MAX_WORDS: Final = 32
"""Different words at a place of the site's own words. Sites have tens of pages at a place, and hundreds of members."""

MAX_OF_NETWORK: Final = 8
"""Words at a place that one client network may be the first to ask for."""

MAX_PLACES: Final = 512
"""About 2 MiB of words. Beyond, a place that is not known is taken for one of names."""

PLACES_OF_NETWORK: Final = 64
"""Places that one client network may be the first to ask for. Beyond, a place is one of names until another asks for it."""

LEAST_SHARE: Final = 10
"""At a place of names, a word stays that one of so many of its paths has."""

MAX_COUNT: Final = 1 << 20
"""Paths of a place that are counted; then all counts are halved."""

ANY: Final = "*"

_ESCAPED: Final = re.compile(rb"\\x([0-9a-f]{2})")
"""A byte that was no UTF-8, as `backslashreplace` writes it: the letters of names in Latin-1."""


class _Word:
    """A word at one place: how many paths had it, and the network that asked first for it."""

    __slots__ = ("network", "paths")

    def __init__(self, network: int, paths: int) -> None:
        self.network = network
        self.paths = paths


class _Place:
    """The words at one place, and how many paths had any."""

    __slots__ = ("has_names", "paths", "words")

    def __init__(self) -> None:
        self.words: dict[bytes, _Word] = {}
        self.paths = 0
        self.has_names = False


class LearnedPlaces:
    """What one process has learned. Called from its event loop only."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}
        self._of_network: Counter[int] = Counter()
        self._is_crowded = False
        self.changes = 0
        """Rises whenever something is learned; until then `without_names` says the same of the same."""

    def learn(self, path: bytes, network: int) -> None:
        """Count the words of a decoded path that was let through. `network`: of the client."""
        self.changes += 1
        before = word = ""
        segments = path.split(b"/", MAX_SEGMENTS + 1)
        for at in range(1, min(len(segments), MAX_SEGMENTS + 1)):
            before = f"{before}{word}/" if at > 1 else "/"
            word, segment = ANY, segments[at]
            if is_word_or_name(segment):
                place = self._places.get(before)
                if place is None:
                    if len(self._places) >= MAX_PLACES or self._of_network[network] >= PLACES_OF_NETWORK:
                        self._is_crowded = True
                        return
                    self._of_network[network] += 1
                    place = self._places[before] = _Place()
                _count(place, segment, network)
                word = ANY if _hides(place, segment) else segment.decode("utf-8", "backslashreplace")

    def without_names(self, path: str, mark: str) -> str:
        """A redacted path, or a family, with a mark in the place of words that are perhaps names."""
        before, shown = "/", []
        parts = path.split("/", MAX_SEGMENTS + 1)
        for segment in parts[1 : MAX_SEGMENTS + 1]:
            raw = segment.encode("utf-8", "surrogatepass")
            if b"\\x" in raw:
                raw = _ESCAPED.sub(_byte, raw)
            is_word = is_word_or_name(raw)
            is_name = is_word and self._is_name(before, raw)
            shown.append(mark if is_name else segment)
            before = f"{before}{segment if is_word and not is_name else ANY}/"
        return "/".join([parts[0], *shown, *parts[MAX_SEGMENTS + 1 :]])

    def _is_name(self, before: str, word: bytes) -> bool:
        place = self._places.get(before)
        if place is None:
            return self._is_crowded or len(self._places) >= MAX_PLACES
        return _hides(place, word)


def _byte(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode())


def _count(place: _Place, word: bytes, network: int) -> None:
    words = place.words
    known = words.get(word)
    place.paths += 1
    if known is not None:
        known.paths += 1
    elif len(words) >= MAX_WORDS:
        place.has_names = True
        words[word] = _Word(network, words.pop(_rarest(words)).paths + 1)  # as `core/busiest` keeps those with most
    elif sum([each.network == network for each in words.values()]) < MAX_OF_NETWORK:
        words[word] = _Word(network, 1)
    if place.paths >= MAX_COUNT:
        place.paths //= 2
        for each in words.values():
            each.paths //= 2


def _rarest(words: dict[bytes, _Word]) -> bytes:
    """Of those with the fewest paths the one that was taken up first."""
    rarest, fewest = b"", MAX_COUNT
    for word, known in words.items():
        if known.paths < fewest:
            rarest, fewest = word, known.paths
    return rarest


def _hides(place: _Place, word: bytes) -> bool:
    if not place.has_names:
        return False
    known = place.words.get(word)
    return known is None or known.paths * LEAST_SHARE < place.paths
