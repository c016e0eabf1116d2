"""Takes personal data out of an answer: JSON fields by path, HTML elements by CSS selector, addresses and numbers in text.

What cannot be read for certain raises CannotMask: the caller refuses it. Nothing of an answer passes unread, and what passes is
written anew from what was read, so that two spellings of one thing cannot tell reader and client apart. Text comes out as UTF-8.
Runs in a process of its own (`adapters.mitmproxy.masking_process`): HTML that is nested on purpose takes long to read.
"""

from __future__ import annotations

import json
import re
import zlib
from typing import Any, Final

import re2

from proxyguard.core.decision import Mask

HIDDEN: Final = "[hidden]"
"""What stands in the place of an address or a number in text. A JSON field becomes null, an element is left out."""

MAX_DEPTH: Final = 200
"""Of JSON: deeper than any API answers."""

DOCTYPE_CHARACTERS: Final = 2048
"""How far into a page its document type is looked for."""

_JSON: Final = re.compile(r"application/(?:[a-z0-9.+-]+\+)?json|text/json")
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_TEXT: Final = re.compile(
    r"text/(?!event-stream)[a-z0-9.+-]+|application/(?:[a-z0-9.+-]+\+)?xml|application/(?:x-)?(?:java|ecma)script"
)

_CHARSETS: Final = {
    "": "", "utf-8": "utf-8", "utf8": "utf-8", "us-ascii": "utf-8", "iso-8859-1": "cp1252", "latin1": "cp1252",
    "windows-1252": "cp1252", "iso-8859-2": "iso8859-2", "iso-8859-15": "iso8859-15", "windows-1250": "cp1250",
    "windows-1251": "cp1251", "koi8-r": "koi8-r",
}  # fmt: skip
"""Those in which ASCII is ASCII, read as browsers do (WHATWG Encoding). In others a pattern could be written in other bytes."""

_EMAIL: Final = re2.compile(r"[\p{L}\p{N}.+_%'~-]+(?:@|%40|&#64;|&commat;|\\u0040)[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)+")
_FILE_ENDINGS: Final = frozenset(
    {"png", "jpg", "jpeg", "gif", "webp", "svg", "avif", "ico", "css", "js", "mjs", "map", "json", "woff", "woff2", "html"}
)
"""`logo@2x.png` and `lib@4.min.js` are files."""

_PHONE: Final = re2.compile(
    r"(?:\+|\b00)[1-9](?:[ ().\-/\x{a0}]{0,3}\d){6,14}\b"  # international
    r"|\(?\b0\d{1,4}\)?(?:[ .\-/\x{a0}]{1,3}\d{2,8}){1,4}\b"  # national with a leading 0 and gaps
    r"|\(\d{3}\) ?\d{3}[-. ]\d{4}\b|\b\d{3}[-.]\d{3}[-.]\d{4}\b"  # North American
)
_TEL: Final = re2.compile(r"(?i)\b(?:tel|sms|callto):[+%0-9 ().\-]{5,40}")

MIN_DIGITS: Final = 8
"""Of a phone number, as far as it is written in one piece."""

_AT: Final = re.compile(r"@|%40|#64|commat|u0040")
_DIGITS: Final = re.compile(r"\d(?:\D{0,4}\d){5}")
"""What no address, and no number, is without: most texts need no closer look."""

_DATE: Final = re.compile(r"\d{1,2}([./-])\d{1,2}\1\d{4}|0\d-\d\d \d\d(?!\d)")

_TAG: Final = re.compile(r"(<[^>]*>)")
_CODE: Final = re.compile(r"<(/?)(?:script|style)\b")


