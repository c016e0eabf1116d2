"""The header fields of browsers and programs, in the order in which each sends them, by what is fetched.

Versions are of autumn 2026 and before, with a tail of old ones (5 % a year or more old). Orders and values were read from the
programs themselves over HTTP/1.1; what a user agent says and what client hints say agree, as they do in a browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from random import Random
from typing import Final, NamedTuple

from proxyguard.core.request import Headers
from proxyguard.http.fingerprints.client_hints import brand_order, made_up_brand


class Destination(StrEnum):
    """What a browser fetches: the value of Sec-Fetch-Dest."""

    DOCUMENT = "document"
    STYLE = "style"
    SCRIPT = "script"
    IMAGE = "image"
    FETCH = "empty"


class Engine(StrEnum):
    """Whose order of fields a client has."""

    CHROMIUM = "chromium"
    FIREFOX = "firefox"
    SAFARI = "safari"
    PROGRAM = "program"


class ClientSoftware(NamedTuple):
    """A browser or a program: what it says, and whose TLS it speaks. `fields` are a program's own, sent with every request."""

    engine: Engine
    agent: bytes
    speaks: str
    languages: bytes = b"en-US,en;q=0.9"
    hints: Headers = ()
    fields: Headers = ()


NAVIGATE_ACCEPT: Final = {
    Engine.CHROMIUM: (
        b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
        b"application/signed-exchange;v=b3;q=0.7"
    ),
    Engine.FIREFOX: b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    Engine.SAFARI: b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
}
IMAGE_ACCEPT: Final = {
    Engine.CHROMIUM: b"image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    Engine.FIREFOX: b"image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
    Engine.SAFARI: (
        b"image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,"
        b"*/*;q=0.5"
    ),
}
ENCODINGS: Final = {
    Engine.CHROMIUM: b"gzip, deflate, br, zstd", Engine.FIREFOX: b"gzip, deflate, br, zstd", Engine.SAFARI: b"gzip, deflate, br"
}  # fmt: skip

LANGUAGES: Final = (
    b"en-US,en;q=0.9", b"de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", b"fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7",
    b"pl-PL,pl;q=0.9,en-US;q=0.8,en;q=0.7",
    b"pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7", b"ja,en-US;q=0.9,en;q=0.8", b"es-ES,es;q=0.9,en;q=0.8", b"en-GB,en;q=0.9",
)  # fmt: skip

SYSTEMS: Final = (
    (b"Windows NT 10.0; Win64; x64", b'"Windows"', 60), (b"Macintosh; Intel Mac OS X 10_15_7", b'"macOS"', 28),
    (b"X11; Linux x86_64", b'"Linux"', 12),
)  # fmt: skip
CURRENT: Final = (142, 143, 144)
OLD: Final = (109, 118, 124, 131)
OLD_SHARE: Final = 0.05
"""Browsers a year or more old (section 4 of the notes that the range is built after)."""

PHONES: Final = (b"K", b"Pixel 8", b"SM-G991B", b"SM-A546B", b"2201117TG", b"moto g54 5G")
"""Chrome on Android says `K` for all since it reduced its user agent; WebViews still name the model."""


def _hints(version: int, brand: bytes, platform: bytes, *, phone: bool = False) -> Headers:
    """The client hints of a Chromium: they name its version, its brand and its system, in the order of that version."""
    made_up, made_up_version = made_up_brand(version)
    brands = ((made_up, made_up_version), (b"Chromium", b"%d" % version), (brand, b"%d" % version))
    placed = sorted(zip(brand_order(version, len(brands)), brands, strict=True))
    listed = b", ".join(b'"%s";v="%s"' % each for _, each in placed)
    return ((b"sec-ch-ua", listed), (b"sec-ch-ua-mobile", b"?1" if phone else b"?0"), (b"sec-ch-ua-platform", platform))


def chrome(
    version: int, system: bytes, platform: bytes, languages: bytes = LANGUAGES[0], *, phone: bool = False
) -> ClientSoftware:
    """A Chrome of this version. Its client hints name the same version and system."""
    mobile = b" Mobile" if phone else b""
    agent = b"Mozilla/5.0 (%s) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0%s Safari/537.36" % (system, version, mobile)
    hints = _hints(version, b"Google Chrome", platform, phone=phone)
    return ClientSoftware(Engine.CHROMIUM, agent, "chrome", languages, hints)


