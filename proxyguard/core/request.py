"""One request, and the facts derived from it.

Decides how a path, a query and a cookie are parsed; knows nothing of rules, or of how the bytes arrived.
Everything that the client chose stays bytes: rules look at what was on the wire. The inspected `path` is what
an origin server will act on (percent-decoded, slashes merged, without the query, folded as `reading` says); the forwarded target
is `target`, as received.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from proxyguard.core.address import Address
from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.canonical_names import canonical_names
from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.core.form import FormVisit
from proxyguard.core.item import Item
from proxyguard.core.jar import NO_JAR, Jar
from proxyguard.core.origin import Origin
from proxyguard.core.reading import LOOSE, STRICT, SiteReading, decode_mended, is_settled, mended
from proxyguard.core.request_paths import path_of, read_loosely, read_path
from proxyguard.core.robots import RobotsVerdict

Headers = tuple[tuple[bytes, bytes], ...]
"""Header fields in the order and case received."""

Values = tuple[bytes, ...]
"""The values of one field of a request: none when it is absent, several when it was repeated."""

_Parameters = tuple[Sequence[bytes], Sequence[bytes], Sequence[bytes]]
"""Names, as many other names that the site may know them by (see `SiteReading.names_of`), and as many values."""

REFERER: Final = b"referer"

MAX_QUERY_PARAMETERS: Final = 400
"""Parameters of a request that are not empty; the front refuses more. Forms send fewer in a target of 8 KB."""

MAX_QUERY_PIECES: Final = 800
"""The same between `&` and `;`, of which some sites read the second as the first; lists of coordinates have fewer."""

MAX_QUERY_VALUES: Final = 180
"""Values of one query parameter; the front refuses more. Each is compared with every rule about the parameter."""

MAX_NAMES: Final = 256
"""Spellings of names of header fields whose lower case is remembered, of some sixty in use; then it begins anew."""

MAX_NAME_BYTES: Final = 32
"""Of a name that is remembered."""

MAX_COOKIES: Final = 200
"""Cookies looked at; browsers keep about 180 a site (RFC 6265 section 6.1 asks for 50)."""

_COOKIE_EDGE: Final = re.compile(rb"[;,][;, \t]*")
_COOKIE_BLANKS: Final = re.compile(rb"[ \t](?<![=;, \t][ \t])[ \t]*(?=[^ \t=;,]+[ \t]*=)")
"""Where some server sees one cookie end and another begin: RFC 6265 has `;` only, older readers commas and blanks as well."""
_ALL_COOKIE_BLANKS: Final = re.compile(rb"(?<![ \t])[ \t]+(?=[^ \t=;,]+[ \t]*=)")
"""The same where a `=` stands before them: http.cookies of Python reads `a= b="c"` and `a=1= b=c` as two."""

_EARLY_BRACKET: Final = re.compile(rb"&(?:[^&\[\]]*+\]| *+\[)")
"""In names after a `&` each: one that begins with `[`, or has a `]` before any: its canonical form misses its other name."""


class Request:
    """One request, immutable by convention. Derived facts are computed once, when first asked for.

    method, scheme, host and http_version are bytes such as `GET`, `https`, `example.org` (lower case, without the port)
    and `1.1`; target is the origin-form target with its query, as received.

    Most requests of a client differ from the last one in their target and their Referer alone. `steady` are the header fields
    without the only Referer, the same object for requests that have those in common, and `referer_at` its place in `headers`;
    where that is not known, all of `headers`, and -1.
    """

    __slots__ = (
        "_cookies", "_cookies_by_name", "_index", "_loose_paths", "_path", "_query", "_query_by_name",
        "_query_parameters", "_sent_path", "_user_agent", "account", "account_key", "client", "connection", "facts",
        "form", "headers", "host", "http_version", "is_cookie_cut", "is_session_unclear", "item", "jar", "key_values",
        "method", "origin", "reading", "referer_at", "robots", "scheme", "steady", "target", "visitor",
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
        steady: Headers | None = None,
        referer_at: int = -1,
    ) -> None:
        self.client = client
        self.method = method
        self.scheme = scheme
        self.host = host
        self.target = target
        self.headers = headers
        self.http_version = http_version
        self.steady = headers if steady is None else steady
        self.referer_at = referer_at
        self._index: dict[bytes, Values] | None = None
        self._path: bytes | None = None
        self._sent_path: bytes | None = None
        self._loose_paths: Values | None = None
        self._query: dict[bytes, Values] | None = None
        self._query_by_name: dict[bytes, Values] | None = None
        self._query_parameters: _Parameters | None = None
        self._cookies: dict[bytes, Values] | None = None
        self._cookies_by_name: dict[bytes, Values] | None = None
        self._user_agent: bytes | None = None
        self.is_cookie_cut = False
        """Whether there are more cookies than `cookies_by_name` looks at; set by it."""
        self.key_values: dict[tuple[bytes, bytes], Values] = {}
        """Values of cookies, headers and parameters as keys have them, kept by the module `key_values` for the next rule."""
        self.account: bytes | None = None
        """The upstream's word about the account behind the request's session; set by the guard before any rule is evaluated."""
        self.account_key: str | None = None
        """The keyed hash of that session."""
        self.is_session_unclear = False
        """Whether sites may disagree which session the request belongs to; set by the guard with the account."""
        self.jar: Jar = NO_JAR
        """The firewall's own cookie; set by the guard before any rule is evaluated, where rules ask for it."""
        self.visitor = b""
        """Whether its client was here on an earlier day; empty where nobody remembers. Set likewise."""
        self.item: Item | None = None
        """The item that it asks for; set likewise."""
        self.form: FormVisit | None = None
        """The guarded form that it reads or posts; set likewise."""
        self.facts: tuple[object, frozenset[int]] | None = None
        """A cache for facts derived from the client and `steady` alone, after a mark of the module that derived them."""
        self.reading: SiteReading = STRICT
        """How the site reads the target; see `read_as`."""
        self.connection: ConnectionFacts | None = None
        """What the connection showed of itself; None when another program than the client may have spoken."""
        self.origin: Origin | None = None
        """Where it comes from and who it is proven to be; None: unknown. Set by the guard when the policy asks about it."""
        self.robots: RobotsVerdict | None = None
        """What the site's robots.txt says of it; None: unknown. Set likewise."""

    def take_after(self, earlier: Request) -> None:
        """Reuse what was derived from an earlier request whose header fields are the very same objects, but for a Referer."""
        if earlier.steady is self.steady:
            self._index = index = earlier._index
            if index is not None and earlier.headers is not self.headers:
                self._index = index = index.copy()
                index[REFERER] = (self.headers[self.referer_at][1],)
            self._cookies = earlier._cookies
            self._cookies_by_name = earlier._cookies_by_name
            self.is_cookie_cut = earlier.is_cookie_cut
            if earlier.client is self.client:
                self.facts = earlier.facts

    def read_as(self, reading: SiteReading) -> None:
        """Read path and query as the site does whose policy is asked."""
        if reading is not self.reading:
            self.reading = reading
            self._path = None
            self._query = None
            self._query_by_name = None
            self._query_parameters = None
            self.key_values = {}

    @property
    def sent_path(self) -> bytes:
        """The path as it was sent."""
        path = self._sent_path
        if path is None:
            path = self._sent_path = path_of(self.target)
        return path

    @property
    def has_query(self) -> bool:
        """Whether the target has a `?`."""
        return len(self.sent_path) < len(self.target)

    @property
    def sent_query(self) -> bytes:
        """The query as it was sent, without its `?`; empty where there is none."""
        return self.target[len(self.sent_path) + 1 :]

    @property
    def path(self) -> bytes:
        """The path as rules see it: see `inspected_path`."""
        path = self._path
        if path is None:
            path = self._path = read_path(self.sent_path) if self.reading is STRICT else self.reading.path(self.target)
        return path

    @property
    def paths(self) -> Values:
        """The path, and behind it the page that a site reads which drops an ending with escapes."""
        other = self.reading.without_ending(self.target)
        return (self.path,) if other is None else (self.path, other)

    @property
    def whole_path(self) -> bytes:
        """The path as limits count by it: without a format suffix, where the site drops one."""
        return self.path if self.reading is STRICT else self.reading.whole(self.paths[-1])

    @property
    def loose_paths(self) -> Values:
        """The path as the most lenient server reads it; both readings where one is a front controller's."""
        paths = self._loose_paths
        if paths is None:
            sent = self.sent_path
            paths = self._loose_paths = (sent,) if is_settled(sent) else read_loosely(self.target)
        return paths

    @property
    def whole_loose_path(self) -> bytes:
        """The first of them as limits count by it: without a format suffix."""
        return LOOSE.whole(self.loose_paths[0])

    @property
    def header_index(self) -> dict[bytes, Values]:
        """Values by lower-case header name; not to be changed. (Compiled, a Mapping takes four times as long to ask.)"""
        index = self._index
        if index is None:
            index = {}
            for received, value in self.headers:
                name = _lower_names.get(received)
                if name is None:
                    name = _lower(received)
                values: Values = (value,)  # so declared, it is one object, compiled too
                known = index.setdefault(name, values)
                if known is not values:
                    index[name] = (*known, value)
            self._index = index
        return index

    @property
    def query(self) -> Mapping[bytes, Values]:
        """All query parameters, decoded, by name; by each name that `reading` gives them."""
        query = self._query
        if query is None:
            names, bases, values = self._parameters()
            if bases and any(bases):
                names, values = _with_bases(names, bases, values)
            query = self._query = _by_name(names, values)
        return query

    def _parameters(self) -> _Parameters:
        """Names and values of the query, kept for the readings of both kinds."""
        found = self._query_parameters
        if found is None:
            found = self._query_parameters = _read_query(self.sent_query, self.reading)
        return found

    @property
    def query_by_name(self) -> Mapping[bytes, Values]:
        """All query parameters by canonical name (see `canonical_name`): for keys, not for conditions."""
        named = self._query_by_name
        if named is None:
            names, bases, values = self._parameters()
            if bases and any(bases) and _EARLY_BRACKET.search(b"&" + b"&".join(names)) is not None:
                names, values = _with_bases(names, bases, values)
            named = self._query_by_name = _by_name(canonical_names(names), values)
        return named

    @property
    def cookies(self) -> Mapping[bytes, Values]:
        """Cookies by name, the first MAX_COOKIES of them."""
        cookies = self._cookies
        if cookies is None:
            cookies = self._cookies = _read_cookies(self.header_index.get(b"cookie", ()))
        return cookies

    @property
    def cookies_by_name(self) -> Mapping[bytes, Values]:
        """Cookies by canonical name (see `canonical_name`), wherever some server sees one: for keys, not for conditions.

        At most MAX_COOKIES of them; `is_cookie_cut` says whether there were more.
        """
        named = self._cookies_by_name
        if named is None:
            sent = self.header_index.get(b"cookie", ())
            lines = [_COOKIE_BLANKS.sub(b";", line) for line in sent]
            if any(line.find(b"= ") >= 0 or line.find(b"=\t") >= 0 for line in sent):
                lines += [other for line in sent if (other := _ALL_COOKIE_BLANKS.sub(b";", line)) not in lines]
            parts = _COOKIE_EDGE.split(b";".join(lines), MAX_COOKIES)
            if len(parts) > MAX_COOKIES:
                self.is_cookie_cut = True
                del parts[MAX_COOKIES:]
            pairs = [part.partition(b"=") for part in parts if part.find(b"=") >= 0]
            names = canonical_names([name for name, _, _ in pairs])
            named = self._cookies_by_name = _by_name(names, [value for _, _, value in pairs])
        return named

    def first(self, name: bytes) -> bytes | None:
        """The first value of a header field, by its name in lower case; None without one."""
        values = self.header_index.get(name)
        return values[0] if values else None

    @property
    def user_agent(self) -> bytes | None:
        """The first User-Agent, or None when there is none."""
        agent = self._user_agent
        if agent is None:
            agent = self._user_agent = self.first(b"user-agent")
        return agent

    def __repr__(self) -> str:
        return f"Request({self.client.text} {self.method!r} {self.host!r} {self.target!r})"


