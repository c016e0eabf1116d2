"""The site behind the firewall: deterministic pages that say how many items of data each answer discloses.

An *item* is a unit of what scrapers want: a profile, a post, an entry of a list, or the one bit whether an account exists. Costs
are CPU seconds that such a page takes on an ordinary wiki or forge: what hurts a site is cost, not requests. The same function
answers on the virtual clock (no bytes are made) and behind a socket.
"""

from __future__ import annotations

import re
from binascii import crc32
from collections.abc import Callable
from typing import Final, NamedTuple

from proxyguard.core.request import Headers
from proxyguard.tools.range.draw import ITEMS, WORDS
from proxyguard.tools.range.values import HOUR_SECONDS

ITEMS_HEADER: Final = "X-Range-Items"
"""Added by the site to every answer; whoever drives the range takes it off and counts it. Rules never see it."""

CLASS_HEADER: Final = "x-account-class"
ACCOUNT_CLASSES: Final = (b"verified", b"known", b"new")

TAKEN_SHARE: Final = 3
"""One of so many names has an account."""

PAGE_SIZE: Final = 20
FEED_SIZE: Final = 20
API_SIZE: Final = 50
FACETS: Final = (b"author", b"year", b"topic", b"place", b"language", b"format")

ROBOTS: Final = (
    b"User-agent: *\nDisallow: /search\nDisallow: /code/\nDisallow: /calendar/\nCrawl-delay: 10\nSitemap: /sitemap.xml\n"
)


class SiteAnswer(NamedTuple):
    """What the site says. `seconds` is the CPU that it took; `length` that of the body in bytes."""

    status: int
    items: int
    length: int
    seconds: float
    kind: bytes = b"text/html; charset=utf-8"
    headers: Headers = ()
    body: bytes = b""


type SiteFunction = Callable[[bytes, bytes, Headers, bytes, float], SiteAnswer]
"""Answers a method, target, header fields, body and moment, as `answer` does."""

NOT_FOUND: Final = SiteAnswer(404, 0, 900, 0.001)

_NUMBERED: Final = re.compile(
    rb"/(profiles|posts|assets|code/blame|code/diff|api/profiles|api/posts)/(\d{1,9})(?:\.(?:css|js|png|webp))?"
)
_CALENDAR: Final = re.compile(rb"/calendar/(\d{1,6})/(\d{1,2})")

FIXED: Final = {
    b"/": SiteAnswer(200, 10, 18_000, 0.008),
    b"/robots.txt": SiteAnswer(200, 0, len(ROBOTS), 0.0001, b"text/plain", (), ROBOTS),
    b"/sitemap.xml": SiteAnswer(200, 0, 60_000, 0.010, b"application/xml"),
    b"/signup": SiteAnswer(200, 0, 6_000, 0.002),
    b"/login": SiteAnswer(200, 0, 5_000, 0.002),
    b"/healthz": SiteAnswer(200, 0, 2, 0.0001, b"text/plain", (), b"ok"),
    b"/favicon.ico": SiteAnswer(200, 0, 1_100, 0.0001, b"image/x-icon"),
    b"/ada/tool.git/info/refs": SiteAnswer(200, 0, 700, 0.004, b"application/x-git-upload-pack-advertisement"),
    b"/ada/tool.git/git-upload-pack": SiteAnswer(200, 0, 90_000, 0.050, b"application/x-git-upload-pack-result"),
    b"/simple/tool/": SiteAnswer(200, 0, 3_000, 0.002),
}

NUMBERED: Final[dict[bytes, tuple[int, int, float, bytes, int]]] = {
    b"profiles": (1, 60_000, 0.006, b"text/html; charset=utf-8", ITEMS),
    b"posts": (1, 60_000, 0.006, b"text/html; charset=utf-8", ITEMS),
    b"assets": (0, 14_000, 0.0002, b"application/octet-stream", 1_000_000_000),
    b"code/blame": (1, 150_000, 0.120, b"text/html; charset=utf-8", 20_000),
    b"code/diff": (1, 80_000, 0.060, b"text/html; charset=utf-8", 200_000_000),
    b"api/profiles": (1, 900, 0.002, b"application/json", ITEMS),
    b"api/posts": (1, 1_200, 0.002, b"application/json", ITEMS),
}
"""By family of paths: items, bytes, CPU seconds, type, and how many there are. Diffs are of any two versions: without end."""


def answer(method: bytes, target: bytes, headers: Headers, body: bytes, now: float) -> SiteAnswer:
    """What the site says to a request. `now` is in seconds since the scenario began: feed and home change with the hour."""
    path, _, query = target.partition(b"?")
    found = FIXED.get(path)
    if method in WRITING:
        return _written(path, body)
    if found is None:
        numbered = _NUMBERED.fullmatch(path)
        if numbered is not None:
            items, length, seconds, kind, there = NUMBERED[numbered[1]]
            if not 1 <= int(numbered[2]) <= there:
                return NOT_FOUND
            found = SiteAnswer(200, items, length, seconds, kind)
            if kind is HTML:
                return found if has_cookie(headers, b"sid") else found._replace(headers=_new_session(target, now))
        else:
            make = LISTS.get(path)
            if make is not None:
                found = make(query)
            elif _CALENDAR.fullmatch(path):
                found = SiteAnswer(200, 1, 9_000, 0.010)
            else:
                return NOT_FOUND
    if path in CHANGING or found.kind is not HTML:
        return _conditional(found, path, headers, now)
    return found


