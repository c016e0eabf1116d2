"""Texts that a field is compared with: normalised as the field is, and refused when they could never, or always, match.

One table says what each field takes. Knows nothing of YAML; raises Fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from proxyguard.core.problems import Fault, listed, name_hint, quoted
from proxyguard.core.request import inspected_path
from proxyguard.core.yaml.values import NAME
from proxyguard.policy.model import FieldKind, TextKind
from proxyguard.policy.parse.patterns import check_regex

MAX_BYTES: Final = 4096
"""Half of the longest header field that a front lets in (`settings.Bounds.field_bytes`)."""

ALWAYS_THERE: Final = frozenset(
    {
        FieldKind.CLIENT, FieldKind.HOST, FieldKind.SCHEME, FieldKind.METHOD, FieldKind.PATH, FieldKind.HTTP_VERSION,
        FieldKind.SCORE, FieldKind.TAG, FieldKind.CLASS,
    }
)  # fmt: skip
"""Fields without `present` and `absent`."""

NAMED: Final = frozenset({FieldKind.HEADER, FieldKind.COOKIE, FieldKind.QUERY})
"""Fields that need a name."""

SCHEMES: Final = ("http", "https")
HTTP_VERSIONS: Final = ("1.0", "1.1", "2", "3")

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}", re.ASCII)
_HOST: Final = re.compile(r"[a-z0-9_.:\[\]-]+", re.ASCII)
_PUNCTUATION: Final = "".join(chr(code) for code in range(32, 127) if not chr(code).isalnum())
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")


def read_text_value(field: FieldKind, kind: TextKind, text: str, *, alone: bool = False) -> bytes:
    """The bytes that a matcher compares with. `alone`: the value stands without a matcher. Raises Fault."""
    if kind is TextKind.REGEX:
        check_regex(text)
        return text.encode()
    _check_characters(field, kind, text)
    if "*" in text and field in _STARRED:
        _check_star(kind, text, alone=alone)
    check = _CHECKS.get(field)
    return (check(kind, text) if check else text).encode()


def _check_characters(field: FieldKind, kind: TextKind, text: str) -> None:
    anything = "leave the condition out" if field in ALWAYS_THERE else "use present"
    if not text and kind is not TextKind.EQUAL:
        raise Fault(f"the text for {kind} is empty: it would match every value", anything)
    if len(text) > MAX_BYTES or len(text.encode()) > MAX_BYTES:
        raise Fault(f"the text has {len(text)} characters", f"at most {MAX_BYTES} bytes")
    if not text.isprintable():
        raise Fault(
            f"{quoted(text)} has a control character", "no field of a request can hold one; use a regex for odd bytes"
        )
    if kind is TextKind.GLOB and not text.strip("*"):
        raise Fault(f"the glob {quoted(text)} matches every value", anything)
    if kind is TextKind.GLOB:
        _check_glob(text)
    elif kind is TextKind.WORD:
        _check_word(text)


def _check_star(kind: TextKind, text: str, *, alone: bool) -> None:
    """Refuse a * that stands for itself where values have none, unless `in` or a regex says that it is meant so."""
    if kind is TextKind.GLOB or (kind is TextKind.EQUAL and not alone):
        return
    message = f"{quoted(text)} is compared as it stands, * included"
    if kind is TextKind.EQUAL:
        raise Fault(message, f"if * means anything: {{glob: {quoted(text)}}}; if it does not: {{in: [{quoted(text)}]}}")
    hint = "leave the * out" if text.strip("*") and "*" not in text.strip("*") else "use glob"
    raise Fault(message, f"{hint}; for a * that is meant as it stands use regex: '\\*'")


def _check_word(text: str) -> None:
    """Refuse a word whose end could only match before a blank: `curl/` is not a word of `curl/8.5.0`."""
    ends = text[0] + text[-1]
    if ends.isalnum() or not any(char.isascii() and not char.isalnum() for char in ends):
        return
    bare = text.strip(_PUNCTUATION)
    hint = f"did you mean {quoted(bare)}? or use contains" if bare else "use contains"
    raise Fault(f"the word {quoted(text)} does not begin and end with a letter or a digit", hint)


def _check_glob(text: str) -> None:
    if "[" in text:
        raise Fault(f"the glob {quoted(text)} has a [", "globs know * and ? only; use regex")
    if "{" in text:
        raise Fault(f"the glob {quoted(text)} has a {{", "globs know * and ? only; write a list of globs")


def _host(kind: TextKind, text: str) -> str:
    host = text.lower()
    if not host:
        raise Fault("the host is empty", "a name such as www.example.org")
    if "/" in host:
        bare = (host.partition("://")[2] or host).partition("/")[0]
        raise Fault(f"{quoted(text)} is not a host", f"did you mean {quoted(bare)}?" if bare else "a name without /")
    if not host.isascii():
        raise Fault(f"{quoted(text)} is not ASCII", _punycode(host))
    if kind is not TextKind.EQUAL:
        return host
    name, colon, port = host.rpartition(":")
    if colon and port.isdecimal() and (":" not in name or name.endswith("]")):
        raise Fault(f"{quoted(text)} has a port", f"hosts are compared without it: {quoted(name)}")
    if not _HOST.fullmatch(host):
        raise Fault(f"{quoted(text)} is not a host", "letters, digits, dots and hyphens, such as www.example.org")
    return host


def read_host(text: str) -> str:
    """One host name, lower case, without a port. Raises Fault."""
    return _host(TextKind.EQUAL, text)


def _punycode(host: str) -> str:
    try:
        return f"write it as requests carry it: {quoted(host.encode('idna').decode())}"
    except UnicodeError:
        return "write it as requests carry it, in punycode: xn--…"


def _path(kind: TextKind, text: str) -> str:
    if kind in (TextKind.EQUAL, TextKind.PREFIX):
        _check_beginning(text)
    if kind not in (TextKind.GLOB, TextKind.WORD):
        _check_visible(text)
    return text


def _check_beginning(text: str) -> None:
    if not text:
        raise Fault("the path is empty", "the shortest path is /")
    if "://" in text:
        path = "/" + text.partition("://")[2].partition("/")[2]
        raise Fault(
            f"{quoted(text)} is a whole address", f"did you mean {quoted(path)}? the host is a field of its own"
        )
    if not text.startswith("/"):
        hint = "use regex for a pattern" if text[0] in "^(.[\\" else f"did you mean {quoted('/' + text)}?"
        raise Fault(f"the path {quoted(text)} does not begin with /", hint)


def _check_visible(text: str) -> None:
    """Refuse what no path holds as rules see it."""
    if "?" in text:
        path, _, query = text.partition("?")
        without = f"path is {quoted(path)} without it; use" if path else "use"
        name = query.partition("=")[0] or "NAME"
        raise Fault(f"the path {quoted(text)} has a query", f"{without} query.{name} beside it")
    if _ESCAPE.search(text) or "//" in text:
        seen = inspected_path(text.encode()).decode(errors="replace")
        raise Fault(
            f"{quoted(text)} never occurs in a path", f"rules see it decoded, with single slashes: {quoted(seen)}"
        )


def _method(_kind: TextKind, text: str) -> str:
    if not _METHOD.fullmatch(text):
        raise Fault(f"{quoted(text)} is not a method", "one word, such as GET or POST")
    return text.upper()


def _scheme(_kind: TextKind, text: str) -> str:
    scheme = text.lower()
    if scheme not in SCHEMES:
        raise Fault(f"{quoted(text)} is not a scheme", "http or https")
    return scheme


def _http_version(_kind: TextKind, text: str) -> str:
    version = text.upper().removeprefix("HTTP/")
    version = version[0] if version in ("2.0", "3.0") else version
    if version not in HTTP_VERSIONS:
        raise Fault(f"{quoted(text)} is not a version of HTTP", "1.0, 1.1, 2 or 3")
    return version


def _tag(_kind: TextKind, text: str) -> str:
    if not NAME.fullmatch(text):
        raise Fault(f"{quoted(text)} is not a tag", "lower-case letters, digits and single hyphens")
    return text


def _class(_kind: TextKind, text: str) -> str:
    if not NAME.fullmatch(text):
        raise Fault(f"{quoted(text)} is not the name of a class", "lower-case letters, digits and single hyphens")
    return text


_CHECKS: Final[dict[FieldKind, Callable[[TextKind, str], str]]] = {
    FieldKind.HOST: _host,
    FieldKind.PATH: _path,
    FieldKind.METHOD: _method,
    FieldKind.SCHEME: _scheme,
    FieldKind.HTTP_VERSION: _http_version,
    FieldKind.TAG: _tag,
    FieldKind.CLASS: _class,
}

_STARRED: Final = frozenset({FieldKind.HOST, FieldKind.PATH, FieldKind.USER_AGENT})
"""Fields whose values hold no * in practice, so that a * in a plain value is a glob without its name."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}", re.ASCII)
"""RFC 9110 section 5.6.2."""


