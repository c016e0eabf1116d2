"""What a user agent says it is: a browser, a robot that names itself, a library or tool, nothing. For statistics only.

Anybody can send any of them: a scraper that copies a browser's headers is a browser here.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from proxyguard.tools.replay.traits import looks_like_browser

BROWSER: Final = "browsers"
ROBOT: Final = "robots that say so"
LIBRARY: Final = "libraries and tools"
NONE: Final = "none sent"
OTHER: Final = "others"

KINDS: Final = (BROWSER, ROBOT, LIBRARY, OTHER, NONE)

_ROBOT: Final = re.compile(r"bot\b|crawl|spider|slurp|feed|\+https?://", re.IGNORECASE)

_LIBRARY: Final = re.compile(
    r"curl|wget|python|urllib|httpx|aiohttp|scrapy|go-http-client|java/|okhttp|apache-httpclient|libwww|guzzle|axios|node-fetch|"
    r"undici|ruby|php|perl|dart|headless|phantomjs|selenium|playwright|puppeteer|postman|insomnia",
    re.IGNORECASE,
)


@lru_cache(20_000)
def agent_kind(agent: str) -> str:
    """One of KINDS."""
    if agent in ("", "(none)"):
        return NONE
    if looks_like_browser(agent.encode("utf-8", "replace")):
        return BROWSER
    if _ROBOT.search(agent):
        return ROBOT
    return LIBRARY if _LIBRARY.search(agent) else OTHER