_lower_names: Final[dict[bytes, bytes]] = {}


def _lower(received: bytes) -> bytes:
    """The name of a header field in lower case."""
    name = received.lower()
    if len(received) <= MAX_NAME_BYTES:
        keep_at_hand(_lower_names, MAX_NAMES, received, name)
    return name


def _read_query(query: bytes, reading: SiteReading) -> _Parameters:
    if reading.folds_names:
        query = reading.raw_query(query)
    if not query:
        return (), (), ()
    has_escapes = query.find(b"%") >= 0
    if not has_escapes and not reading.folds_names and query.find(b"&") < 0 and query.find(b";") < 0:
        name, _, value = query.replace(b"+", b" ").partition(b"=")
        return (name,), (), (value,)
    if has_escapes:
        query = mended(query)
    parts = query.replace(b"+", b" ").split(b"&")
    if reading.query_semicolons and query.find(b";") >= 0:
        parts += [piece for part in parts if part.find(b";") >= 0 for piece in part.split(b";")]
    pairs = [part.partition(b"=") for part in parts if part]
    names: Sequence[bytes] = [name for name, _, _ in pairs]
    values: Sequence[bytes] = [value for _, _, value in pairs]
    if has_escapes:
        names, values = _decoded(names), _decoded(values)
    if reading.folds_names:
        names, bases = reading.names_of(names)
        return names, bases, values
    return names, (), values


