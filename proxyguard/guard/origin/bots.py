"""The bots whose identity can be proven, and whom a user agent claims to be.

A claim is a name in a user agent and grants nothing; a user agent that names several bots claims none of them (previews that
phones make call themselves facebookexternalhit and Twitterbot at once, so that sites show them a card). Knows nothing of how
claims are proven.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.policy.bots.identities import identity_rows

DATA: Final = Path(__file__).with_name("data")

MAX_LOOKED_AT: Final = 512
"""Bytes of a user agent in which a name is looked for: those of bots have about 150."""

MAX_REMEMBERED: Final = 4096
"""User agents whose claim is remembered: 2.5 MiB at most. When they are more, all are forgotten: finding out takes 2 µs."""


class KnownBot(NamedTuple):
    """A bot and its ways to prove itself; see policy/bots/bots.toml."""

    name: str
    class_: str
    tokens: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()


_NOBODY: Final = KnownBot("", "")
"""What is remembered of a user agent that claims to be no bot."""


def read_bots(rows: Mapping[str, Mapping[str, Any]]) -> tuple[KnownBot, ...]:
    """Bots from rows as policy/bots/bots.toml has them. Raises ValueError."""
    bots = []
    for name, row in rows.items():
        texts = {key: tuple(row.get(key, ())) for key in ("tokens", "suffixes", "shared", "ranges", "directories")}
        unknown = row.keys() - texts.keys() - {"class"}
        if unknown:
            raise ValueError(f"{name}: unknown key {min(unknown)}")
        bots.append(KnownBot(name, row["class"], **texts))
    return tuple(bots)


@cache
def bundled_bots() -> tuple[KnownBot, ...]:
    """Those that come with proxyguard."""
    return read_bots(identity_rows())


class Claims:
    """Finds whom user agents claim to be."""

    __slots__ = ("_by_name", "_by_token", "_pattern", "_remembered", "bots")

    def __init__(self, bots: Iterable[KnownBot]) -> None:
        self.bots = tuple(bots)
        self._by_name = {bot.name: bot for bot in self.bots}
        self._by_token = {token.lower().encode(): bot for bot in self.bots for token in bot.tokens}
        tokens = b"|".join(re.escape(token) for token in sorted(self._by_token, key=len, reverse=True))
        # Whole products; not what somebody is `like`, nor a part of an address. An empty alternation would match anywhere.
        self._pattern = re.compile(rb"(?<![\w./@-])(?<!like )(" + (tokens or rb"(?!)") + rb")(?![\w-])", re.IGNORECASE)
        self._remembered: dict[bytes, KnownBot] = {}

    def named(self, name: str) -> KnownBot | None:
        """The bot of this name."""
        return self._by_name.get(name)

    def of(self, user_agent: bytes) -> KnownBot | None:
        """The only bot that a user agent names; None when it names none, or several."""
        text = user_agent if len(user_agent) <= MAX_LOOKED_AT else user_agent[:MAX_LOOKED_AT]
        remembered = self._remembered
        known = remembered.get(text)
        if known is not None:
            return None if known is _NOBODY else known
        named = {self._by_token[token.lower()] for token in self._pattern.findall(text)}
        found = next(iter(named)) if len(named) == 1 else None
        keep_at_hand(remembered, MAX_REMEMBERED, text, _NOBODY if found is None else found)
        return found
