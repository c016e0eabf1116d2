"""One request, and the facts derived from it.

Decides how a path, a query and a cookie are parsed; knows nothing of rules, or of how the bytes arrived.
Everything that the client chose stays bytes: rules look at what was on the wire. The inspected `path` is what
an origin server will act on (percent-decoded, slashes merged, without the query); the forwarded target is `target`, as received.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from proxyguard.core.address import Address

Headers = tuple[tuple[bytes, bytes], ...]
"""Header fields in the order and case received."""

Values = tuple[bytes, ...]
"""The values of one field of a request: none when it is absent, several when it was repeated."""

MAX_QUERY_PARAMETERS: Final = 1000
"""Parameters looked at; more than any form sends, few enough to parse in well under a millisecond."""

MAX_COOKIES: Final = 300
"""Cookies looked at; browsers keep about 180 a site (RFC 6265 section 6.1 asks for 50)."""

_COOKIE_EDGE: Final = re.compile(rb"[;,]+|(?<![= \t])[ \t]+(?=[^ \t=;,]+[ \t]*=)")
"""Where some server sees one cookie end and another begin: RFC 6265 has `;` only, older readers commas and blanks as well."""

_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
AROUND_NAMES: Final = b" \t\r\n\v\f\"'"
"""What readers of cookies and parameters drop around names and values."""

_UNDERSCORES: Final = bytes.maketrans(b". \t", b"___")
"""PHP's names of parameters and cookies."""

_SLASHES: Final = re.compile(rb"/{2,}")


class Request:
    """One request, immutable by convention. Derived facts are computed once, when first asked for.

    method, scheme, host and http_version are bytes such as `GET`, `https`, `example.org` (lower case, without the port)
    and `1.1`; target is the origin-form target with its query, as received.
    """

    __slots__ = (
        "_cookies", "_cookies_by_name", "_index", "_path", "_query", "account", "account_key", "client", "facts", "headers",
        "host", "http_version", "is_cookie_cut", "is_session_unclear", "method", "scheme", "target",
    )  # fmt: skip

    def __init__(
        self,
        client: Address,
        method: bytes,
        scheme: bytes,
        host: bytes,
        target: bytes,
        headers: Headers,
        http_version: bytes = b"1.1",
    ) -> None:
        self.client = client
        self.method = method
        self.scheme = scheme
        self.host = host
        self.target = target
        self.headers = headers
        self.http_version = http_version
        self._index: dict[bytes, Values] | None = None
        self._path: bytes | None = None
        self._query: dict[bytes, Values] | None = None
        self._cookies: dict[bytes, Values] | None = None
        self._cookies_by_name: dict[bytes, Values] | None = None
        self.is_cookie_cut = False
        """Whether there are more cookies than `cookies_by_name` looks at; set by it."""
        self.account: bytes | None = None
        """The upstream's word about the account behind the request's session; set by the guard before any rule is evaluated."""
        self.account_key: str | None = None
        """The keyed hash of that session."""
        self.is_session_unclear = False
        """Whether sites may disagree which session the request belongs to; set by the guard with the account."""
        self.facts: tuple[object, set[int]] | None = None
        """A cache for facts derived from the client and the header fields alone, after a mark of the module that derived them."""

    def take_after(self, earlier: Request) -> None:
        """Reuse what was derived from an earlier request whose header fields are the very same object."""
        if earlier.headers is self.headers:
            self._index = earlier._index
            self._cookies = earlier._cookies
            self._cookies_by_name = earlier._cookies_by_name
            self.is_cookie_cut = earlier.is_cookie_cut
            if earlier.client is self.client:
                self.facts = earlier.facts

    @property
    def path(self) -> bytes:
        """The path as rules see it: see `inspected_path`."""
        path = self._path
        if path is None:
            path = self._path = inspected_path(self.target)
        return path

    @property
    def header_index(self) -> Mapping[bytes, Values]:
        """Values by lower-case header name."""
        index = self._index
        if index is None:
            index = {}
            for received, value in self.headers:
                name = received.lower()
                index[name] = (*index[name], value) if name in index else (value,)
            self._index = index
        return index

    @property
    def query(self) -> Mapping[bytes, Values]:
        """Decoded query parameters by name, the first MAX_QUERY_PARAMETERS of them."""
        query = self._query
        if query is None:
            query = self._query = _grouped(_query_pairs(self.target))
        return query

    @property
    def cookies(self) -> Mapping[bytes, Values]:
        """Cookies by name, the first MAX_COOKIES of them."""
        cookies = self._cookies
        if cookies is None:
            cookies = self._cookies = _grouped(_cookie_pairs(self.header_index.get(b"cookie", ())))
        return cookies

    @property
    def cookies_by_name(self) -> Mapping[bytes, Values]:
        """Cookies by canonical name (see `canonical_name`), wherever some server sees one: for keys, not for conditions.

        At most MAX_COOKIES of them; `is_cookie_cut` says whether there were more.
        """
        named = self._cookies_by_name
        if named is None:
            named = {}
            count = 0
            for line in self.header_index.get(b"cookie", ()):
                for part in _COOKIE_EDGE.split(line):
                    name, mark, value = part.partition(b"=")
                    if not mark:
                        continue
                    count += 1
                    if count > MAX_COOKIES:
                        self.is_cookie_cut = True
                        break
                    if not name.isalpha() or not name.islower():
                        name = canonical_name(name)
                    named[name] = (*named[name], value) if name in named else (value,)
            self._cookies_by_name = named
        return named

    @property
    def user_agent(self) -> bytes | None:
        """The first User-Agent, or None when there is none."""
        values = self.header_index.get(b"user-agent")
        return values[0] if values else None

    def __repr__(self) -> str:
        return f"Request({self.client.text} {self.method!r} {self.host!r} {self.target!r})"


