"""Reads a curl command into the request that it would send.

Every option that shapes a request is read; unknown ones are listed. Nothing is sent, read from a file or expanded.
Knows nothing of rules.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import quote, quote_plus

from proxyguard.core.problems import quoted
from proxyguard.policy.model import SampleRequest
from proxyguard.tools.curl.words import UnclosedQuote, words_of

OWN_USER_AGENT: Final = "curl/8.5.0"
"""The default user agent; curl sends its own version."""


class CurlError(Exception):
    """The text is not a curl command that sends one request. The message is for the person who pasted it."""


class CurlRequest(NamedTuple):
    """The request of a command, and the options that proxyguard does not know."""

    request: SampleRequest
    unknown: tuple[str, ...]


_OPTIONS: Final = """
value    X/request H/header b/cookie A/user-agent e/referer u/user url r/range T/upload-file oauth2-bearer request-target
body     d/data data-raw data-binary data-ascii data-urlencode json F/form form-string
no-value x/proxy o/output m/max-time w/write-out D/dump-header c/cookie-jar K/config E/cert U/proxy-user connect-timeout
no-value resolve cacert key interface retry retry-delay limit-rate ciphers max-redirs proxy-header dns-servers connect-to
no-value unix-socket tls-max curves aws-sigv4 proto noproxy stderr
flag     G/get I/head compressed 0/http1.0 http1.1 http2 http3
no-flag  k/insecure L/location s/silent S/show-error v/verbose i/include f/fail g/globoff N/no-buffer O/remote-name
no-flag  #/progress-bar 4/ipv4 6/ipv6 n/netrc j/junk-session-cookies Z/parallel J/remote-header-name q/disable R/remote-time
no-flag  path-as-is tlsv1 tlsv1.2 tlsv1.3 http2-prior-knowledge fail-with-body no-keepalive no-progress-meter location-trusted
no-flag  ssl-no-revoke alpn no-alpn tcp-nodelay tcp-fastopen raw styled-output
"""
"""Known options by role, with their letters. `value` and `body` take a value that shapes the request, `flag` shapes it alone.
`no-value` and `no-flag` concern the connection or the output: they are read over."""

_ROWS: Final = [(row.split()[0], option) for row in _OPTIONS.strip().splitlines() for option in row.split()[1:]]
_ROLES: Final = {option.rpartition("/")[2]: role for role, option in _ROWS}
_LETTERS: Final = {option[0]: option[2:] for _, option in _ROWS if option[1] == "/"}
_WITH_VALUE: Final = frozenset(name for name, role in _ROLES.items() if role in {"value", "body", "no-value"})
_WITHOUT_EFFECT: Final = frozenset(name for name, role in _ROLES.items() if role == "no-flag")


@dataclass(slots=True)
class _Command:
    """The request so far, while the options are read."""

    urls: list[str] = field(default_factory=list)
    headers: list[tuple[str, str | None]] = field(default_factory=list)
    """A header without a value is not sent, not even by default."""
    method: str = ""
    version: str = "1.1"
    body: list[str] = field(default_factory=list)
    is_json: bool = False
    is_form: bool = False
    is_get: bool = False
    target: str = ""
    defaults: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)


def parse_curl(command: str) -> CurlRequest:
    """The request that a curl command sends. Raises CurlError."""
    try:
        words = words_of(command.strip())
    except UnclosedQuote as error:
        hint = "paste the whole command; to keep its quotes apart from those of your shell, use --curl - and paste it there"
        raise CurlError(f"a quote is opened and never closed, at {quoted(error.text, 40)}\n  hint: {hint}") from error
    if words and words[0] in ("$", "%"):
        words = words[1:]
    if not words or words[0].lower().removesuffix(".exe").rpartition("/")[2] != "curl":
        raise CurlError(_not_curl(command))
    read = _Command()
    _read_options(words[1:], read)
    return CurlRequest(_request(read), tuple(dict.fromkeys(read.unknown)))


def _not_curl(command: str) -> str:
    other = next((name for name in ("Invoke-WebRequest", "fetch(", "wget") if name.lower() in command.lower()), "")
    fault = f"that is {other.rstrip('(')}, not curl" if other else "that is not a curl command"
    return f"{fault}\n  hint: developer tools, Network, right click on the request, Copy, Copy as cURL"


def _read_options(words: list[str], read: _Command) -> None:
    at = 0
    only_urls = False
    while at < len(words):
        word = words[at]
        at += 1
        if only_urls or not word.startswith("-") or word == "-":
            read.urls.append(word)
        elif word == "--":
            only_urls = True
        elif word.startswith("--"):
            at = _read_long(word[2:], words, at, read)
        else:
            at = _read_short(word[1:], words, at, read)


def _read_long(name: str, words: list[str], at: int, read: _Command) -> int:
    plain = name.removeprefix("no-") if name not in _WITHOUT_EFFECT else name
    if name in _WITH_VALUE:
        if at >= len(words):
            raise CurlError(f"--{name} stands at the end, without its value")
        _set(name, words[at], read)
        return at + 1
    if not _set_flag(name, read) and plain not in _WITHOUT_EFFECT:
        return _unknown(f"--{name}", words, at, read)
    return at


def _read_short(letters: str, words: list[str], at: int, read: _Command) -> int:
    """Letters may stand together (`-sSL`), and a value may follow its letter at once (`-XPOST`)."""
    for position, letter in enumerate(letters):
        name = _LETTERS.get(letter)
        if name is None:
            return _unknown(f"-{letter}", words, at, read)
        if name in _WITH_VALUE:
            rest = letters[position + 1 :]
            if not rest and at >= len(words):
                raise CurlError(f"-{letter} stands at the end, without its value")
            _set(name, rest or words[at], read)
            return at if rest else at + 1
        _set_flag(name, read)
    return at


def _unknown(option: str, words: list[str], at: int, read: _Command) -> int:
    """Note an option; what follows it is its value unless it looks like an option or an address."""
    read.unknown.append(option)
    follows = words[at] if at < len(words) else "-"
    return at if follows.startswith("-") or "://" in follows or len(words) == at + 1 else at + 1


def _set_flag(name: str, read: _Command) -> bool:
    match name:
        case "get":
            read.is_get = True
        case "head":
            read.method = read.method or "HEAD"
        case "compressed":
            read.defaults["Accept-Encoding"] = "deflate, gzip, br, zstd"
        case "http1.0" | "http1.1" | "http2" | "http3":
            read.version = name.removeprefix("http")
        case _:
            return name in _WITHOUT_EFFECT
    return True


def _set(name: str, value: str, read: _Command) -> None:
    """Take an option with its value into the request."""
    if _ROLES[name] == "body":
        read.is_json = read.is_json or name == "json"
        if name.startswith("form"):
            read.is_form = True
        else:
            read.body.append(_encoded(value) if name == "data-urlencode" else value)
    elif name in _HEADERS:
        read.headers.append(_HEADERS[name](value))
    elif name == "url":
        read.urls.append(value)
    elif name == "request":
        read.method = value.upper()
    elif name == "upload-file":
        read.method = read.method or "PUT"
    elif name == "request-target":
        read.target = value
    elif name == "cookie":
        if "=" in value:
            read.headers.append(("Cookie", value))
        else:
            read.unknown.append("-b FILE")


def _encoded(text: str) -> str:
    """`VALUE`, `=VALUE` or `NAME=VALUE`, of which the value is encoded; the content of a file (`NAME@FILE`) is not known."""
    name, mark, value = text.partition("=")
    if not mark:
        return quote_plus(text)
    return f"{name}={quote_plus(value)}" if name else quote_plus(value)


def _header(text: str) -> tuple[str, str | None]:
    """`Name: value`; `Name:` takes a header out, `Name;` sends an empty one."""
    name, colon, value = text.partition(":")
    if colon:
        return name.strip(), value.strip() or None
    if text.rstrip().endswith(";"):
        return text.rstrip()[:-1].strip(), ""
    raise CurlError(f"-H {quoted(text)} is not 'Name: value'")


_HEADERS: Final[dict[str, Callable[[str], tuple[str, str | None]]]] = {
    "header": _header,
    "user-agent": lambda value: ("User-Agent", value or None),
    "referer": lambda value: ("Referer", value.partition(";auto")[0] or None),
    "user": lambda value: ("Authorization", f"Basic {base64.b64encode(value.encode()).decode()}"),
    "oauth2-bearer": lambda value: ("Authorization", f"Bearer {value}"),
    "range": lambda value: ("Range", f"bytes={value}"),
}
"""Options that are headers under another name."""


def _request(read: _Command) -> SampleRequest:
    if not read.urls:
        raise CurlError("the command names no address\n  hint: paste the whole command, to its end")
    if len(read.urls) > 1:
        more = f"{quoted(read.urls[0], 40)} and {quoted(read.urls[1], 40)}"
        raise CurlError(
            f"the command names several addresses: {more}\n  hint: explain one request at a time; quotes may be missing"
        )
    scheme, host, target = _address(read.urls[0])
    if read.is_get and read.body:
        target += ("&" if "?" in target else "?") + "&".join(read.body)
    has_body = bool(read.body or read.is_form) and not read.is_get
    defaults = {"User-Agent": OWN_USER_AGENT, "Accept": "*/*", **read.defaults}
    if has_body and not read.is_form:
        defaults["Content-Type"] = "application/json" if read.is_json else "application/x-www-form-urlencoded"
        if read.is_json:
            defaults["Accept"] = "application/json"
    given = {name.lower() for name, _ in read.headers}
    headers = [pair for pair in defaults.items() if pair[0].lower() not in given]
    headers += [(name, value) for name, value in read.headers if value is not None and not name.startswith(":")]
    host = next((value for name, value in headers if name.lower() == "host"), host)
    return SampleRequest(
        method=read.method or ("POST" if has_body else "GET"),
        scheme=scheme,
        host=host,
        path=read.target or target,
        http_version=read.version,
        headers=tuple(headers),
    )


def _address(url: str) -> tuple[str, str, str]:
    """Scheme, host and target of a URL, without user and fragment. What browsers percent-encode is percent-encoded."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "http", url
    if scheme.lower() not in ("http", "https"):
        raise CurlError(f"the address {quoted(url)} is not http or https")
    rest = rest.partition("#")[0]
    ends = [position for position in (rest.find("/"), rest.find("?")) if position >= 0]
    end = min(ends, default=len(rest))
    host, target = rest[:end].rpartition("@")[2], rest[end:]
    if not host:
        raise CurlError(f"the address {quoted(url)} has no host")
    target = target if target.startswith("/") else f"/{target}"
    return scheme.lower(), host, quote(target, safe="/?:@!$&'()*+,;=%~[]|\\^`{}\"<>-._")
