"""What the range asks of a firewall on the virtual clock, and the firewall that is off.

The guard stands far above this room: whoever runs the range hands it in (`cli/range_guard`).
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, NamedTuple, Protocol

from proxyguard.core.jar import OLD, Jar
from proxyguard.core.origin import NetworkKind, Origin
from proxyguard.core.request import Headers, Request
from proxyguard.tools.range.connections import connection_of
from proxyguard.tools.range.networks import AddressOwner, SyntheticNetwork
from proxyguard.tools.range.overlays import Overlay
from proxyguard.tools.range.values import HOST, SCHEME, Fetch

EPOCH: Final = 1_780_272_000.0
"""When every scenario begins: Monday 2026-06-01, 00:00 UTC, in Unix seconds."""

HTTP_VERSION: Final = b"1.1"
"""Of every request, so that both clocks show the rules the same; see docs/guide/range.md."""


_CLAIM: Final = re.compile(rb"Googlebot|bingbot|YandexBot|DuckDuckBot|Applebot")
"""Crawlers whose addresses are published whole, so that a claim from elsewhere is known to be false."""

_KINDS: Final = {
    SyntheticNetwork.RESIDENTIAL: NetworkKind.RESIDENTIAL,
    SyntheticNetwork.MOBILE: NetworkKind.MOBILE,
    SyntheticNetwork.HOSTING: NetworkKind.HOSTING,
}


class Verdict(NamedTuple):
    """What the firewall does with one request."""

    forwards: bool = True
    status: int = 0
    """Of its own answer; 0 for none (the connection is closed)."""
    wait_seconds: float = 0.0
    """How long the client waits: a delay before the site is asked, or a tarpit."""
    retry_after_seconds: float = 0.0
    rule: str = ""
    headers: Headers = ()
    """Added to the answer, whosever it is."""
    ticket: object = None
    proves: bool = False
    """Whether the answer only sends the client round to fetch a cookie: soft harm, and no refusal."""
    settles_late: bool = False
    """Whether something is counted when the exchange ends, so that `settle` must come at that time."""


PASSED: Final = Verdict()


class SiteOutcome(NamedTuple):
    """How a forwarded exchange ended."""

    status: int
    length: int
    seconds: float
    account_class: bytes = b""


class Firewall(Protocol):
    """A firewall that decides at the moment it is told. Moments are seconds since the scenario began."""

    def check(self, request: Request, now: float) -> Verdict: ...
    def settle(self, verdict: Verdict, outcome: SiteOutcome, now: float) -> None: ...
    def order(self, overlay: Overlay | None, ends: float) -> None:
        """An operator puts other rules in force beside the ones under test, until `ends`; None takes them away."""
        ...


class OpenGate:
    """The firewall that is off: what a cohort gets when nobody stands in its way."""

    def check(self, request: Request, now: float) -> Verdict:  # noqa: ARG002 - the protocol's
        return PASSED

    def settle(self, verdict: Verdict, outcome: SiteOutcome, now: float) -> None:
        """Nothing is counted."""

    def order(self, overlay: Overlay | None, ends: float) -> None:
        """There are no rules."""


def request_of(fetch: Fetch) -> Request:
    """The request as a front would hand it to the guard.

    This is the one place that gives a request what it has beside its text: where it comes from, what its connection shows, and
    the jar of an earlier day.
    """
    source = fetch.source
    request = Request(source.address, fetch.method, SCHEME, HOST, fetch.target, fetch.headers, HTTP_VERSION)
    request.origin = origin_of(source.owner)
    request.connection = connection_of(source.speaks)
    if source.owner.kind is not SyntheticNetwork.VERIFIED_BOT and _CLAIM.search(request.user_agent or b"") is not None:
        request.origin = request.origin._replace(claim="a search engine", verified=False)
    if source.is_regular:
        request.jar = Jar(f"regular-{source.address.text}", (OLD,))
    return request


@cache
def origin_of(owner: AddressOwner) -> Origin:
    """What tables and published lists would say of a synthetic network."""
    is_bot = owner.kind is SyntheticNetwork.VERIFIED_BOT
    return Origin(
        country=owner.country, asn=owner.asn, owner=owner.name, network_kind=_KINDS.get(owner.kind, NetworkKind.UNKNOWN),
        identity=owner.name if is_bot else None, claim=owner.name if is_bot else None, verified=True if is_bot else None,
    )  # fmt: skip
