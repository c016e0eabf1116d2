"""Guesses from a request whether a browser sent it and whether it asks for an asset. For statistics only.

Knows nothing of rules. The lists are deliberately short: a weight in a table needs no more.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

ASSETS: Final = frozenset(
    (
        b"avif", b"bmp", b"css", b"eot", b"gif", b"ico", b"jpeg", b"jpg", b"js", b"json", b"map", b"mjs", b"mp3", b"mp4",
        b"ogg", b"otf", b"png", b"svg", b"ttf", b"wasm", b"wav", b"webm", b"webmanifest", b"webp", b"woff", b"woff2",
    )
)  # fmt: skip
"""Endings of files that pages load."""

MAX_REMEMBERED: Final = 20_000

_BROWSER: Final = re.compile(rb"Mozilla/5\.0 \(.{3,200}?\) .*?(?:Chrome/|Firefox/|Safari/|Gecko/)")
_ROBOT: Final = re.compile(rb"(?i)bot\b|crawl|spider|headless|https?://|python|curl/|scrapy|compatible;")


def is_asset(path: bytes) -> bool:
    """Whether a path ends like a picture, a style, a script or a font."""
    return path.rpartition(b".")[2].lower() in ASSETS


@lru_cache(MAX_REMEMBERED)
def looks_like_browser(agent: bytes) -> bool:
    """Whether a user agent looks like a browser's and does not say that it is a robot."""
    text = agent[:512]
    return _BROWSER.match(text) is not None and _ROBOT.search(text) is None
