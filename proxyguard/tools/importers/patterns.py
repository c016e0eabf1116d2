r"""Regular expressions of other programs (PCRE, Go, Oniguruma) as conditions in RE2.

What differs without a change of meaning is rewritten; long alternations are split; the rest raises NotCarried. Other servers do
not distinguish a missing field from an empty one: a pattern that finds the empty text holds for a missing field too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Any, Final

import re2

from proxyguard.core.problems import Fault
from proxyguard.policy.parse.patterns import MAX_CHARACTERS, OPTIONS, check_regex
from proxyguard.tools.importers.conditions import ALWAYS, Condition, equal, literal, some
from proxyguard.tools.importers.draft import NotCarried, one_or_list
from proxyguard.tools.importers.look_ahead import without_look_ahead

ALWAYS_THERE: Final = frozenset({"path", "method", "host", "scheme", "client", "http_version"})

_VALUES_ONLY: Final = frozenset({"method", "scheme", "client", "http_version"})
"""Fields that take values and no patterns."""

_SPECIAL: Final = frozenset("\\.+*?()|[]{}^$/-")
_LEADING_FLAGS: Final = re.compile(r"\(\?([a-z]+)\)")
_FLAGS_OF_ALL: Final = re.compile(r"\(\?([a-z]+):(.*)\)", re.DOTALL)
_NAMED_CLASS: Final = re.compile(r"\[:\^?[a-z]+:\]")
_EVERY_BYTE: Final = bytes(range(256))
_OCTETS: Final = re.compile(r"\^?\(?((?:\d{1,3}\\?\.){1,3})(?:\.?\*|\$)?\)?")
_WHOLE_ADDRESS: Final = re.compile(r"\^?((?:\d{1,3}\\?\.){3}\d{1,3})\$?")


def pattern_condition(field: str, pattern: str, *, ignore_case: bool = False) -> Condition:
    """The fields whose text the pattern finds. Raises NotCarried."""
    pattern = _unwrapped(pattern)
    flags = _LEADING_FLAGS.match(pattern)
    if flags and set(flags[1]) <= set("ismu"):
        ignore_case, pattern = ignore_case or "i" in flags[1], pattern[flags.end() :]
    if field in _VALUES_ONLY:
        return equal(field, _values(field, pattern))
    whole = rewritten(without_look_ahead(pattern))
    texts = [f"(?i){part}" if ignore_case else part for part in _short_enough(whole)]
    if _finds_everything(texts, whole) or (field == "path" and whole in _EVERY_PATH):
        return ALWAYS
    for text in texts:
        try:
            check_regex(text)
        except Fault as fault:
            raise NotCarried(f"'{pattern[:60]}': {fault.message}; {fault.hint}") from fault
    value: Any = {"regex": texts[0] if len(texts) == 1 else texts}
    if field in ALWAYS_THERE or not _finds(texts, b""):
        return {field: value}
    return {field: ["absent", ""] if _is_empty_text(whole) else ["absent", value]}


def _unwrapped(pattern: str) -> str:
    """`(?i:…)` around all of a pattern as `(?i)…`."""
    found = _FLAGS_OF_ALL.fullmatch(pattern)
    if found is None or any(depth < 0 for _, depth in _depths(found[2])):
        return pattern
    return f"(?{found[1]}){found[2]}"


def text_condition(field: str, matcher: str, texts: Iterable[str], *, ignore_case: bool = False) -> Condition | None:
    """A field that `equal`s, has as `prefix` or `suffix`, or `contains` one of the texts. Raises NotCarried."""
    wanted = list(dict.fromkeys(text for text in texts if text))
    if not wanted:
        return None
    if field in {"host", "scheme"}:
        wanted, ignore_case = [text.lower() for text in wanted], False
    if field in _VALUES_ONLY and matcher != "equal":
        raise NotCarried(f"{field} is compared with values, not with parts of them")
    if not ignore_case or field in _VALUES_ONLY or not any(char.isalpha() for text in wanted for char in text):
        return equal(field, wanted) if matcher == "equal" else {field: {matcher: one_or_list([literal(text) for text in wanted])}}
    start, end = _ANCHORS[matcher]
    return some(pattern_condition(field, f"{start}{escaped(text)}{end}", ignore_case=True) for text in wanted)


_ANCHORS: Final = {"equal": ("^", "$"), "prefix": ("^", ""), "suffix": ("", "$"), "contains": ("", "")}


def escaped(text: str) -> str:
    """A text as a pattern that finds just it."""
    return re.sub(r"([.*+?()|\[\]{}^$\\])", r"\\\1", text)


def _is_empty_text(pattern: str) -> bool:
    return pattern in {"^$", "^()$", "^(?:)$", "\\A\\z"}


def _finds(texts: list[str], value: bytes) -> bool:
    try:
        return any(re2.compile(text.encode("latin-1"), OPTIONS).search(value) is not None for text in texts)
    except (re2.error, UnicodeEncodeError):
        return False


_EVERY_PATH: Final = frozenset({"/", "^/", "^/.*", "^/.*$", "^/(.*)$", "/.*", "^.+$", "^(.+)$", ".+"})
_EVERYTHING: Final = re.compile(r"\^?\(?(?:\?:)?\.\*\??\)?\$?")


def _finds_everything(texts: list[str], whole: str) -> bool:
    return not whole or _EVERYTHING.fullmatch(whole) is not None or (_finds(texts, b"") and _finds(texts, _EVERY_BYTE))


def rewritten(pattern: str) -> str:
    r"""The pattern in RE2's spelling: escapes that RE2 does not know (`\_`, `\h`), bytes above ASCII. Raises NotCarried."""
    made: list[str] = []
    at, in_class = 0, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            made.append(_escape(pattern[at + 1], in_class=in_class))
            at += 2
            continue
        if ord(char) > 127:
            if in_class:
                raise NotCarried(f"'{pattern[:60]}': patterns match bytes, and {char!r} in [ ] is several")
            char = f"(?:{''.join(f'\\x{byte:02X}' for byte in char.encode())})"
        elif char == "[" and not in_class:
            in_class = True
            extra = re.compile(r"\^?\]?").match(pattern, at + 1)
            char += extra[0] if extra else ""
            at += len(char) - 1
        elif char == "[":
            named = _NAMED_CLASS.match(pattern, at)
            char = named[0] if named else r"\["
            at += len(named[0]) - 1 if named else 0
        elif char == "]":
            in_class = False
        made.append(char)
        at += 1
    return "".join(made)


