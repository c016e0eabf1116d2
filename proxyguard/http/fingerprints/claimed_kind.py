"""What a user agent says its client is, in the words of `kinds`.

A robot's user agent claims no browser, whatever browser it names beside (`… (compatible; Googlebot/2.1; …) Chrome/…`), and each
browser on an iPhone or iPad is Safari inside.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.http.fingerprints.kinds import UNKNOWN

MAX_AGENT_BYTES: Final = 512
"""Of a user agent that are looked at; browsers send up to 300, in-app ones up to 450."""

_ROBOT: Final = re.compile(rb"compatible;|bot\b|spider|crawl|\+https?:|https?://|facebookexternalhit|archiver", re.IGNORECASE)
_CHROMIUM: Final = re.compile(rb"(?:Chrome|Chromium|HeadlessChrome)/(\d{1,4})\.")
_FIREFOX: Final = re.compile(rb"\brv:[\d.]{1,12}\) Gecko/[\d.]{1,12} Firefox/(\d{1,4})\.")
_APPLE: Final = re.compile(rb"\((?:Macintosh|iPhone|iPad|iPod)[;)].*AppleWebKit/")
_SAFARI: Final = re.compile(rb"Version/(\d{1,3})[\d.]{0,12} .*Safari/|(?:CriOS|FxiOS|EdgiOS|OPiOS|GSA)/|Mobile/\w+$")
_PROGRAMS: Final = (
    (re.compile(rb"curl/|libcurl|PycURL/", re.IGNORECASE), b"curl"),
    (re.compile(rb"python|aiohttp/|httpx/|scrapy/|urllib3/|niquests/", re.IGNORECASE), b"python"),
    (re.compile(rb"Go-http-client/|colly|fasthttp|resty/", re.IGNORECASE), b"go"),
    (re.compile(rb"java/|Java-http-client/|okhttp/|Apache-HttpClient/|Jakarta", re.IGNORECASE), b"java"),
    (re.compile(rb"node|axios/|got \(|undici|superagent/", re.IGNORECASE), b"node"),
    (re.compile(rb"reqwest/|hyper/|rust|ureq/", re.IGNORECASE), b"rust"),
    (re.compile(rb"ruby|faraday|httparty|mechanize", re.IGNORECASE), b"ruby"),
    (re.compile(rb"php|guzzlehttp/|symfony", re.IGNORECASE), b"php"),
)
"""Names of programs and libraries, as the product that a user agent begins with."""

CHROMIUM: Final = b"chromium"
FIREFOX: Final = b"firefox"
SAFARI: Final = b"safari"
BROWSERS: Final = frozenset({CHROMIUM, FIREFOX, SAFARI})
KINDS: Final = (CHROMIUM, FIREFOX, SAFARI, *(kind for _, kind in _PROGRAMS), UNKNOWN)


class Claim(NamedTuple):
    """What is claimed; `version` is the major one of a browser, 0 when it says none."""

    kind: bytes
    version: int = 0


_NOTHING: Final = Claim(UNKNOWN)

MAX_KNOWN: Final = 1024
"""User agents whose claims are kept at hand: half a megabyte at most."""

_known: Final[dict[bytes, Claim]] = {}


def claim_of(agent: bytes) -> Claim:
    """The claim of a user agent. One that is longer than MAX_AGENT_BYTES is cut there by the caller."""
    known = _known.get(agent)
    if known is None:
        known = keep_at_hand(_known, MAX_KNOWN, agent, _read(agent))
    return known


def _read(agent: bytes) -> Claim:
    if agent.startswith(b"Mozilla/"):
        return _browser(agent)
    for pattern, kind in _PROGRAMS:
        if pattern.match(agent):
            return Claim(kind)
    return _NOTHING


def _browser(agent: bytes) -> Claim:
    if _ROBOT.search(agent):
        return _NOTHING
    if _APPLE.search(agent) and not _CHROMIUM.search(agent):
        safari = _SAFARI.search(agent)
        return Claim(SAFARI, int(safari[1] or 0)) if safari else _NOTHING
    found = _CHROMIUM.search(agent)
    if found is not None:
        return Claim(CHROMIUM, int(found[1]))
    found = _FIREFOX.search(agent)
    return Claim(FIREFOX, int(found[1])) if found is not None else _NOTHING


def claimed_kind(agent: bytes | None) -> Claim:
    """The claim of a request's user agent; that of one that has none is `unknown`."""
    return _NOTHING if agent is None else claim_of(agent if len(agent) <= MAX_AGENT_BYTES else agent[:MAX_AGENT_BYTES])
