"""Takes out of a text what may tell of a person: addresses, telephone and other long numbers, tokens, names in known places.

What is taken out leaves a mark, such as `[e-mail]`. Percent-encoding is undone as often as it was done, and look-alikes of
Unicode are read as what they look like, so that a spelling hides nothing. A text without anything suspicious costs one search.
Every step is linear in the text, which the caller has cut. Knows nothing of where texts come from.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import re2

MAX_DECODED: Final = 4
"""Times that a text may be percent-encoded; what is encoded more often is no text of a person."""

EMAIL: Final = "[e-mail]"
PHONE: Final = "[phone]"
NUMBER: Final = "[number]"
TOKEN: Final = "[token]"  # noqa: S105 - a mark
ADDRESS: Final = "[address]"
PERSON: Final = "[person]"
OTHER: Final = "[redacted]"

MIN_TOKEN: Final = 16
"""Characters of letters and digits that no word has."""

_SECRET_PLACES: Final = (
    r"(?i:/(?:token|reset|reset-password|password-reset|verify|confirm|activate|invite|invitation|unsubscribe|magic|share)/)"  # noqa: S105 - names of places
)

_SUSPICIOUS: Final = re.compile(rf"[@%+:;=\\~\[({{<]|\d\.?\d|[^\x00-\x7f]|[A-Za-z0-9_\-]{{{MIN_TOKEN}}}|eyJ|{_SECRET_PLACES}")
"""Texts without any of these are kept as they are: nothing that is looked for below is without."""

_NOT_OF_LOCAL: Final = re.compile(r"[\s/<>\"(),:;\\?&=\[\]]")
_DOMAIN: Final = re.compile(r"[^\s/@<>\"(),:;\\?&=\[\]]+")
_LOG_IN: Final = re.compile(r"://([^\s/]+)\Z")
"""What stands before the `@` of a URL: a name, and often a password."""

_SPELT_AT: Final = re.compile(r"\s?[(\[{<]\s?at\s?[)\]}>]\s?", re.IGNORECASE)

_V4: Final = r"(?:25[0-5]|2[0-4]\d|[01]?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|[01]?\d?\d)){3}"
_BEFORE_V6: Final = r"(?:(?<![\w:])|(?<=[G-Zg-z_]:))"
_ADDRESSES: Final = re.compile(
    rf"(?<![\d.]){_V4}(?!\.*\d)|{_BEFORE_V6}(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}(?:{_V4}|[0-9A-Fa-f]{{0,4}})(?!\w|:[\w:])"
)
_AGENT_ADDRESSES: Final = re.compile(
    rf"(?<![\d.])(?<!\w/){_V4}(?!\.*\d)|{_BEFORE_V6}(?:[0-9A-Fa-f]{{1,4}}:){{3,7}}[0-9A-Fa-f:]{{1,39}}"
    rf"|{_BEFORE_V6}(?:[0-9A-Fa-f]{{1,4}}:){{1,2}}(?::[0-9A-Fa-f]{{1,4}}){{1,6}}(?![\w:])"
)
"""In a user agent `Name/99.0.4.4` is a version. What follows is looked at up to its first digit only: not again and again."""

_PHONES: Final = re.compile(
    r"(?<![\w+])(?:"
    r"(?:\+|00)[ ]?\d(?:[ ().\-/]{0,2}\d){6,14}"
    r"|\(0?\d{2,5}\)[ ]?\d(?:[ \-/]?\d){4,10}"
    r"|0\d{1,4}[ \-/]\d(?:[ \-/]?\d){4,10}"
    r"|\d{3}[ .\-]\d{3}[ .\-]\d{4}"
    r"|\d{2}(?:[ .]\d{2}){4}"
    r")(?!(?:[^\W\d]|\.)*\d)"
)  # fmt: skip
"""International, with a prefix in brackets, with a leading zero, North American, and pairs of digits as in France."""

_GROUPS: Final = re.compile(
    r"(?<![\w])(?:[A-Z]{2}\d{2}(?:[ \-][0-9A-Z]{4}){2,7}(?:[ \-][0-9A-Z]{1,4})?|\d{4}(?:[ \-]\d{4}){2,4}|\d{3}-\d{2}-\d{4})(?!\w)"
)
"""Accounts (IBAN), cards, social security."""

_LONG_NUMBER: Final = re.compile(r"(?<!Gecko/)(?<!\d)\d{7,}")

_LONG_RUN: Final = re.compile(r"[A-Za-z0-9_\-]{16,}={0,2}")
_HEX: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:[0-9a-f]{16,}|[0-9A-F]{16,}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})(?![A-Za-z0-9])"
)
_DOTTED_TOKEN: Final = re.compile(r"eyJ[\w\-]{8,}(?:\.[\w\-]*){1,4}")
_SOLID: Final = re.compile(rf"[A-Za-z0-9]{{{MIN_TOKEN},}}")
_TOUCHING: Final = re.compile(r"[A-Za-z]\d|\d[A-Za-z]")

_NAMED: Final = re.compile(
    r"(?i)((?:^|[^a-z])(?:[a-z]{0,16}[_\-]?(?:token|secret|passw(?:or)?d|pwd|session(?:id)?|sess(?:id)?|api[_\-]?key|apikey|auth|otp|"
    r"authorization|cookie|e?-?mail|phone|tel|name|user(?:name)?|login))[\"'\])]{0,2}\s?[=:]\s?[\"']?(?:bearer\s|basic\s)?)"
    r"([^\s/&;,?#]{2,})"
)
"""`;jsessionid=…`, `token:…`, `"name":"…"`, `user[name]=…`: what stands behind such a word is no business of a log."""

_SECRET_BELOW: Final = re.compile(
    rf"({_SECRET_PLACES})(?:(?=[^/]{{0,200}}(?:\d|[a-z][A-Z]))[^/]{{6,}}|[^/\W\d_]{{{MIN_TOKEN}}}[^/]*|\d{{4,}}(?![^/]))"
)
"""What no word of a site's own is: with a digit or a capital within it, as long as a token, or a code of digits."""

