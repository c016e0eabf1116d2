"""Where what a connection shows contradicts the browser that its user agent names.

Two classes, never mixed. HELLO: the hello is not that browser's, which is so for a library with copied header fields, and for a
person behind a virus scanner or a company's proxy that opens TLS: nobody is refused for that alone. IMITATED: the hello is the
browser's, but what speaks above it is not, which no product between was seen to bring about. All others are signs, each no more
than some points: what client hints say (`client_hints`), and how the fields of an HTTP/1 request or a navigation are written.
What is not known contradicts nothing. Rates and how they were measured: docs/concepts/contradictions.md.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.connection_facts import (
    PATH_INDEXED,
    PATH_ON_4,
    PATH_ON_5,
    PATH_OTHERWISE,
    ROOT_INDEXED,
    ROOT_ON_5,
    ConnectionFacts,
)
from proxyguard.core.request import Request, Values
from proxyguard.http.fingerprints.claimed_kind import BROWSERS, CHROMIUM, FIREFOX, MAX_AGENT_BYTES, SAFARI, Claim, claimed_kind
from proxyguard.http.fingerprints.client_hints import BRANDS, MAX_HINT_BYTES, PLATFORM, VERSION, hint_contradictions
from proxyguard.http.fingerprints.facts import client_kind, hello_kind
from proxyguard.http.fingerprints.http2_print import setting_ids
from proxyguard.http.fingerprints.kinds import UNKNOWN, BrowserHabits, kind_table

HELLO: Final = b"hello"
"""The hello is not the browser's: a library, or a person behind something that opens TLS."""
SETTINGS: Final = b"settings"
"""SETTINGS, window or order of pseudo-fields are not the browser's, though its hello is: another version of it, perhaps."""
CODING: Final = b"coding"
"""How fields are compressed: `:path` otherwise than the browser does, or Huffman code that saves nothing."""
RECORDS: Final = b"records"
"""How the first frames fall into TLS records."""
HEAD: Final = b"head"
"""What an HTTP/1 request begins with, and in which case."""
ORDER: Final = b"order"
"""The order of the fields of a navigation. No more than a sign: some browsers' add-ons write fields."""
CASE: Final = b"case"
"""The names of an HTTP/1 navigation in a mixture of cases. What rewrites requests on the way writes all of them alike."""
FLOOR: Final = b"floor"
"""The hello is Chromium's, and of an older version than the user agent's."""
HTTP1: Final = b"http1"
"""HTTP/1 from a client whose hello offers no HTTP/2: switched off, or lost in what opens TLS."""
HOST: Final = b"host"
"""An HTTP/1 request that does not begin with Host, and names no proxy that wrote it anew: Squid does."""
CONNECTION: Final = b"connection"
"""An HTTP/1 request without Connection: browsers say `keep-alive`, and what opens TLS says that or `close`. Or, where Host comes
first, without it where the browser writes it, which is right behind for Chromium."""
PRIORITY: Final = b"priority"
"""Priority in an HTTP/1 request: Chromium sends it over HTTP/2 alone."""
IMITATED: Final = b"imitated"
"""The hello is the browser's, and CODING, RECORDS or HEAD is not."""

ALL: Final = (
    HELLO, SETTINGS, CODING, RECORDS, HEAD, ORDER, IMITATED, FLOOR, HTTP1, HOST, CONNECTION, PRIORITY, CASE, VERSION, PLATFORM,
    BRANDS,
)  # fmt: skip

OLDEST: Final = 100
"""Versions of Chromium and Firefox before this are not judged: none was recorded."""

PREFACE_BYTES: Final = 24
FRAME_BYTES: Final = 9
WINDOW_UPDATE_BYTES: Final = 13

_NAVIGATE: Final = (b"navigate",)
_MOVED: Final = frozenset({b"cache-control", b"pragma"})
"""Fields that Squid was seen to write elsewhere: they say nothing where something may have opened TLS."""
_NEVER_ORDERED: Final = frozenset(
    {b"content-type", b"content-length", b"service-worker-navigation-preload", b"sec-purpose", b"purpose"}
)
"""Fields of navigations whose order was not recorded: forms, and what a browser or a worker of the page loads ahead."""
_BY_WORKER: Final = (b"empty",)
"""`Sec-Fetch-Dest` of a navigation that a worker of the page hands on: it is written in another order, too."""

_NOTHING: Final[frozenset[bytes]] = frozenset()
_MAY_BE_SAFARI: Final = frozenset({SAFARI, b"greasing", UNKNOWN})
"""No machine of Apple's was recorded, so only what no version can be is held against a claim of Safari."""

_NOT_CHROMIUM: Final = PATH_ON_5 | ROOT_ON_5 | PATH_OTHERWISE
_NOT_FIREFOX: Final = PATH_INDEXED | ROOT_INDEXED | PATH_ON_4 | ROOT_ON_5 | PATH_OTHERWISE


def contradictions(request: Request) -> Values:
    """What contradicts the claim of a request's user agent; nothing when it claims no browser, or nothing is known."""
    facts = request.connection
    if facts is not None and facts.contradictions:
        return facts.contradictions
    claim = claimed_kind(request.user_agent)
    if claim.kind not in BROWSERS:
        return ()
    hints = _by_hints(request)
    return hints if facts is None else (*_by_connection(request, facts, claim), *hints)


def _by_hints(request: Request) -> Values:
    index = request.header_index
    hints = index.get(b"sec-ch-ua", ())
    platform = index.get(b"sec-ch-ua-platform", ())
    agent = request.user_agent
    if agent is None or not (hints or platform):
        return ()
    return hint_contradictions(agent[:MAX_AGENT_BYTES], b", ".join(hints)[:MAX_HINT_BYTES], b", ".join(platform)[:MAX_HINT_BYTES])


