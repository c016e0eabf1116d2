"""A client with what it keeps: cookies, what it has cached, where it was last. Makes its fetches and reacts to answers.

Redirects are followed and cookies kept only by those that do so in the world; a firewall that sets a cookie and sends its
client round sees here what it would see there.
"""

from __future__ import annotations

from collections.abc import Generator
from math import inf
from typing import Final

from proxyguard.core.request import Headers
from proxyguard.tools.range.browsers import ClientSoftware, Destination, header_fields
from proxyguard.tools.range.networks import RangeSource
from proxyguard.tools.range.values import HOST, SCHEME, Fetch, Received

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS: Final = 5
MAX_COOKIES: Final = 20
MAX_CACHED: Final = 64

ORIGIN: Final = SCHEME + b"://" + HOST

type Getting = Generator[Fetch, Received, Received]


class Visitor:
    """One client during one session."""

    __slots__ = (
        "_cached",
        "_jar",
        "_last",
        "cookies",
        "extra",
        "follows",
        "keeps_cookies",
        "left",
        "patience",
        "sends_referer",
        "software",
        "source",
    )

    def __init__(
        self, source: RangeSource, software: ClientSoftware, *, follows: bool = True, keeps_cookies: bool = True,
        sends_referer: bool = True, extra: Headers = (), patience: float = 30.0,
    ) -> None:  # fmt: skip
        """`extra` are fields that go with every request, such as an API key. `patience` is how long it waits, seconds."""
        self.source = source
        self.software = software
        self.follows = follows
        self.keeps_cookies = keeps_cookies
        self.sends_referer = sends_referer
        self.extra = extra
        self.patience = patience
        self.left: float = inf
        """Requests that it still makes; then no redirect is followed either."""
        self.cookies: dict[bytes, bytes] = {}
        self._jar = b""
        self._last = b""
        self._cached: dict[bytes, bytes] = {}

    def forget(self) -> None:
        """Throw away cookies and cache, as one does who wants to be somebody else."""
        self.cookies.clear()
        self._cached.clear()
        self._jar = self._last = b""

    def bake(self) -> None:
        """Send the cookies as they are now from here on."""
        self._jar = b"; ".join(b"%s=%s" % pair for pair in self.cookies.items())

    def fetch(
        self, wait: float, target: bytes, destination: Destination = Destination.DOCUMENT, *, method: bytes = b"GET",
        body: bytes = b"", extra: Headers = (), dollars: float = 0.0, conditional: bool = False,
    ) -> Fetch:  # fmt: skip
        """The request for a target. `conditional` adds If-None-Match when the answer before had an ETag."""
        self.left -= 1
        extra = (*self.extra, *extra) if extra else self.extra
        if conditional and (tag := self._cached.get(target)) is not None:
            extra = (*extra, (b"If-None-Match", tag))
        if body:
            kind = b"application/x-www-form-urlencoded"
            extra = ((b"Content-Length", b"%d" % len(body)), (b"Content-Type", kind), (b"Origin", ORIGIN), *extra)
        referer = self._last if self.sends_referer else b""
        site = b"same-origin" if referer or destination is not Destination.DOCUMENT else b"none"
        headers = header_fields(self.software, HOST, destination, site, referer, self._jar, extra)
        return Fetch(wait, self.source, target, headers, method, body, dollars, self.patience)

    def note(self, target: bytes, answer: Received, destination: Destination) -> None:
        """Keep what the answer said: cookies, the ETag, and that this page was the last one."""
        for name, value in answer.headers:
            lower = name.lower()
            if lower == b"set-cookie" and self.keeps_cookies:
                key, _, rest = value.partition(b";")[0].partition(b"=")
                if key in self.cookies or len(self.cookies) < MAX_COOKIES:
                    self.cookies[key.strip()] = rest.strip()
                    self.bake()
            elif lower == b"etag" and len(self._cached) < MAX_CACHED:
                self._cached[target] = value
        if destination is Destination.DOCUMENT and answer.status == 200 and self.sends_referer:
            self._last = ORIGIN + target

    def get(
        self, wait: float, target: bytes, destination: Destination = Destination.DOCUMENT, *, method: bytes = b"GET",
        body: bytes = b"", extra: Headers = (), dollars: float = 0.0, conditional: bool = False,
    ) -> Getting:  # fmt: skip
        """Fetch a target, following redirects if this client does; returns the last answer."""
        answer = yield self.fetch(
            wait, target, destination, method=method, body=body, extra=extra, dollars=dollars, conditional=conditional
        )
        self.note(target, answer, destination)
        for _ in range(MAX_REDIRECTS):
            if answer.status not in REDIRECTS or not self.follows or self.left <= 0:
                break
            where = next((value for name, value in answer.headers if name.lower() == b"location"), b"")
            where = where.removeprefix(ORIGIN)
            if not where.startswith(b"/"):
                break
            answer = yield self.fetch(0.05, where, destination)
            self.note(where, answer, destination)
        return answer
