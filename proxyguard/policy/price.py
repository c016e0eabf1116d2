"""What rarely read items cost who collects them: how many a day the limits in force leave to one cookie jar, address or network.

Asks the policy itself what it would count for such a request, so that rules that were changed, paused or added count as they are.
What is spent at once belongs to the first day. Of limits that learn it is what a stranger has.
"""

from __future__ import annotations

from math import ceil
from typing import Final, NamedTuple

from proxyguard.core.item import ItemHeat
from proxyguard.core.jar import ASKED_JAR, FRESH, Jar
from proxyguard.core.origin import NetworkKind, Origin
from proxyguard.limits.limit import CountKind, KeyKind, Limit, Window
from proxyguard.policy.compile.compile import CompiledPolicy
from proxyguard.policy.compile.items import item_of
from proxyguard.policy.engine import match
from proxyguard.policy.model import SampleRequest
from proxyguard.policy.testing.sample_requests import request_from_sample

WANTED: Final = 1_000
"""The items that are priced."""

DAY_SECONDS: Final = 86_400.0

HOMES: Final = "homes"
ELSEWHERE: Final = "elsewhere"
_NETWORK_KINDS: Final = {
    HOMES: NetworkKind.RESIDENTIAL, "hosting": NetworkKind.HOSTING, ELSEWHERE: NetworkKind.UNKNOWN
}  # fmt: skip

_WHOSE: Final[dict[str, str]] = {
    KeyKind.JAR: "jars",
    KeyKind.CLIENT: "addresses",
    KeyKind.NETWORK: "networks",
    KeyKind.SITE: "site",
}

_COUNTED: Final = (CountKind.REQUESTS, CountKind.DISTINCT)

_BROWSER: Final = (
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Site", "none"),
)  # fmt: skip


class Price(NamedTuple):
    """What 1,000 rarely read items within a day take, from one kind of network, with cookies or without.

    `needed` says how many `jars`, `addresses` and `networks`; what is missing in it is not limited. `of_site`: how many a day all
    such clients together are left; None: there is no such limit.
    """

    networks: str
    with_cookies: bool
    needed: dict[str, int]
    of_site: int | None


def prices(policy: CompiledPolicy, now: float) -> tuple[Price, ...]:
    """The prices under a policy; none where it names no items. `now` is Unix seconds."""
    path = None if policy.items is None else policy.items.example
    if path is None:
        return ()
    found = []
    for networks, kind in _NETWORK_KINDS.items():
        if policy.asks_origin or networks == ELSEWHERE:
            found += [_price(policy, path, networks, kind, now, with_cookies=each) for each in (True, False)]
    return tuple(found)


def _price(policy: CompiledPolicy, path: str, networks: str, kind: NetworkKind, now: float, *, with_cookies: bool) -> Price:
    request = request_from_sample(SampleRequest(path=path, headers=_BROWSER, origin=Origin(network_kind=kind)))
    request.item = item_of(policy.items, request, ItemHeat.COLD)
    request.jar = Jar("example", (FRESH,)) if with_cookies else ASKED_JAR
    looked = match(policy, request, now)
    least: dict[str, float] = {}
    for rule, at, _ in looked.steps:
        limit = rule.limit
        if at is None or limit is None or not (rule.enforced and rule.refuses) or limit.count.kind not in _COUNTED:
            continue
        whose = _WHOSE.get(limit.per[0].kind) if len(limit.per) == 1 else None
        if whose is not None:
            least[whose] = min(least.get(whose, a_day(limit)), a_day(limit))
    of_site = least.pop("site", None)
    needed = {whose: ceil(WANTED / amount) for whose, amount in least.items()}
    return Price(networks, with_cookies, needed, None if of_site is None else int(of_site))


def a_day(limit: Limit) -> float:
    """How much a limit leaves in the first day: with what it gives back, and all that may come at once."""
    whole = limit.amount * max(1.0, DAY_SECONDS / limit.period_seconds)
    return whole + limit.burst if limit.window is Window.SLIDING else whole
