"""What a user agent says, as a label that holds nothing of whoever sent it: `chrome 143 windows`, `bot Feedly`, `other`.

A browser is its name, major version and system. A program is a word that the table of declared bots has, when that word alone is
of the same classes as the whole user agent.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final

from proxyguard.policy.bots.classes import DATA, MAX_BYTES, classes_of
from proxyguard.tools.range.browsers import ClientSoftware, chrome, edge, firefox, iphone, program, safari

NAMELESS: Final = "none"
OTHER: Final = "other"
BOT: Final = "bot"
PHONES: Final = frozenset({"android", "iphone"})
OLDEST, NEWEST = 20, 399

_SYSTEMS: Final = (
    (b"iPhone", "iphone"), (b"iPad", "iphone"), (b"Android", "android"), (b"Windows NT", "windows"), (b"Macintosh", "mac"),
    (b"X11", "linux"), (b"CrOS", "linux"),
)  # fmt: skip
_NAMES: Final = (
    (re.compile(rb"\bEdg(?:A|iOS)?/(\d{2,3})\."), "edge"), (re.compile(rb"\b(?:Firefox|FxiOS)/(\d{2,3})\."), "firefox"),
    (re.compile(rb"\b(?:Chrome|CriOS)/(\d{2,3})\."), "chrome"), (re.compile(rb"\bVersion/(\d{2,3})\..*Safari/"), "safari"),
)  # fmt: skip
_TOKEN: Final = re.compile(rb"[A-Za-z][A-Za-z-]{2,30}")
_LABEL: Final = re.compile(r"(chrome|edge|firefox|safari) (\d{1,3}) (windows|mac|linux|android|iphone)")
_BOT_LABEL: Final = re.compile(r"bot ([A-Za-z][A-Za-z-]{2,30})")

SYSTEM_TEXTS: Final = {
    "windows": (b"Windows NT 10.0; Win64; x64", b'"Windows"'), "mac": (b"Macintosh; Intel Mac OS X 10_15_7", b'"macOS"'),
    "linux": (b"X11; Linux x86_64", b'"Linux"'), "android": (b"Linux; Android 10; K", b'"Android"'),
}  # fmt: skip


@lru_cache(4_096)
def label_of(agent: bytes | None) -> str:
    """The label of a user agent; None: the field was not sent."""
    if not agent or agent == b"-":
        return NAMELESS
    agent = agent[:MAX_BYTES]
    classes = classes_of(agent)
    if classes:
        for token in _TOKEN.findall(agent):
            if token in known_names() and classes_of(token + b"/1.0") == classes:
                return f"{BOT} {token.decode()}"
        return OTHER
    system = next((label for text, label in _SYSTEMS if text in agent), None)
    if system is None or not agent.startswith(b"Mozilla/5.0 ("):
        return OTHER
    for pattern, name in _NAMES:
        found = pattern.search(agent)
        if found is not None and OLDEST <= int(found[1]) <= NEWEST:
            return f"{name} {int(found[1])} {system}"
        if found is not None and name == "safari":
            return f"{name} {int(found[1])} {system}"
    return OTHER


@cache
def known_names() -> frozenset[bytes]:
    """The words of the table of declared bots."""
    return frozenset(_TOKEN.findall(DATA.read_bytes()))


def software_of(label: str) -> ClientSoftware:
    """A client that says what the label says. Raises ValueError for a label that is none."""
    if label == NAMELESS:
        return program(b"", "other", (b"Accept", b"*/*"))
    if label == OTHER:
        return program(b"other/1.0", "other", (b"User-Agent", b"other/1.0"), (b"Accept", b"*/*"))
    bot = _BOT_LABEL.fullmatch(label)
    if bot is not None and bot[1].encode() in known_names():
        agent = bot[1].encode() + b"/1.0"
        return program(agent, "other", (b"User-Agent", agent), (b"Accept", b"*/*"), (b"Accept-Encoding", b"gzip"))
    browser = _LABEL.fullmatch(label)
    if browser is None:
        raise ValueError(label)
    return _browser(browser[1], int(browser[2]), browser[3])


def _browser(name: str, version: int, system: str) -> ClientSoftware:
    if system == "iphone":
        return iphone(b"%d.1" % (version if name == "safari" else 26))
    text, platform = SYSTEM_TEXTS[system]
    match name:
        case "firefox":
            return firefox(version, text)
        case "safari":
            return safari(b"%d.1" % version)
        case "edge" if system == "windows":
            return edge(version)
    return chrome(version, text, platform, phone=system == "android")


def group_of(label: str) -> str:
    """Which cohort a client belongs to: desktop, phone, a class of bots, or what says nothing."""
    if label in {NAMELESS, OTHER}:
        return label
    if label.startswith(BOT + " "):
        return classes_of(label.removeprefix(BOT + " ").encode() + b"/1.0")[0].decode()
    return "phone" if label.rpartition(" ")[2] in PHONES else "desktop"