def edge(version: int, languages: bytes = LANGUAGES[0]) -> ClientSoftware:
    agent = (
        b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0 Safari/537.36 "
        b"Edg/%d.0.0.0" % (version, version)
    )
    return ClientSoftware(Engine.CHROMIUM, agent, "chrome", languages, _hints(version, b"Microsoft Edge", b'"Windows"'))


def firefox(version: int, system: bytes, languages: bytes = LANGUAGES[0]) -> ClientSoftware:
    system = system.replace(b"10_15_7", b"10.15")
    agent = b"Mozilla/5.0 (%s; rv:%d.0) Gecko/20100101 Firefox/%d.0" % (system, version, version)
    return ClientSoftware(Engine.FIREFOX, agent, "firefox", languages.replace(b";q=0.9", b"").replace(b"q=0.8", b"q=0.5"))


def safari(version: bytes, languages: bytes = LANGUAGES[0]) -> ClientSoftware:
    agent = (
        b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/%s Safari/605.1.15"
        % version
    )
    return ClientSoftware(Engine.SAFARI, agent, "safari", languages)


def iphone(version: bytes, languages: bytes = LANGUAGES[0]) -> ClientSoftware:
    agent = (
        b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        b"Version/%s Mobile/15E148 Safari/604.1" % version
    )
    return ClientSoftware(Engine.SAFARI, agent, "safari", languages)


def webview(random: Random) -> ClientSoftware:
    """A page inside of an app: Android's WebView with its own brand, or Apple's without a version."""
    languages = random.choice(LANGUAGES)
    if random.random() < 0.4:
        agent = (
            b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 "
            b"[FBAN/FBIOS;FBAV/530.0.0.45;FBDV/iPhone15,3;FBSN/iOS]"
        )
        return ClientSoftware(Engine.SAFARI, agent, "safari", languages)
    version = random.choice(CURRENT)
    agent = (
        b"Mozilla/5.0 (Linux; Android 14; %s Build/UP1A.231005.007; wv) AppleWebKit/537.36 (KHTML, like Gecko) "
        b"Version/4.0 Chrome/%d.0.7444.102 Mobile Safari/537.36" % (random.choice(PHONES[1:]), version)
    )
    hints = _hints(version, b"Android WebView", b'"Android"', phone=True)
    return ClientSoftware(Engine.CHROMIUM, agent, "chrome", languages, hints)


def desktop_browser(random: Random) -> ClientSoftware:
    """A browser of a desktop: Chrome 62 %, Edge 13 %, Safari 14 %, Firefox 11 %; one of twenty is a year old."""
    languages = random.choice(LANGUAGES)
    old = random.random() < OLD_SHARE
    version = random.choice(OLD if old else CURRENT)
    system, platform = _system(random)
    kind = random.random()
    if kind < 0.62:
        return chrome(version, system, platform, languages)
    if kind < 0.75:
        return edge(version, languages)
    if kind < 0.89:
        return safari(b"17.4" if old else b"26.1", languages)
    return firefox(115 if old else random.choice((144, 145)), system, languages)


def phone_browser(random: Random) -> ClientSoftware:
    """A browser of a phone: Chrome on Android 60 %, Safari 40 %; one of twenty is a year old."""
    languages = random.choice(LANGUAGES)
    old = random.random() < OLD_SHARE
    if random.random() < 0.6:
        version = random.choice(OLD if old else CURRENT)
        return chrome(version, b"Linux; Android 10; K", b'"Android"', languages, phone=True)
    return iphone(b"17.5" if old else b"26.1", languages)


def program(agent: bytes, speaks: str, *fields: tuple[bytes, bytes]) -> ClientSoftware:
    """A program that sends these fields in this order: after Host, or with Host where it is among them. User-Agent is the first
    when it is not among them."""
    if not any(name.lower() == b"user-agent" for name, _ in fields) and agent:
        fields = ((b"User-Agent", agent), *fields)
    return ClientSoftware(Engine.PROGRAM, agent, speaks, b"", (), fields)


