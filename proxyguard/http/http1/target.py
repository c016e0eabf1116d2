"""Request targets and authorities: which forms are served, and what in them would be read differently by two parsers.

Follows RFC 9112 section 3.2 and RFC 3986, refusing what servers disagree on: dot segments, backslashes, broken escapes and
control characters in the path, fragments, names that are not host names. Segments that are a plain `.` are taken out, for rules
and for the upstream alike. Knows nothing of sites.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Final, NamedTuple

from proxyguard.core.canonical_names import canonical_text
from proxyguard.core.reading import percent_decode
from proxyguard.core.request import MAX_QUERY_PARAMETERS, MAX_QUERY_PIECES, MAX_QUERY_VALUES
from proxyguard.http.http1.faults import Malformed

MAX_HOST_BYTES: Final = 253
"""The longest name DNS carries (RFC 1035 section 2.3.4), without the final dot."""

FEW_PARAMETER_BYTES: Final = 2 * MAX_QUERY_VALUES

_AUTHORITY: Final = re.compile(rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9A-Za-z_-]+(?:\.[0-9A-Za-z_-]+)*)\.?)(?::([0-9]{1,5}))?")
_ABSOLUTE: Final = re.compile(rb"(https?)://([^/?]*)(.*)", re.IGNORECASE | re.DOTALL)
_BROKEN_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_DOT_SEGMENT: Final = re.compile(rb"[/\\]\.\.?(?:[/\\;]|\Z)")
"""`.` and `..` between slashes of either kind; `..;x` too, which Java servers cut at the semicolon."""
_CURRENT: Final = re.compile(rb"/(?:\.(?:/|\Z))+")
_VALUES: Final = re.compile(rb"=[^&]*+")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_DEFAULT_PORTS: Final = {b"http": b":80", b"https": b":443"}


class Authority(NamedTuple):
    """`text` is the normal form `host` or `host:port`; `host` is lower case, IPv6 in brackets."""

    text: bytes
    host: bytes


@lru_cache(maxsize=1024)
def read_authority(text: bytes) -> Authority:
    """Read a Host value or the authority of a URI, which must be a host name or address. Raises Malformed("host")."""
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise Malformed("host")
    literal, name, port = match.groups()
    if name is None:
        try:
            IPv6Address(literal.decode("ascii"))
        except ValueError:
            raise Malformed("host") from None
        host = b"[" + literal.lower() + b"]"
    elif len(name) <= MAX_HOST_BYTES:
        host = name.lower()
    else:
        raise Malformed("host")
    if port is None:
        return Authority(host, host)
    number = int(port)
    if not 0 < number <= 0xFFFF:
        raise Malformed("host")
    return Authority(b"%b:%d" % (host, number), host)


def without_current(target: bytes) -> bytes:
    """The target without the segments of its path that are a plain `.`, which name the same place (RFC 3986 section 6.2.2.3)."""
    if target.find(b"/.") < 0:
        return target
    path, mark, query = target.partition(b"?")
    if path.find(b"/./") < 0 and not path.endswith(b"/."):
        return target
    return _CURRENT.sub(b"/", path) + mark + query


def read_path(target: bytes) -> bytes:
    """An origin-form target as it is looked at and sent on. Raises Malformed unless its path has one reading then.

    Expects visible ASCII without `#`. Queries are left alone.
    """
    found = without_current(target)
    path = found.partition(b"?")[0]
    if b"%" in path:
        if _BROKEN_ESCAPE.search(path) is not None:
            raise Malformed("target-escape")
        if b"\\" in path:
            raise Malformed("target-backslash")
        path = percent_decode(path)
        if _CONTROL.search(path) is not None:
            raise Malformed("target-control")
    elif b"\\" in path:
        raise Malformed("target-backslash")
    # The pattern alone tries at each slash, of which a path may have thousands.
    if (path.find(b"/.") >= 0 or path.find(b"\\.") >= 0) and _DOT_SEGMENT.search(path) is not None:
        raise Malformed("target-dots")
    return found


def check_query(target: bytes) -> None:
    """Raise Malformed for more parameters, or more of what some server takes for one name (`a[0]`, `a[1]`), than rules look at.

    For targets of at least FEW_PARAMETER_BYTES: a shorter one has no room for so many.
    """
    query = target.partition(b"?")[2].replace(b"+", b" ")
    _check_parameters(query.split(b"&"), MAX_QUERY_PARAMETERS)
    if query.find(b";") >= 0:
        _check_parameters(query.replace(b"&", b";").split(b";"), MAX_QUERY_PIECES)


def _check_parameters(parts: list[bytes], most: int) -> None:
    parts = [part for part in parts if part]
    if len(parts) > most:
        raise Malformed("target-parameters")
    if len(parts) > MAX_QUERY_VALUES:
        names = canonical_text(_VALUES.sub(b"", b"&".join(parts))).split(b"&")
        if len(set(names)) <= len(names) - MAX_QUERY_VALUES and max(Counter(names).values()) > MAX_QUERY_VALUES:
            raise Malformed("target-parameters")


class RequestTarget:
    """A target in origin-form (or `*`), and the scheme and authority that an absolute-form has besides."""

    __slots__ = ("authority", "scheme", "text")

    def __init__(self, text: bytes, authority: Authority | None = None, scheme: bytes = b"") -> None:
        self.text = text
        self.authority = authority
        self.scheme = scheme


def read_target(method: bytes, target: bytes) -> RequestTarget:
    """Reduce a target that does not begin with a slash. Raises Malformed("target"), or "host" for its authority."""
    if target == b"*":
        if method != b"OPTIONS":
            raise Malformed("target")
        return RequestTarget(target)
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise Malformed("target")
    scheme, authority, rest = match.groups()
    if not rest and method == b"OPTIONS":
        rest = b"*"
    elif not rest.startswith(b"/"):
        rest = b"/" + rest
    if rest != b"*":
        rest = read_path(rest)
        check_query(rest)
    return RequestTarget(rest, read_authority(authority), scheme.lower())


def same_authority(target: RequestTarget, host: Authority) -> bool:
    """Whether Host and an absolute-form target name the same place, the scheme's default port understood."""
    authority = target.authority
    if authority is None or authority == host:
        return True
    port = _DEFAULT_PORTS[target.scheme]
    return authority.text.removesuffix(port) == host.text.removesuffix(port)