def _with_bases(
    names: Sequence[bytes], bases: Sequence[bytes], values: Sequence[bytes]
) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """Names and values: each parameter, and behind it the same by its other name."""
    found: list[bytes] = []
    twice: list[bytes] = []
    for name, base, value in zip(names, bases, values, strict=True):
        found.append(name)
        twice.append(value)
        if base:
            found.append(base)
            twice.append(value)
    return found, twice


def _decoded(texts: Sequence[bytes]) -> Sequence[bytes]:
    """Each without its escapes, of which none is malformed; all as one text, unless one has a `&` written so."""
    text = b"&".join(texts)
    if text.find(b"%") < 0:
        return texts
    if text.find(b"%26") >= 0:
        return [decode_mended(each) if each.find(b"%") >= 0 else each for each in texts]
    return decode_mended(text).split(b"&")


def _by_name(names: Sequence[bytes], values: Sequence[bytes]) -> dict[bytes, Values]:
    """Values by name, in time linear in them."""
    if len(names) == 1:
        return {names[0]: (values[0],)}
    grouped: dict[bytes, Values] = dict(zip(names, [(value,) for value in values], strict=True))
    if len(grouped) == len(names):
        return grouped
    several: dict[bytes, list[bytes]] = {}
    for name, value in zip(names, values, strict=True):
        found = several.get(name)
        if found is None:
            several[name] = [value]
        else:
            found.append(value)
    return {name: tuple(found) for name, found in several.items()}


def _read_cookies(lines: Values) -> dict[bytes, Values]:
    parts = [part for line in lines for part in line.split(b";") if part.find(b"=") >= 0]
    pairs = [part.strip(b" \t").partition(b"=") for part in parts[:MAX_COOKIES]]
    return _by_name([name for name, _, _ in pairs], [value.strip(b'"') for _, _, value in pairs])
