"""What kind of network an address belongs to: by the list of rented networks, the number of its system, the words of its name.

When two kinds fit, it is unknown: nobody is taken for a machine by half a word.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from proxyguard.core.origin import NetworkKind
from proxyguard.guard.origin.bots import DATA


class NetworkKinds:
    """Tells kinds of networks apart."""

    __slots__ = ("_by_number", "_words")

    def __init__(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        self._by_number = {number: NetworkKind(kind) for kind, row in rows.items() for number in row["systems"]}
        self._words: Final = {NetworkKind(kind): _pattern(row["words"]) for kind, row in rows.items()}

    def of(self, asn: int | None, owner: str | None, *, is_rented: bool) -> NetworkKind:
        """The kind of a network. `is_rented`: the address is in a range that a hosting provider publishes."""
        if is_rented:
            return NetworkKind.HOSTING
        if asn in self._by_number:
            return self._by_number[asn]
        if not owner:
            return NetworkKind.UNKNOWN
        fitting = [kind for kind, pattern in self._words.items() if pattern.search(owner)]
        return fitting[0] if len(fitting) == 1 else NetworkKind.UNKNOWN


def _pattern(words: list[str]) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)


@cache
def bundled_kinds() -> NetworkKinds:
    """Those that come with proxyguard."""
    return NetworkKinds(tomllib.loads((DATA / "networks.toml").read_text("utf-8")))