HTML: Final = NUMBERED[b"profiles"][3]
WRITING: Final = frozenset({b"POST", b"PUT", b"PATCH"})
CHANGING: Final = frozenset({b"/", b"/feed.xml"})


def _search(query: bytes) -> SiteAnswer:
    """A search; each facet beyond the first multiplies what the database has to join."""
    facets = min(query.count(b"&facet.") + query.startswith(b"facet."), 12)
    return SiteAnswer(200, 10, 25_000, 0.040 * 1.35**facets)


def _check(query: bytes) -> SiteAnswer:
    body = b'{"taken":%s}' % (b"true" if is_taken(query) else b"false")
    return SiteAnswer(200, 1, len(body), 0.003, b"application/json", (), body)


LISTS: Final[dict[bytes, Callable[[bytes], SiteAnswer]]] = {
    b"/profiles": lambda _: SiteAnswer(200, PAGE_SIZE, 30_000, 0.015),
    b"/posts": lambda _: SiteAnswer(200, PAGE_SIZE, 30_000, 0.015),
    b"/search": _search,
    b"/feed.xml": lambda _: SiteAnswer(200, FEED_SIZE, 40_000, 0.012, b"application/atom+xml"),
    b"/api/posts": lambda _: SiteAnswer(200, API_SIZE, 30_000, 0.020, b"application/json"),
    b"/api/profiles": lambda _: SiteAnswer(200, API_SIZE, 24_000, 0.018, b"application/json"),
    b"/api/check-username": _check,
}


def disclosed(method: bytes, target: bytes, body: bytes, now: float) -> bytes:
    """What an answer with items tells: two answers with the same word tell nothing that one of them does not tell."""
    path = target.partition(b"?")[0]
    if method in WRITING:
        return b"%s %s" % (path, body)
    if path in CHANGING:
        return b"%s %d" % (path, now // HOUR_SECONDS)
    return target if path in LISTS else path.removeprefix(b"/api")


def is_taken(query: bytes) -> bool:
    """Whether the name in a query or form has an account: the same for the same name, for ever."""
    return crc32(query.partition(b"&")[0]) % TAKEN_SHARE == 0


def _written(path: bytes, body: bytes) -> SiteAnswer:
    if path == b"/signup":
        if is_taken(body):
            return SiteAnswer(409, 1, 3_000, 0.020)
        return SiteAnswer(303, 1, 0, 0.060, HTML, ((b"Location", b"/"), (b"Set-Cookie", b"session=new-%d" % crc32(body))))
    if path == b"/login":
        name = ACCOUNT_CLASSES[crc32(body) % 2]
        return SiteAnswer(303, 0, 0, 0.080, HTML, ((b"Location", b"/"), (b"Set-Cookie", b"session=%s-%d" % (name, crc32(body)))))
    if path == b"/api/posts":
        return SiteAnswer(201, 0, 200, 0.010, b"application/json")
    if path.endswith(b"/git-upload-pack"):
        return FIXED[b"/ada/tool.git/git-upload-pack"]
    return NOT_FOUND


def account_class(headers: Headers) -> bytes:
    """The class of the account whose session cookie a request has; empty for nobody."""
    for name, value in headers:
        if name in {b"Cookie", b"cookie"}:
            at = value.find(b"session=")
            if at >= 0:
                word = value[at + 8 :].partition(b"-")[0]
                return word if word in ACCOUNT_CLASSES else b""
    return b""


def has_cookie(headers: Headers, cookie: bytes) -> bool:
    return any(name in {b"Cookie", b"cookie"} and cookie + b"=" in value for name, value in headers)


def _new_session(target: bytes, now: float) -> Headers:
    return ((b"Set-Cookie", b"sid=%08x" % crc32(b"%s %r" % (target, now))),)


def _conditional(found: SiteAnswer, path: bytes, headers: Headers, now: float) -> SiteAnswer:
    """With an ETag; 304 and no item for a client that has it already."""
    age = int(now // HOUR_SECONDS) if path in CHANGING else 0
    tag = b'"%08x"' % crc32(b"%s %d" % (path, age))
    for name, value in headers:
        if name == b"If-None-Match" and value == tag:
            return SiteAnswer(304, 0, 0, 0.0005, found.kind, ((b"ETag", tag),))
    if path == b"/":
        return found if has_cookie(headers, b"sid") else found._replace(headers=((b"ETag", tag), *_new_session(path, now)))
    return found._replace(headers=((b"ETag", tag),))


def page_body(target: bytes, found: SiteAnswer) -> bytes:
    """The bytes of an answer, for a socket: as long as it says, and the same for the same target."""
    if found.body:
        return found.body
    text = b"<!doctype html><title>%s</title>" % WORDS[crc32(target) % len(WORDS)] if found.kind is HTML else b""
    return (text + b"%08x\n" % crc32(target) * (found.length // 9 + 1))[: found.length]
