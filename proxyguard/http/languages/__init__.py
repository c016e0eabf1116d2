"""The languages that refused people are answered in, one TOML file each, and which one a client prefers.

Texts are data; numbers, spans of time and moments in other languages than English come from CLDR, through Babel, which is loaded
when the first such page is made. Knows nothing of pages.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final

CODES: Final = ("en", "ar", "de", "es", "fr", "hi", "it", "ja", "ko", "nl", "pl", "pt", "ru", "tr", "uk", "zh")
"""ISO 639-1 codes; each has a file here."""

FALLBACK: Final = "en"

MAX_HEADER: Final = 200
"""Bytes of Accept-Language that are looked at; browsers send fewer than a hundred."""

MAX_RANGES: Final = 12


@dataclass(frozen=True, slots=True)
class Language:
    """The texts of one language; see `en.toml` for the keys."""

    code: str
    name: str
    direction: str
    titles: Mapping[str, str]
    messages: Mapping[str, str]
    words: Mapping[str, str]
    counts: Mapping[str, str]

    def message(self, status: int) -> str:
        """What is said of a status when the rule says nothing."""
        return self.messages.get(str(status)) or self.messages["other"]


@cache
def language(code: str) -> Language:
    """The language of one of CODES."""
    data: dict[str, Any] = tomllib.loads((files(__package__) / f"{code}.toml").read_text("utf-8"))
    return Language(code, **data)


def preferred(accept_language: bytes, fallback: str = FALLBACK) -> str:
    """The code that an Accept-Language field prefers (RFC 9110, section 12.5.4), by primary tags; else `fallback`."""
    return _preferred(accept_language[:MAX_HEADER], fallback)  # cut before it is remembered: clients choose what it holds


@lru_cache(maxsize=1024)
def _preferred(accept_language: bytes, fallback: str) -> str:
    best, best_weight = fallback, 0.0
    for part in accept_language.decode("ascii", "replace").lower().split(",")[:MAX_RANGES]:
        tag, _, rest = part.partition(";")
        code = tag.strip().partition("-")[0]
        weight = _weight(rest)
        if weight > best_weight and code in CODES:
            best, best_weight = code, weight
    return best


def _weight(parameter: str) -> float:
    name, _, value = parameter.replace(" ", "").partition("=")
    if name != "q":
        return 1.0 if not parameter.strip() else 0.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0