def _escape(char: str, *, in_class: bool) -> str:
    if char == "h":
        return r"\t " if in_class else r"[\t ]"
    if char == "Z":
        return "$"
    return f"\\{char}" if char.isalnum() or char in _SPECIAL else char


def _short_enough(pattern: str) -> list[str]:
    """The pattern; one above the bound as several that find the same, split where it is an alternation."""
    if len(pattern) + 4 <= MAX_CHARACTERS:
        return [pattern]
    parts = alternatives(pattern)
    if len(parts) < 2:
        return [pattern]
    return [short for part in parts for short in (_short_enough(part) if len(part) + 4 > MAX_CHARACTERS else [part])]


def alternatives(pattern: str) -> list[str]:
    """What stands between the `|` of a pattern, or of its only group: `^(a|b)x` is `^ax` and `^bx`. One: no alternation."""
    places = list(_depths(pattern))
    marks = [at for at, depth in places if pattern[at] == "|" and depth == 0]
    if marks:
        return _cut(pattern, marks)
    opened = next((at for at, depth in places if pattern[at] == "(" and depth == 0), None)
    closed = next((at for at, depth in places if pattern[at] == ")" and depth == 0), None)
    if opened is None or closed is None or pattern[closed + 1 : closed + 2] in {"*", "+", "?", "{"}:
        return [pattern]
    head = re.compile(r"\((?:\?:|\?P?<\w+>)?").match(pattern, opened)
    if head is None or (pattern.startswith("(?", opened) and head[0] == "("):
        return [pattern]
    parts = alternatives(pattern[head.end() : closed])
    before, after = pattern[:opened], pattern[closed + 1 :]
    return [before + part + after for part in parts] if len(parts) > 1 else [pattern]


def _cut(pattern: str, marks: list[int]) -> list[str]:
    starts = [0, *(mark + 1 for mark in marks)]
    return [pattern[start:end] for start, end in zip(starts, [*marks, len(pattern)], strict=True)]


def _depths(pattern: str) -> Iterator[tuple[int, int]]:
    """The places of `(`, `)` and `|` outside of classes, with how many groups are open around them."""
    at, depth, in_class = 0, 0, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            at += 2
            continue
        if in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
            at += 1 if pattern[at + 1 : at + 2] in {"]", "^"} else 0
        elif char == "(":
            yield at, depth
            depth += 1
        elif char == ")":
            depth -= 1
            yield at, depth
        elif char == "|":
            yield at, depth
        at += 1


def _values(field: str, pattern: str) -> list[str]:
    """The values that an alternation of plain texts stands for, for fields that take no patterns. Raises NotCarried."""
    parts = [part for one in alternatives(pattern) for part in alternatives(one)]
    if field == "client":
        return [_network(part) for part in parts]
    found = []
    for part in parts:
        bare = part.removeprefix("^").removesuffix("$").replace("\\", "").strip("()")
        if field == "http_version":
            bare = bare.upper().removeprefix("HTTP/").replace("2.0", "2").replace("3.0", "3")
        if not re.fullmatch(r"[0-9.]{1,4}" if field == "http_version" else r"[A-Za-z-]{1,30}", bare):
            raise NotCarried(f"'{pattern[:60]}': {field} is compared with values, not with patterns")
        found.append(bare.upper() if field == "method" else bare)
    return found


def _network(pattern: str) -> str:
    r"""`^192\.0\.2\.` is 192.0.2.0/24. Raises NotCarried."""
    whole = _WHOLE_ADDRESS.fullmatch(pattern)
    octets = _OCTETS.fullmatch(pattern)
    try:
        if whole and pattern.startswith("^"):
            return str(ip_network(whole[1].replace("\\", "")).network_address)
        if octets and pattern.startswith("^"):
            found = octets[1].replace("\\", "").strip(".").split(".")
            return str(ip_network(".".join([*found, *["0"] * (4 - len(found))]) + f"/{8 * len(found)}"))
    except ValueError:
        pass
    raise NotCarried(f"'{pattern[:60]}': client is compared with addresses and networks, not with patterns")
