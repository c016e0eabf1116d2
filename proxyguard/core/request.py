"""One request, and the facts derived from it.

Decides how a path, a query and a cookie are parsed; knows nothing of rules, or of how the bytes arrived.
Everything that the client chose stays bytes: rules look at what was on the wire. The inspected `path` is what
an origin server will act on (percent-decoded, slashes merged, without the query, folded as `reading` says); the forwarded target
is `target`, as received.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from proxyguard.core.address import Address
from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.core.form import FormVisit
from proxyguard.core.item import Item
from proxyguard.core.jar import NO_JAR, Jar
from proxyguard.core.origin import Origin
from proxyguard.core.reading import (
    LOOSE,
    LOOSE_FRONT,
    STRICT,
    SiteReading,
    decode_mended,
    decoded_path,
    is_settled,
    mended,
    percent_decode,
)
from proxyguard.core.robots import RobotsVerdict

Headers = tuple[tuple[bytes, bytes], ...]
"""Header fields in the order and case received."""

Values = tuple[bytes, ...]
"""The values of one field of a request: none when it is absent, several when it was repeated."""

MAX_QUERY_PARAMETERS: Final = 1000
"""Parameters of a request that are not empty; the front refuses more. Forms send fewer, Express and PHP read no more."""

MAX_QUERY_VALUES: Final = 256
"""Values of one query parameter; the front refuses more. Each is compared with every rule about the parameter."""

MAX_COOKIES: Final = 300
"""Cookies looked at; browsers keep about 180 a site (RFC 6265 section 6.1 asks for 50)."""

_COOKIE_EDGE: Final = re.compile(rb"[;,]+|(?<![= \t])[ \t]+(?=[^ \t=;,]+[ \t]*=)")
"""Where some server sees one cookie end and another begin: RFC 6265 has `;` only, older readers commas and blanks as well."""

_EMPTY_COOKIES: Final = re.compile(rb";[; \t]+")

AROUND_NAMES: Final = b" \t\r\n\v\f\"'"
"""What readers of cookies and parameters drop around names and values."""

_CANONICAL_NAMES: Final = re.compile(rb"[a-z0-9_&-]*+")
_NAME_TAIL: Final = re.compile(rb"[\0\[][^&]*+")
"""What readers drop from the end of a name, in names with `&` between them."""

_UNDERSCORES: Final = bytes.maketrans(b". \t", b"___")
"""PHP's names of parameters and cookies."""