def inspected_path(target: bytes) -> bytes:
    """The path that rules look at: without query or fragment, percent-decoded once, runs of slashes merged.

    That is the view origin servers match on (nginx's normalised URI). Dot segments stay: the front refuses them.
    """
    query = target.find(b"?")  # find, not `in`: bytes.__contains__ first tries its argument as a number, and fails
    path = target if query < 0 else target[:query]
    if path.find(b"#") >= 0:
        path = path.partition(b"#")[0]
    if path.find(b"%") >= 0:
        path = percent_decode(path)
    if path.find(b"//") >= 0:
        path = _SLASHES.sub(b"/", path)
    return path


def canonical_name(name: bytes) -> bytes:
    """The name of a cookie or a query parameter as any site may read it: `Session[]`, `session` and ` session ` are one."""
    if b"%" in name:
        name = percent_decode(name)
    name = name.partition(b"\0")[0].partition(b"[")[0].strip(AROUND_NAMES)
    return name.translate(_UNDERSCORES).lower()


def percent_decode(text: bytes) -> bytes:
    """Decode `%XX` once; malformed escapes stay as they are."""
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), text)


def _query_pairs(target: bytes) -> list[tuple[bytes, bytes]]:
    _, mark, query = target.partition(b"?")
    if not mark:
        return []
    pairs = []
    for part in query.split(b"&", MAX_QUERY_PARAMETERS)[:MAX_QUERY_PARAMETERS]:
        if part:
            name, _, value = part.replace(b"+", b" ").partition(b"=")
            pairs.append((percent_decode(name), percent_decode(value)))
    return pairs


def _cookie_pairs(values: Values) -> list[tuple[bytes, bytes]]:
    pairs: list[tuple[bytes, bytes]] = []
    for line in values:
        for part in line.split(b";"):
            name, mark, value = part.strip(b" \t").partition(b"=")
            if mark:
                if len(pairs) >= MAX_COOKIES:
                    return pairs
                pairs.append((name, value.strip(b'"')))
    return pairs


def _grouped(pairs: list[tuple[bytes, bytes]]) -> dict[bytes, Values]:
    grouped: dict[bytes, Values] = {}
    for name, value in pairs:
        grouped[name] = (*grouped[name], value) if name in grouped else (value,)
    return grouped
