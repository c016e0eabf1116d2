"""Where client hints (`Sec-CH-UA`, `Sec-CH-UA-Platform`) contradict the user agent beside them. Needs no connection.

Chromium writes its brands, their order and the made-up one among them by its major version alone. The made-up one is `Not`, a
sign, `A`, a sign and `Brand`. A user agent whose system is none of these, and hints of other systems, are not judged.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from proxyguard.core.request import Values
from proxyguard.http.fingerprints.claimed_kind import CHROMIUM, claim_of

VERSION: Final = b"version"
"""`Sec-CH-UA` names another version of Chromium than the user agent."""
PLATFORM: Final = b"platform"
"""`Sec-CH-UA-Platform` names another system than the user agent."""
BRANDS: Final = b"brands"
"""Brands that no Chromium of that version has, or brands beside a user agent of Firefox or Safari, which send none."""

MAX_HINT_BYTES: Final = 256
"""Of each hint that are looked at; browsers send up to 110."""

FIRST_SHUFFLED: Final = 110
"""Versions of Chromium before this wrote brands in other ways; of those from here on 112 header sets were compared."""

MOST_BRANDS: Final = 3
"""Browsers with more (Yandex) place them by rules that were not recorded."""

_BRAND: Final = re.compile(rb'"([^"]{0,60})";\s?v="(\d{1,4})[\d.]{0,16}"')
_SIGNS: Final = (b" ", b"(", b":", b"-", b".", b"/", b")", b";", b"=", b"?", b"_")
_MADE_UP_VERSIONS: Final = (b"8", b"99", b"24")
_ORDERS: Final = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
"""Where the made-up brand, Chromium and the browser's own stand, by the version modulo six."""

_CHROMIUM_BRAND: Final = b"Chromium"

_SYSTEMS: Final = (
    (re.compile(rb"\(Windows NT "), frozenset({b"Windows"})),
    (re.compile(rb"\(Macintosh;"), frozenset({b"macOS"})),
    (re.compile(rb"\(X11; CrOS "), frozenset({b"Chrome OS", b"Chromium OS"})),
    (re.compile(rb"\(Linux; (?:U; )?Android "), frozenset({b"Android"})),
    (re.compile(rb"\(X11; Linux "), frozenset({b"Linux", b"Android", b"Chrome OS", b"Chromium OS"})),
)
"""Systems of user agents, and the hints that go with each: a phone that asks for the page of a desktop says X11."""
_HINTED: Final = frozenset({b"Windows", b"macOS", b"Linux", b"Android", b"Chrome OS", b"Chromium OS"})


@lru_cache(maxsize=1024)
def hint_contradictions(agent: bytes, hints: bytes, platform: bytes) -> Values:
    """What hints contradict; `agent` as `claim_of` takes it, the hints cut to MAX_HINT_BYTES, empty when they are absent."""
    claim = claim_of(agent)
    if claim.kind != CHROMIUM:
        return (BRANDS,) if hints else ()
    found: list[bytes] = []
    if hints:
        brands = _BRAND.findall(hints)
        version = next((int(number) for brand, number in brands if brand == _CHROMIUM_BRAND), 0)
        if version and version != claim.version:
            found.append(VERSION)
        if not version or (version >= FIRST_SHUFFLED and not _are_brands(brands, version)):
            found.append(BRANDS)
    if platform and _is_other_system(agent, platform.strip(b'" ')):
        found.append(PLATFORM)
    return tuple(found)


def made_up_brand(version: int) -> tuple[bytes, bytes]:
    """The brand, and its version, that a Chromium of this version makes up."""
    signs = len(_SIGNS)
    name = b"Not" + _SIGNS[version % signs] + b"A" + _SIGNS[(version + 1) % signs] + b"Brand"
    return name, _MADE_UP_VERSIONS[version % len(_MADE_UP_VERSIONS)]


def brand_order(version: int, count: int) -> tuple[int, int, int]:
    """Where the made-up brand, Chromium and the browser's own stand among two or three; of two the last says nothing."""
    if count == MOST_BRANDS:
        return _ORDERS[version % len(_ORDERS)]
    return _ORDERS[0] if version % 2 == 0 else _ORDERS[2]


def _are_brands(brands: list[tuple[bytes, bytes]], version: int) -> bool:
    """Whether a Chromium of this version writes these brands."""
    count = len(brands)
    if count > MOST_BRANDS:
        return True
    if count < 2:
        return False
    order = brand_order(version, count)
    return brands[order[0]] == made_up_brand(version) and brands[order[1]][0] == _CHROMIUM_BRAND


def _is_other_system(agent: bytes, hint: bytes) -> bool:
    if hint not in _HINTED:
        return False
    for pattern, hints in _SYSTEMS:
        if pattern.search(agent):
            return hint not in hints
    return False
