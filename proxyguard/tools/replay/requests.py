"""Parses logged request lines, targets, hosts and addresses as a front would have taken them.

Decides which logged requests proxyguard would have looked at: those that are not HTTP, have no origin-form target or name
another proxy's work are refused by the front before any rule, and so are outside of a replay.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.http.http1.target import without_current
from proxyguard.tools.replay.logged_request import NoRequest

_METHOD: Final = re.compile(rb"[A-Z][A-Z_-]{0,31}")
_USUAL_METHODS: Final = frozenset({b"GET", b"POST", b"HEAD"})
_ESCAPED: Final = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_UNSAFE_IN_TARGET: Final = re.compile(rb"[^!$&'()*+,./0-9:;=@A-Z_a-z~-]")
_AUTHORITY_END: Final = re.compile(rb"[/?#]")
_NAMED: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"v": b"\v", b"f": b"\f"}

REQUEST_LINE_VERSIONS: Final = {
    b"HTTP/1.0": b"1.0", b"HTTP/1.1": b"1.1", b"HTTP/2": b"2", b"HTTP/2.0": b"2", b"HTTP/3": b"3", b"HTTP/3.0": b"3",
}  # fmt: skip

VERSIONS: Final = REQUEST_LINE_VERSIONS | {
    b"1.0": b"1.0", b"1.1": b"1.1", b"2": b"2", b"2.0": b"2", b"3": b"3", b"3.0": b"3", b"H2": b"2", b"H3": b"3",
}  # fmt: skip
"""The spellings of a version in a field of its own, in upper case."""


def unescaped(text: bytes) -> bytes:
    r"""A quoted value as it was: `\x22` (nginx, Apache), `\"`, `\\`, `\n`."""
    return _ESCAPED.sub(_byte_of, text) if b"\\" in text else text


def _byte_of(match: re.Match[bytes]) -> bytes:
    if match[1]:
        return bytes((int(match[1], 16),))
    return _NAMED.get(match[2], match[2])


def read_request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Method, origin-form target and version of `GET /a?b HTTP/1.1`. Raises NoRequest."""
    method, _, rest = line.partition(b" ")
    target, _, protocol = rest.rpartition(b" ")
    version = REQUEST_LINE_VERSIONS.get(protocol)
    if version is None or (method not in _USUAL_METHODS and not _METHOD.fullmatch(method)):
        raise NoRequest
    return method, read_target(method, target), version


def read_target(method: bytes, target: bytes) -> bytes:
    """The target in origin form, as rules see it; an absolute one loses scheme and host. Raises NoRequest."""
    if target[:1] == b"/":
        return without_current(target)
    if method == b"OPTIONS" and target == b"*":
        return target
    scheme, colon, rest = target.partition(b"://")
    if colon and scheme.lower() in {b"http", b"https"} and method != b"CONNECT":
        slash = rest.find(b"/")
        mark = rest.find(b"?")
        if mark >= 0 and (slash < 0 or mark < slash):
            return b"/" + rest[mark:]
        return without_current(rest[slash:]) if slash >= 0 else b"/"
    raise NoRequest


def is_url(target: bytes) -> bool:
    """Whether a target is a whole URL."""
    return target[:1] != b"/" and target[:8].lower().startswith((b"http://", b"https://"))


def host_of_url(target: bytes) -> bytes:
    """The host of a whole URL, without the port; empty for a target that is none."""
    return read_host(_AUTHORITY_END.split(target.partition(b"://")[2], maxsplit=1)[0]) if is_url(target) else b""


def scheme_of_url(target: bytes) -> bytes:
    """The scheme of a whole URL; empty for a target that is none."""
    return target.partition(b":")[0].lower() if is_url(target) else b""


def escaped_target(path: bytes) -> bytes:
    """A path that was decoded before it was logged, as a target."""
    return _UNSAFE_IN_TARGET.sub(lambda odd: b"%%%02X" % odd[0][0], path)


def read_host(value: bytes) -> bytes:
    """A host in lower case, without the port and a final dot."""
    name, colon, port = value.rpartition(b":")
    is_port = bool(colon) and port.isdigit() and (b":" not in name or name.endswith(b"]"))
    return (name if is_port else value).lower().removesuffix(b".")


def read_address(value: bytes) -> bytes:
    """An address without port or brackets: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if value[:1] == b"[":
        return value[1:].partition(b"]")[0]
    return value.partition(b":")[0] if value.count(b":") == 1 else value


def last_address(value: bytes) -> bytes:
    """The last address of an X-Forwarded-For field: the one that the server in front wrote itself."""
    return read_address(value.rpartition(b",")[2].strip())