def _by_connection(request: Request, facts: ConnectionFacts, claim: Claim) -> Values:
    kind = claim.kind
    spoken = client_kind(facts)
    if not spoken or (spoken == UNKNOWN and facts.stated):
        return ()
    if kind == SAFARI:
        return () if (hello_kind(facts) or spoken) in _MAY_BE_SAFARI else (HELLO,)
    if claim.version < OLDEST:
        return ()
    if facts.stated:
        return (HELLO,) if spoken != kind else ()
    browser = kind_table().browsers[kind]
    found = [] if facts.is_http2 else _by_http1(request, facts, kind, browser)
    if spoken != kind:
        if not _is_ordered(request, browser, _MOVED):
            found.append(ORDER)
        return (HELLO, *found)
    if 0 < facts.newest < claim.version:
        found.append(FLOOR)
    return (*_above(request, facts, browser, kind), *found)


def _by_http1(request: Request, facts: ConnectionFacts, kind: bytes, browser: BrowserHabits) -> list[bytes]:
    """What a browser's HTTP/1 request over TLS shows of another program. Browsers ask for WebSockets over HTTP/1, too."""
    index = request.header_index
    if b"upgrade" in index:
        return []
    found = [] if facts.offers_http2 else [HTTP1]
    if request.headers[0][0].lower() != b"host" and b"via" not in index:
        found.append(HOST)
    if b"connection" not in index or _moves_connection(request, browser):
        found.append(CONNECTION)
    if kind == CHROMIUM and b"priority" in index:
        found.append(PRIORITY)
    if _is_navigation(request) and _mixes_cases(request, browser):
        found.append(CASE)
    return found


def _moves_connection(request: Request, browser: BrowserHabits) -> bool:
    """Whether a request begins with Host and goes on with another field than the browser's Connection. Squid moves both."""
    headers = request.headers
    return browser.head[1] == b"Connection" and headers[0][0].lower() == b"host" and headers[1][0].lower() != b"connection"


def _above(request: Request, facts: ConnectionFacts, browser: BrowserHabits, kind: bytes) -> Values:
    """What contradicts a hello that is the browser's."""
    found: list[bytes] = []
    if facts.is_http2:
        if not _has_settings(facts, browser):
            found.append(SETTINGS)
        if _is_coded_otherwise(facts, kind):
            found.append(CODING)
        if kind == CHROMIUM and _has_other_records(facts):
            found.append(RECORDS)
        is_imitated = CODING in found or RECORDS in found
    else:
        is_imitated = not _begins_as(request, browser)
        if is_imitated:
            found.append(HEAD)
    if not _is_ordered(request, browser, _NOTHING):
        found.append(ORDER)
    if is_imitated:
        found.append(IMITATED)
    return tuple(found)


def _has_settings(facts: ConnectionFacts, browser: BrowserHabits) -> bool:
    ids = setting_ids(facts.settings)
    return [each for each in browser.settings if each in ids] == list(ids) and (
        facts.pseudo == browser.pseudo and facts.window == browser.window
    )


def _is_coded_otherwise(facts: ConnectionFacts, kind: bytes) -> bool:
    forms = facts.path_forms
    if kind == CHROMIUM:
        return facts.is_wasteful or forms & _NOT_CHROMIUM != 0
    return kind == FIREFOX and forms & _NOT_FIREFOX != 0


def _has_other_records(facts: ConnectionFacts) -> bool:
    """Whether the first record is anything but the preface, SETTINGS and WINDOW_UPDATE, whole and alone."""
    if facts.first_record < 0:
        return False
    whole = PREFACE_BYTES + FRAME_BYTES + len(facts.settings) + WINDOW_UPDATE_BYTES
    return facts.first_record != whole


def _begins_as(request: Request, browser: BrowserHabits) -> bool:
    headers = request.headers
    head = browser.head
    return len(headers) >= len(head) and all(headers[place][0] == name for place, name in enumerate(head))


def _is_navigation(request: Request) -> bool:
    """Whether it asks for a page, with fields that no script of a page wrote: over HTTP/1, those come in the script's case."""
    index = request.header_index
    if index.get(b"sec-fetch-mode", _NAVIGATE) != _NAVIGATE or index.get(b"sec-fetch-dest") == _BY_WORKER:
        return False
    if not _NEVER_ORDERED.isdisjoint(index):
        return False
    accept = index.get(b"accept", ())
    return len(accept) == 1 and accept[0].startswith(b"text/html")


def _mixes_cases(request: Request, browser: BrowserHabits) -> bool:
    """Whether the browser's fields are written neither as it writes them, nor all in lower case, nor each word with a capital."""
    is_own = is_lower = is_title = True
    for received, _ in request.headers:
        name = received.lower()
        own = browser.spellings.get(name)
        if own is not None:
            is_own = is_own and received == own
            is_lower = is_lower and received == name
            is_title = is_title and received == name.title()
    return not (is_own or is_lower or is_title)


def _is_ordered(request: Request, browser: BrowserHabits, but: frozenset[bytes]) -> bool:
    """Whether the known fields of a navigation, but some, stand in the browser's order; True for what is none."""
    if not _is_navigation(request):
        return True
    last = -1
    order = browser.order
    for received, _ in request.headers:
        name = received.lower()
        place = order.get(name)
        if place is not None and name not in but:
            if place < last:
                return False
            last = place
    return True