class CannotMask(Exception):
    """An answer, or some of it, cannot be read for certain. `reason` is a token for the audit record."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def kind_of(mask: Mask, content_type: str) -> str:
    """How an answer of this type is read: `json`, `html` or `text`; empty for one that passes as it is. Raises CannotMask.

    A rule that names fields or elements knows its answers in those forms only: the same data in another form would pass.
    """
    name = content_type.partition(";")[0].strip().lower()
    if any(name.startswith(beginning) for beginning in mask.untouched):
        return ""
    has_structure = bool(mask.json or mask.html)
    if _JSON.fullmatch(name) and (mask.json or not has_structure):
        return "json"
    if name in _HTML and (mask.html or not has_structure):
        return "html"
    if _TEXT.fullmatch(name) and name not in _HTML and not _JSON.fullmatch(name) and not has_structure:
        return "text"
    raise CannotMask("mask-type")


def masked(mask: Mask, content_type: str, encoding: str, body: bytes) -> tuple[str, bytes]:
    """Content type and body of the answer that may be shown. `encoding` is its Content-Encoding. Raises CannotMask."""
    kind = kind_of(mask, content_type)
    text = _text(unpacked(encoding, body, mask.most_bytes), content_type, is_strict=kind == "json")
    media = content_type.partition(";")[0].strip()
    if kind == "json":
        return media, _masked_json(mask, text)
    text = _masked_html(mask, text) if kind == "html" else _masked_text(mask, text)
    return f"{media}; charset=utf-8", text.encode("utf-8", "replace")


def masked_value(mask: Mask, text: str) -> str:
    """The value of a header field without what the patterns name."""
    return _masked_text(mask, text)


def unpacked(encoding: str, body: bytes, most: int) -> bytes:
    """A body without its Content-Encoding, at most so long. Sites are asked for none, and some answer with gzip all the same."""
    match encoding.strip().lower():
        case "" | "identity":
            if len(body) > most:
                raise CannotMask("mask-size")
            return body
        case "gzip" | "x-gzip":
            window = 31
        case "deflate":
            window = 15
        case _:
            raise CannotMask("mask-encoding")
    reader = zlib.decompressobj(window)
    try:
        text = reader.decompress(body, most + 1)
    except zlib.error:
        raise CannotMask("mask-encoding") from None
    if len(text) > most:
        raise CannotMask("mask-size")
    if not reader.eof or reader.unused_data:
        raise CannotMask("mask-encoding")
    return text


def _text(body: bytes, content_type: str, *, is_strict: bool) -> str:
    named = re.search(r";\s*charset\s*=\s*\"?([a-z0-9_.:-]*)", content_type.lower())
    charset = _CHARSETS.get(named[1] if named else "")
    if charset is None or (is_strict and charset not in ("", "utf-8")):
        raise CannotMask("mask-charset")
    try:
        text = body.decode(charset or "utf-8", "strict" if is_strict or not charset else "replace").removeprefix("\ufeff")
    except UnicodeDecodeError:
        if is_strict:
            raise CannotMask("mask-charset") from None
        text = body.decode("cp1252", "replace")
    if "\0" in text or "\x1b" in text:  # UTF-16, ISO-2022: a client that reads it so would find what we did not
        raise CannotMask("mask-charset")
    return text


# -- text --------------------------------------------------------------------------------------------------------------------


def _masked_text(mask: Mask, text: str) -> str:
    if "email" in mask.patterns and _AT.search(text):
        text = _EMAIL.sub(_unless_file, text)
    if "phone" in mask.patterns and _DIGITS.search(text):
        text = _PHONE.sub(_unless_date, _TEL.sub(HIDDEN, text))
    return text


def _unless_file(found: Any) -> str:
    address: str = found.group(0)
    ending = address.rpartition(".")[2].lower()
    return address if ending in _FILE_ENDINGS or ending.isdecimal() else HIDDEN


def _unless_date(found: Any) -> str:
    number: str = found.group(0)
    is_short = sum(map(str.isdecimal, number)) < MIN_DIGITS
    return number if is_short or _DATE.match(number) else HIDDEN


# -- JSON --------------------------------------------------------------------------------------------------------------------


def _masked_json(mask: Mask, text: str) -> bytes:
    try:
        value = json.loads(text, parse_constant=_no_number)
        _check_depth(value)
        for path in mask.json:
            value = _without(value, path.split("."))
        if mask.patterns:
            value = _each_text(mask, value)
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode("ascii")
    except (ValueError, RecursionError):  # of a thousand digits, of another syntax, nested deeper than any API
        raise CannotMask("mask-json") from None


def _no_number(name: str) -> float:
    raise ValueError(name)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [inner for each in level if isinstance(each, (dict, list)) for inner in _inner(each)]
    raise ValueError("nested too deep")


def _inner(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


def _without(value: Any, path: list[str]) -> Any:
    """The value with null where the path leads. `*` is any key or place, `**` any number of them."""
    if not path:
        return None
    first, rest = path[0], path[1:]
    if first == "**":
        value = _without(value, rest)
        for key, inner in _entries(value):
            value[key] = _without(inner, path)
        return value
    for key, inner in _entries(value):
        if first == "*" or (isinstance(key, str) and key == first) or (isinstance(key, int) and first == str(key)):
            value[key] = _without(inner, rest)
    return value


def _entries(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _each_text(mask: Mask, value: Any) -> Any:
    if isinstance(value, str):
        return _masked_text(mask, value)
    if isinstance(value, list):
        return [_each_text(mask, each) for each in value]
    if isinstance(value, dict):
        return {_masked_text(mask, key): _each_text(mask, each) for key, each in value.items()}
    return value


# -- HTML --------------------------------------------------------------------------------------------------------------------


def load_html_reader() -> Any:
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - only the process that masks needs it

    return LexborHTMLParser


def _masked_html(mask: Mask, text: str) -> str:
    """Read as browsers read it, without what the selectors find, comments, and templates, whose content selectors do not see."""
    page = load_html_reader()(text)
    root = page.root
    if root is None:
        raise CannotMask("mask-html")
    for selector in ("template", *mask.html):
        for node in _outermost(page.css(selector)):
            node.decompose()
    for node in [each for each in root.traverse(include_text=True) if each.is_comment_node]:
        node.decompose()
    if page.css_first("template") is not None:
        raise CannotMask("mask-html")
    doctype = "<!DOCTYPE html>" if "<!doctype" in text[:DOCTYPE_CHARACTERS].lower() else ""
    written = doctype + (root.html or "")
    return _masked_page(mask, written) if mask.patterns else written


def _outermost(nodes: list[Any]) -> list[Any]:
    """Those that lie in no other one: with an element all goes that is in it."""
    found = {node.mem_id for node in nodes}
    outermost: list[Any] = []
    for node in nodes:
        around = node.parent
        while around is not None and around.mem_id not in found:
            around = around.parent
        if around is None:
            outermost.append(node)
    return outermost


def _masked_page(mask: Mask, page: str) -> str:
    """Addresses are taken out everywhere, numbers where they are text: in a script or an attribute they are something else."""
    if "email" in mask.patterns:
        page = _EMAIL.sub(_unless_file, page)
    if "phone" not in mask.patterns:
        return page
    parts = _TAG.split(_TEL.sub(HIDDEN, page))
    is_code = False
    for at, part in enumerate(parts):
        if at % 2:
            found = _CODE.match(part)
            is_code = not found[1] if found else is_code
        elif not is_code:
            parts[at] = _PHONE.sub(_unless_date, part) if _DIGITS.search(part) else part
    return "".join(parts)