PYTHON_REQUESTS: Final = program(
    b"python-requests/2.32.5", "python",
    (b"User-Agent", b"python-requests/2.32.5"), (b"Accept-Encoding", b"gzip, deflate, br, zstd"), (b"Accept", b"*/*"),
    (b"Connection", b"keep-alive"),
)  # fmt: skip
GO_CLIENT: Final = program(b"Go-http-client/1.1", "go", (b"User-Agent", b"Go-http-client/1.1"), (b"Accept-Encoding", b"gzip"))
CURL: Final = program(b"curl/8.14.1", "curl", (b"User-Agent", b"curl/8.14.1"), (b"Accept", b"*/*"))


def _system(random: Random) -> tuple[bytes, bytes]:
    at = random.randrange(sum(share for _, _, share in SYSTEMS))
    for system, platform, share in SYSTEMS:
        at -= share
        if at < 0:
            return system, platform
    raise AssertionError


MODES: Final[Mapping[Destination, tuple[bytes, bytes]]] = {
    Destination.DOCUMENT: (b"navigate", b"document"), Destination.STYLE: (b"no-cors", b"style"),
    Destination.SCRIPT: (b"no-cors", b"script"), Destination.IMAGE: (b"no-cors", b"image"),
    Destination.FETCH: (b"cors", b"empty"),
}  # fmt: skip
PLAIN_ACCEPT: Final = {
    Destination.STYLE: b"text/css,*/*;q=0.1", Destination.SCRIPT: b"*/*", Destination.FETCH: b"application/json"
}  # fmt: skip


@lru_cache(maxsize=8_192)
def header_fields(
    software: ClientSoftware,
    host: bytes,
    destination: Destination,
    site: bytes,
    referer: bytes,
    cookie: bytes,
    extra: Headers = (),
) -> Headers:
    """What the software sends, in its order. `site` is the value of Sec-Fetch-Site; empty referer and cookie are left out.

    `extra` are fields of this request, such as If-None-Match or Content-Type: browsers send them before the others' end.
    """
    tail = ((b"Cookie", cookie),) if cookie else ()
    origin = ((b"Referer", referer),) if referer else ()
    mode, dest = MODES[destination]
    navigates = destination is Destination.DOCUMENT
    engine = software.engine
    if engine is Engine.PROGRAM:
        first = () if any(name == b"Host" for name, _ in software.fields) else ((b"Host", host),)
        return (*first, *software.fields, *extra, *tail)
    accept = (
        NAVIGATE_ACCEPT[engine]
        if navigates
        else IMAGE_ACCEPT[engine]
        if destination is Destination.IMAGE
        else PLAIN_ACCEPT[destination]
    )
    agent = (b"User-Agent", software.agent)
    encodings = (b"Accept-Encoding", ENCODINGS[engine])
    languages = (b"Accept-Language", software.languages)
    fetch = ((b"Sec-Fetch-Site", site), (b"Sec-Fetch-Mode", mode), (b"Sec-Fetch-Dest", dest))
    user = ((b"Sec-Fetch-User", b"?1"),) if navigates else ()
    upgrade = ((b"Upgrade-Insecure-Requests", b"1"),) if navigates else ()
    match engine:
        case Engine.CHROMIUM:
            return (
                (b"Host", host), (b"Connection", b"keep-alive"), *extra, *software.hints, *upgrade, agent, (b"Accept", accept),
                *fetch[:2], *user, fetch[2], *origin, encodings, languages, *tail,
            )  # fmt: skip
        case Engine.FIREFOX:
            return (
                (b"Host", host), agent, (b"Accept", accept), languages, encodings, *origin, *extra,
                (b"Connection", b"keep-alive"), *tail, *upgrade, (b"Sec-Fetch-Dest", dest), (b"Sec-Fetch-Mode", mode),
                (b"Sec-Fetch-Site", site), *user, (b"Priority", b"u=0, i" if navigates else b"u=5"),
            )  # fmt: skip
        case Engine.SAFARI:
            return (
                (b"Host", host), (b"Sec-Fetch-Dest", dest), agent, (b"Accept", accept), (b"Sec-Fetch-Site", site),
                (b"Sec-Fetch-Mode", mode), languages, (b"Priority", b"u=0, i" if navigates else b"u=3, i"), encodings, *origin,
                *extra, (b"Connection", b"keep-alive"), *tail,
            )  # fmt: skip
