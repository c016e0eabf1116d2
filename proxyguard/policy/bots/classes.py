"""The classes of a declared bot, by what its user agent says: `ai-training`, `search`, `http-library` …

A user agent is a claim: whoever says `Googlebot` is of the class `search`, true or not. The data are in `bot-classes.tsv`, which
`scripts/bot-classes` writes. Knows nothing of rules or requests.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from proxyguard.policy.compile.pattern_set import PatternSet

DATA: Final = Path(__file__).with_name("bot-classes.tsv")

MAX_BYTES: Final = 2048
"""Of a user agent that are looked at. The longest of a browser or crawler seen has 800."""

MAX_REMEMBERED: Final = 4096
"""User agents whose classes are remembered, the latest: with MAX_BYTES each at most 8 MiB, usually 1 MiB."""

LIBRARY: Final = b"http-library"
NAMED_TOOLS: Final = frozenset({b"package-manager", b"vcs", b"link-checker", b"podcast", b"federation"})
"""Tools that begin their user agent with their own name; they are no library then, whichever they name after it."""


@cache
def class_names() -> tuple[str, ...]:
    """Every class that the data have, sorted."""
    return tuple(sorted({name for names, _ in _entries() for name in names}))


@lru_cache(MAX_REMEMBERED)
def classes_of(user_agent: bytes) -> tuple[bytes, ...]:
    """The classes of a user agent, sorted; none when it is not one of a declared bot. Takes time linear in its length."""
    patterns, classes = _compiled()
    found = patterns.find(user_agent)
    if not found:
        return ()
    names = {name for position in found for name in classes[position]}
    if LIBRARY in names and not NAMED_TOOLS.isdisjoint(names):
        names.discard(LIBRARY)
    return tuple(sorted(names))


def prepare() -> None:
    """Compile the patterns now, 20 ms, rather than at the first request that is asked about."""
    _compiled()


@cache
def _compiled() -> tuple[PatternSet, tuple[tuple[bytes, ...], ...]]:
    entries = _entries()
    return PatternSet([pattern for _, pattern in entries]), tuple(tuple(name.encode() for name in names) for names, _ in entries)


@cache
def _entries() -> tuple[tuple[tuple[str, ...], bytes], ...]:
    """Classes and pattern of each line of the data."""
    lines = DATA.read_text("utf-8").splitlines()
    parts = (line.split("\t") for line in lines if not line.startswith("#"))
    return tuple((tuple(names.split(",")), pattern.encode()) for names, pattern in parts)