class Request:
    """One request, immutable by convention. Derived facts are computed once, when first asked for.

    method, scheme, host and http_version are bytes such as `GET`, `https`, `example.org` (lower case, without the port)
    and `1.1`; target is the origin-form target with its query, as received.
    """

    __slots__ = (
        "_cookies", "_cookies_by_name", "_index", "_loose_paths", "_path", "_query", "_query_by_name", "account", "account_key",
        "client", "connection", "cookie_values", "facts", "form", "headers", "host", "http_version", "is_cookie_cut",
        "is_session_unclear", "item", "jar", "method", "origin", "reading", "robots", "scheme", "target", "visitor",
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
        self._loose_paths: Values | None = None
        self._query: dict[bytes, Values] | None = None
        self._query_by_name: dict[bytes, Values] | None = None
        self._cookies: dict[bytes, Values] | None = None
        self._cookies_by_name: dict[bytes, Values] | None = None
        self.is_cookie_cut = False
        """Whether there are more cookies than `cookies_by_name` looks at; set by it."""
        self.cookie_values: dict[bytes, Values] | None = None
        """Values of cookies as keys have them, kept by `key_values.cookie_values`: to read hundreds takes milliseconds."""
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
        self.facts: tuple[object, set[int]] | None = None
        """A cache for facts derived from the client and the header fields alone, after a mark of the module that derived them."""
        self.reading: SiteReading = STRICT
        """How the site reads the target; see `read_as`."""
        self.connection: ConnectionFacts | None = None
        """What the connection showed of itself; None when another program than the client may have spoken."""
        self.origin: Origin | None = None
        """Where it comes from and who it is proven to be; None: unknown. Set by the guard when the policy asks about it."""
        self.robots: RobotsVerdict | None = None
        """What the site's robots.txt says of it; None: unknown. Set likewise."""

    def take_after(self, earlier: Request) -> None:
        """Reuse what was derived from an earlier request whose header fields are the very same object."""
        if earlier.headers is self.headers:
            self._index = earlier._index
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

    @property
    def path(self) -> bytes:
        """The path as rules see it: see `inspected_path`."""
        path = self._path
        if path is None:
            path = self._path = inspected_path(self.target) if self.reading is STRICT else self.reading.path(self.target)
        return path

    @property
    def whole_path(self) -> bytes:
        """The path as limits count by it: without a format suffix, where the site drops one."""
        return self.path if self.reading is STRICT else self.reading.whole(self.path)

    @property
    def loose_paths(self) -> Values:
        """The path as the most lenient server reads it; both readings where one is a front controller's."""
        paths = self._loose_paths
        if paths is None:
            path = LOOSE.decoded(self.target)
            paths = (path,)
            if not is_settled(path):
                names = LOOSE.fold_names(path)
                path = LOOSE.fold_pages(names)
                paths = (path,)
                if names.find(b".php") >= 0:
                    other = LOOSE_FRONT.fold_pages(names)
                    if other != path:
                        paths = (path, other)
            self._loose_paths = paths
        return paths

    @property
    def whole_loose_path(self) -> bytes:
        """The first of them as limits count by it: without a format suffix."""
        return LOOSE.whole(self.loose_paths[0])

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
        """All query parameters, decoded, by name; by each name that `reading` gives them."""
        query = self._query
        if query is None:
            query = self._query = _read_query(self.target, self.reading)
        return query

    @property
    def query_by_name(self) -> dict[bytes, Values]:
        """All query parameters by canonical name (see `canonical_name`): for keys, not for conditions.

        Whoever reads the values of a name may leave what it made of them here, for the next rule that counts by it.
        """
        named = self._query_by_name
        if named is None:
            query = self.query
            named = {}
            several: dict[bytes, list[bytes]] = {}
            for name, values in zip(canonical_names(tuple(query)), query.values(), strict=True):
                if name not in named:
                    named[name] = values
                elif name in several:
                    several[name] += values
                else:
                    several[name] = [*named[name], *values]
            for name, found in several.items():
                named[name] = tuple(found)
            self._query_by_name = named
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
            found: dict[bytes, list[bytes]] = {}
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
                    if name in found:
                        found[name].append(value)
                    else:
                        found[name] = [value]
            named = self._cookies_by_name = {name: tuple(values) for name, values in found.items()}
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
    return decoded_path(path_of(target))


def path_of(target: bytes) -> bytes:
    """The path of a target as it was sent."""
    query = target.find(b"?")  # find, not `in`: bytes.__contains__ first tries its argument as a number, and fails
    return target if query < 0 else target[:query]


def canonical_name(name: bytes) -> bytes:
    """The name of a cookie or a query parameter as any site may read it: `Session[]`, `session` and ` session ` are one."""
    if b"%" in name:
        name = percent_decode(name)
    name = name.partition(b"\0")[0].partition(b"[")[0].strip(AROUND_NAMES)
    return name.translate(_UNDERSCORES).lower()


def canonical_names(names: Sequence[bytes]) -> Sequence[bytes]:
    """`canonical_name` of each; all are read as one text, with `&` between them, since a query may have a thousand."""
    text = b"&".join(names)
    if _CANONICAL_NAMES.fullmatch(text) is not None:
        return names
    if text.find(b"%") >= 0:
        text = percent_decode(text)
    if text.count(b"&") != len(names) - 1:  # one that was written with `%26`
        return [canonical_name(name) for name in names]
    text = b"&".join([name.strip(AROUND_NAMES) for name in _NAME_TAIL.sub(b"", text).split(b"&")])
    return text.translate(_UNDERSCORES).lower().split(b"&")


def _read_query(target: bytes, reading: SiteReading) -> dict[bytes, Values]:
    query = target.partition(b"?")[2]
    if not query:
        return {}
    if reading.folds_names:
        query = reading.raw_query(query)
    has_escapes = query.find(b"%") >= 0
    if has_escapes:
        query = mended(query)
    parts = query.replace(b"+", b" ").split(b"&")
    if reading.query_semicolons and query.find(b";") >= 0:
        parts += [piece for part in parts if part.find(b";") >= 0 for piece in part.split(b";")]
    found = _grouped([part.partition(b"=") for part in parts if part])
    if has_escapes:
        found = _decoded(found)
    if reading.folds_names:
        found = _renamed(found, reading)
    return {name: tuple(values) for name, values in found.items()}


def _decoded(found: Mapping[bytes, list[bytes]]) -> dict[bytes, list[bytes]]:
    decoded: dict[bytes, list[bytes]] = {}
    for name, values in found.items():
        if name.find(b"%") >= 0:
            name = decode_mended(name)  # noqa: PLW2901 - the same name as it is read
        read = [decode_mended(value) if value.find(b"%") >= 0 else value for value in values]
        if name in decoded:
            decoded[name] += read
        else:
            decoded[name] = read
    return decoded


def _renamed(found: dict[bytes, list[bytes]], reading: SiteReading) -> dict[bytes, list[bytes]]:
    """By each name that the site may know a parameter by. Takes `found` over."""
    names = tuple(found)
    written, bases = reading.names_of(names)
    if written is names:
        return found
    renamed: dict[bytes, list[bytes]] = {}
    for name, base, values in zip(written, bases, found.values(), strict=True):
        if name in renamed:
            renamed[name] += values
        else:
            renamed[name] = values
        if base:
            if base in renamed:
                renamed[base] += values
            else:
                renamed[base] = values.copy()
    return renamed


def _read_cookies(lines: Values) -> dict[bytes, Values]:
    pairs: list[tuple[bytes, bytes, bytes]] = []
    for line in lines:
        if line.count(b";") > MAX_COOKIES:
            line = _EMPTY_COOKIES.sub(b";", line)  # noqa: PLW2901 - the same cookies
        for part in line.split(b";"):
            name, mark, value = part.strip(b" \t").partition(b"=")
            if mark:
                if len(pairs) >= MAX_COOKIES:
                    break
                pairs.append((name, mark, value.strip(b'"')))
    return {name: tuple(values) for name, values in _grouped(pairs).items()}


def _grouped(pairs: Iterable[tuple[bytes, bytes, bytes]]) -> dict[bytes, list[bytes]]:
    """Values by name, in time linear in the pairs, which have the mark between them."""
    grouped: dict[bytes, list[bytes]] = {}
    for name, _, value in pairs:
        values = grouped.get(name)
        if values is None:
            grouped[name] = [value]
        else:
            values.append(value)
    return grouped
