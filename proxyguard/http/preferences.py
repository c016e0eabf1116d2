"""Preferences about automated use as a site says them: lines of robots.txt, header fields, small files.

Content-Signal (Cloudflare) and `License` (RSL 1.0) in robots.txt; Content-Usage (draft-ietf-aipref-attach-05) there and as a
field; RSL's document as `application/rsl+xml`; TDMRep (W3C community group) as `/.well-known/tdmrep.json` and fields.
Where the site says one of them itself, its word stays. Pure.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Final

from proxyguard.core.preferences import PreferenceFormat, Preferences, RobotsFile, Wish
from proxyguard.core.request import Headers
from proxyguard.http.responses import TEXT, Answer

ROBOTS: Final = b"/robots.txt"
LICENCE: Final = b"/license.xml"
TDM: Final = b"/.well-known/tdmrep.json"

MAX_AGE: Final = (b"Cache-Control", b"max-age=3600")

MAX_MADE: Final = 16
"""Texts of robots.txt that are kept made; each has at most 500 KiB."""

_HEAD: Final = b"# What programs may do with what they read here\nUser-agent: *\n"


class PreferenceFiles:
    """Everything that says the preferences of an instance."""

    def __init__(self, preferences: Preferences) -> None:
        said = preferences.formats
        self._robots = preferences.robots_txt
        self._signals = _signals(preferences) if PreferenceFormat.CONTENT_SIGNAL in said else b""
        self._usage = _usage(preferences) if PreferenceFormat.CONTENT_USAGE in said else b""
        self._has_licence = PreferenceFormat.RSL in said and bool(_uses(preferences, Wish.YES) or _uses(preferences, Wish.NO))
        self._files: dict[bytes, Answer] = {}
        fields: list[tuple[bytes, bytes]] = []
        if self._usage:
            fields.append((b"Content-Usage", self._usage))
        if self._has_licence:
            self._files[LICENCE] = _file(b"application/rsl+xml", _licence(preferences))
            fields.append((b"Link", b'</license.xml>; rel="license"; type="application/rsl+xml"'))
        if PreferenceFormat.TDM in said and preferences.ai_train is not Wish.UNSAID:
            reserved = preferences.ai_train is Wish.NO
            self._files[TDM] = _file(b"application/json", _reservation(preferences, reserved=reserved))
            fields.append((b"TDM-Reservation", b"1" if reserved else b"0"))
            if preferences.tdm_policy:
                fields.append((b"TDM-Policy", preferences.tdm_policy.encode()))
        self.fields: Headers = tuple(fields)
        """For final responses that do not have them."""
        self._made = lru_cache(MAX_MADE)(self._make)

    @property
    def wants_robots_txt(self) -> bool:
        """Whether the text of the site is needed."""
        return self._robots is not RobotsFile.OFF

    def file(self, path: bytes) -> Answer | None:
        """The answer for a file of ours other than robots.txt."""
        return self._files.get(path)

    def robots_txt(self, text: bytes, scheme: bytes, host: bytes) -> Answer | None:
        """The answer for robots.txt, given the site's own text, empty where it has none; None: the site's own answer stands."""
        return None if text and self._robots is not RobotsFile.APPEND else self._made(text, scheme, host)

    def _make(self, text: bytes, scheme: bytes, host: bytes) -> Answer | None:
        lines = [
            b"%b: %b\n" % (name, value)
            for name, value in ((b"Content-Signal", self._signals), (b"Content-Usage", self._usage))
            if value and not _has(text, name)
        ]
        # Without a text of the site's nothing is forbidden; below one, an Allow could beat a Disallow of its own.
        block = [_HEAD, *lines] + ([] if text else [b"Allow: /\n"]) if lines or not text else []
        if self._has_licence and not _has(text, b"License"):
            block.append(b"\nLicense: %b://%b%b\n" % (scheme, host, LICENCE))
        if not block:
            return None
        own = [text.rstrip(b"\r\n"), b"\n\n"] if text else []
        return _file(TEXT, b"".join((*own, *block)))


def _file(content_type: bytes, body: bytes) -> Answer:
    return Answer(200, b"OK", ((b"Content-Type", content_type), MAX_AGE), body)


def _has(text: bytes, name: bytes) -> bool:
    """Whether a line of robots.txt begins with a name."""
    return re.search(rb"^[ \t]*" + name + rb"[ \t]*:", text, re.IGNORECASE | re.MULTILINE) is not None


def _signals(preferences: Preferences) -> bytes:
    uses = (("search", preferences.search), ("ai-input", preferences.ai_input), ("ai-train", preferences.ai_train))
    return ", ".join(f"{name}={wish}" for name, wish in uses if wish is not Wish.UNSAID).encode()


def _usage(preferences: Preferences) -> bytes:
    """A dictionary of structured fields (RFC 9651); the vocabulary has no word for what is asked while somebody waits."""
    uses = (("search", preferences.search), ("train-ai", preferences.ai_train))
    return ", ".join(f"{name}={'y' if wish is Wish.YES else 'n'}" for name, wish in uses if wish is not Wish.UNSAID).encode()


def _uses(preferences: Preferences, wanted: Wish) -> str:
    """In RSL's words."""
    uses = (("search", preferences.search), ("ai-input", preferences.ai_input), ("ai-train", preferences.ai_train))
    return " ".join(name for name, wish in uses if wish is wanted)


def _licence(preferences: Preferences) -> bytes:
    permits, prohibits = _uses(preferences, Wish.YES), _uses(preferences, Wish.NO)
    terms = (f'      <permits type="usage">{permits}</permits>\n' if permits else "") + (
        f'      <prohibits type="usage">{prohibits}</prohibits>\n' if prohibits else ""
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<rsl xmlns="https://rslstandard.org/rsl">\n  <content url="/">\n    <license>\n'
        f"{terms}    </license>\n  </content>\n</rsl>\n"
    ).encode()


def _reservation(preferences: Preferences, *, reserved: bool) -> bytes:
    rule: dict[str, str | int] = {"location": "/", "tdm-reservation": int(reserved)}
    if preferences.tdm_policy:
        rule["tdm-policy"] = preferences.tdm_policy
    return json.dumps([rule]).encode() + b"\n"