def read_field_name(kind: FieldKind, name: str) -> str:
    """The name of a header (lower case), cookie or query parameter. Raises Fault."""
    if kind is FieldKind.QUERY:
        if not name or len(name) > 256 or not name.isprintable():
            raise Fault(f"{quoted(name)} is not the name of a query parameter", "1 to 256 printable characters")
        return name
    if not _TOKEN.fullmatch(name):
        what = "header" if kind is FieldKind.HEADER else "cookie"
        raise Fault(f"{quoted(name)} is not the name of a {what}", "letters, digits and hyphens, such as x-api-key")
    return name.lower() if kind is FieldKind.HEADER else name


FIELD_NAMES: Final = tuple(str(kind) for kind in FieldKind)

_NOWHERE: Final = ("country", "asn", "geo", "fingerprint")
"""What other tools have and this one does not: no field that sounds like it is meant."""

_HEADERS: Final = (
    "referer",
    "accept",
    "accept_language",
    "accept_encoding",
    "origin",
    "authorization",
    "sec_fetch_mode",
)

_MEANT: Final = {
    **dict.fromkeys(("ip", "address", "addr", "remote_addr", "client_ip", "source", "src", "network"), "client"),
    **dict.fromkeys(("ua", "agent", "useragent", "browser"), "user_agent"),
    **dict.fromkeys(("url", "uri", "location", "route", "request_uri"), "path"),
    **dict.fromkeys(("domain", "hostname", "server_name", "vhost", "site"), "host"),
    **dict.fromkeys(("protocol", "version", "http"), "http_version"),
    **dict.fromkeys(("args", "arg", "params", "param", "query_string", "parameter"), "query.NAME"),
    **dict.fromkeys(("verb", "request_method"), "method"),
    **dict.fromkeys(("and",), "all"),
    **dict.fromkeys(("or", "one_of"), "any"),
    **dict.fromkeys(("none", "none_of", "unless", "except"), "not"),
    **{name: f"header.{name.replace('_', '-')}" for name in _HEADERS},
    "referrer": "header.referer",
}


def field_hint(name: str) -> str:
    """What an unknown field was probably meant to be."""
    meant = _MEANT.get(name.lower().replace("-", "_"))
    if meant is not None:
        return f"did you mean {quoted(meant)}?"
    if name.lower() in _NOWHERE:
        return f"fields: {listed((*FIELD_NAMES, 'any', 'all', 'not'))}"
    return name_hint(name, (*FIELD_NAMES, "any", "all", "not"), "fields")