_SHORT_NUMBER: Final = re.compile(r"\d{0,6}(?:\.[a-z]{2,5})?\Z")


class Redactor:
    """Redacts texts. `people` are paths whose next segment names a person, `patterns` regular expressions of the operator."""

    def __init__(self, people: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        """Each of `people` ends in `*`. Raises re2.error for a pattern that is none."""
        options = re2.Options()
        options.log_errors = False
        self._own: tuple[Any, ...] = tuple(re2.compile(pattern, options) for pattern in patterns)
        starts = "|".join(re.escape(each.rstrip("*")) for each in people)
        self._people = re.compile(rf"(?i)({starts})([^/]{{1,255}})") if starts else None

    def path(self, text: str) -> str:
        """A decoded path without its query."""
        people = self._people
        if not self._own and _SUSPICIOUS.search(text) is None and (people is None or people.search(text) is None):
            return text
        return self._redacted(text, _ADDRESSES, people)

    def agent(self, text: str) -> str:
        """A user agent: what looks like a version is one."""
        return self._redacted(text, _AGENT_ADDRESSES)

    def text(self, text: str) -> str:
        """Any other text, such as the name of a host."""
        if not self._own and _SUSPICIOUS.search(text) is None:
            return text
        return self._redacted(text, _ADDRESSES)

    def _redacted(self, text: str, addresses: re.Pattern[str], people: re.Pattern[str] | None = None) -> str:
        plain = unescaped(text)
        found = plain if people is None else people.sub(_person, plain)
        for pattern in self._own:
            found = pattern.sub(OTHER, found)
        if "@" in found or "at" in found.lower():
            found = _without_emails(found)
        if "=" in found or ":" in found:
            found = _NAMED.sub(rf"\1{OTHER}", found)
        found = _SECRET_BELOW.sub(rf"\1{TOKEN}", found)
        if "eyJ" in found:
            found = _DOTTED_TOKEN.sub(TOKEN, found)
        if _has_digits(found):
            found = addresses.sub(ADDRESS, found)
            found = _HEX.sub(_hexadecimal, found)
            found = _GROUPS.sub(NUMBER, found)
            found = _PHONES.sub(PHONE, found)
            found = _LONG_RUN.sub(_token, found)
            found = _LONG_NUMBER.sub(NUMBER, found)
        return text if found == plain else found


_DIGITS: Final = re.compile(r"\d|:")


def _has_digits(text: str) -> bool:
    return _DIGITS.search(text) is not None


_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")


def unescaped(text: str) -> str:
    """The text with percent-encoding undone and look-alikes as what they look like; itself when there is none of either."""
    for _ in range(MAX_DECODED):
        before = text
        if "%" in text:
            text = unquote_to_bytes(text.encode("utf-8", "surrogatepass")).decode("utf-8", "backslashreplace")
        if not text.isascii():
            text = _BEYOND_ASCII.sub(_as_it_looks, unicodedata.normalize("NFKC", text))
        if text == before:
            break
    return text


def _as_it_looks(match: re.Match[str]) -> str:
    """A digit of any script as one of ours, any dash as a hyphen; what is not to be seen is left out."""
    char = match[0]
    match unicodedata.category(char):
        case "Nd":
            return str(unicodedata.decimal(char))
        case "Cf":
            return ""
        case "Pd":
            return "-"
        case _:
            return "-" if char == "\N{MINUS SIGN}" else char


def _without_emails(text: str) -> str:
    """Around each `@`, or a spelt-out one, what an address, or the log-in of a URL, may consist of becomes a mark."""
    text = _SPELT_AT.sub("@", text)
    parts: list[str] = []
    begin = 0
    while True:
        at = text.find("@", begin)
        if at < 0:
            parts.append(text[begin:])
            return "".join(parts)
        log_in = _LOG_IN.search(text, begin, at)
        start = begin
        for other in () if log_in else _NOT_OF_LOCAL.finditer(text, begin, at):
            start = other.end()
        start = log_in.start(1) if log_in else start
        domain = _DOMAIN.match(text, at + 1)
        if start == at or domain is None:
            parts.append(text[begin : at + 1])
            begin = at + 1
        else:
            parts += (text[begin:start], EMAIL)
            begin = domain.end()


def _person(match: re.Match[str]) -> str:
    return match[0] if _SHORT_NUMBER.match(match[2]) else f"{match[1]}{PERSON}"


def _hexadecimal(match: re.Match[str]) -> str:
    found = match[0]
    return NUMBER if found.isdecimal() else TOKEN if _DIGITS.search(found) else found


def _token(match: re.Match[str]) -> str:
    """A long run of letters and digits that no word is: both are in one piece of it."""
    found = match[0]
    solid = _SOLID.search(found)
    if solid is not None and not solid[0].isdecimal():
        digits = sum(map(str.isdecimal, solid[0]))
        if digits >= 2 or (digits == 1 and not solid[0][-1].isdecimal()):
            return TOKEN
    mixed = len(found) >= 20 and found != found.lower() and found != found.upper() and len(_TOUCHING.findall(found)) >= 2
    return TOKEN if mixed else found
