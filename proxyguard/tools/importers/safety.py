"""Whom a rule file would refuse that nobody wants to refuse: ordinary page views by real browsers, crawlers that sites want.

Every rule that refuses without a limit is tried on the browsers that come as package data, for requests that every site gets:
pages, parts of pages, forms, and pages over plain HTTP, as behind a server that ends TLS.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Final, NamedTuple

from proxyguard.core.address import Address
from proxyguard.core.decision import Allow, Mode, Pass, Score, Tag
from proxyguard.core.request import Headers, Request
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.engine import match
from proxyguard.policy.model import Policy, RuleSet
from proxyguard.tools.data import browser_lines, user_agents
from proxyguard.tools.lint.trusted import GOOD_BOTS

MAX_HOSTS: Final = 8
"""Hosts that rules name which are tried, besides the usual ones."""

MAX_PLACES: Final = 30
"""Paths that are tried with every browser, each by the rule that names it."""

_SECRET: Final = b"import"
_HOSTS: Final = (b"example.org", b"www.example.org")
_CLIENT: Final = Address.parse("198.18.77.9")
"""Of the network for benchmarks, which stands in no list."""

_USUAL: Final[Headers] = (
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"accept-language", b"en-US,en;q=0.9"),
    (b"accept-encoding", b"gzip, deflate, br"),
    (b"connection", b"keep-alive"),
)
_MANY: Final = 40
"""Header sets that are tried with every request; the others with one."""

_PART: Final[Headers] = (
    (b"accept", b"*/*"), (b"accept-language", b"en-US,en;q=0.9"), (b"accept-encoding", b"gzip, deflate, br"),
    (b"referer", b"https://example.org/"), (b"sec-fetch-dest", b"script"), (b"sec-fetch-mode", b"no-cors"),
    (b"sec-fetch-site", b"same-origin"),
)  # fmt: skip
"""What browsers send for a script of a page, beside their user agent."""

_REQUESTS: Final[tuple[tuple[bytes, bytes, bytes, Headers], ...]] = (
    (b"GET", b"/", b"2", ()),
    (b"GET", b"/articles/2024/spring.html", b"1.1", ()),
    (b"GET", b"/about?page=2", b"2", ((b"referer", b"https://www.google.com/"),)),
    (b"GET", b"/images/photo.jpg", b"1.1", ((b"cookie", b"session=1"),)),
    (b"GET", b"/style.css", b"2", ()),
    (b"POST", b"/contact", b"2", ((b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"9"))),
)


class TriedPlace(NamedTuple):
    """Where a rule looks at user agents: its host, empty for any, and its path. It refuses nobody there but by their names."""

    rule: str
    host: str
    path: str


class Harm(NamedTuple):
    """What one rule does: the user agents of browsers that it refuses, of how many, and the wanted crawlers that it refuses."""

    browsers: tuple[str, ...]
    tried: int
    crawlers: tuple[str, ...]


def harms(rule_set: RuleSet, hosts: Sequence[str] = (), places: Sequence[TriedPlace] = ()) -> dict[str, Harm]:
    """By rule, for those that refuse a browser's ordinary request or a wanted crawler. Raises PolicyError.

    `hosts`: those that rules name, for whom everything is tried as well. `places`: where rules look at user agents.
    """
    policy = _watched(rule_set)
    watched = {rule.name for rule in rule_set.rules if rule.limit is None and not _goes_on(rule.action)}
    hit: dict[str, dict[bytes, None]] = {name: {} for name in watched}
    crawlers: dict[str, dict[str, None]] = {name: {} for name in watched}
    agents: set[bytes] = set()
    every_host = (*_HOSTS, *(host.encode() for host in dict.fromkeys(hosts)))[: len(_HOSTS) + MAX_HOSTS]
    for agent, request in _page_views(every_host):
        agents.add(agent)
        for name in watched.intersection(_applying(policy, request)):
            hit[name][agent] = None
    for place, headers in product(places[:MAX_PLACES], _header_sets()):
        if place.rule not in watched:
            continue
        host = (place.host or "example.org").encode()
        agent = next(value for name, value in headers if name.lower() == b"user-agent")
        request = Request(_CLIENT, b"GET", b"https", host, place.path.encode(), ((b"Host", host), *headers), b"2")
        agents.add(agent)
        if place.rule in _applying(policy, request):
            hit[place.rule][agent] = None
    for bot, host in product(GOOD_BOTS, every_host):
        agent = f"Mozilla/5.0 (compatible; {bot}/2.1; +http://example.net/bot)".encode()
        request = Request(_CLIENT, b"GET", b"https", host, b"/", ((b"Host", host), (b"User-Agent", agent), *_USUAL), b"1.1")
        for name in watched.intersection(_applying(policy, request)):
            crawlers[name][bot] = None
    return {
        name: Harm(tuple(agent.decode("latin-1") for agent in hit[name]), len(agents), tuple(crawlers[name]))
        for name in watched
        if hit[name] or crawlers[name]
    }


def _goes_on(action: object) -> bool:
    return isinstance(action, Allow | Pass | Score | Tag)


def _watched(rule_set: RuleSet) -> CompiledPolicy:
    """The rules with those that refuse in shadow, so that none hides another; expired ones too."""
    rules = tuple(
        replace(rule, expires=None, mode=Mode.ENFORCE if _goes_on(rule.action) else Mode.SHADOW) for rule in rule_set.rules
    )
    return compile_policy(Policy((replace(rule_set, mode=Mode.ENFORCE, rules=rules),)), secret=_SECRET)


def _applying(policy: CompiledPolicy, request: Request) -> Iterator[str]:
    found = match(policy, request, 0.0)
    return (rule.name for rule, charge, is_open in found.steps if charge is None and not is_open)


def _page_views(hosts: Sequence[bytes]) -> Iterator[tuple[bytes, Request]]:
    for at, headers in enumerate(_header_sets()):
        agent = next(value for name, value in headers if name.lower() == b"user-agent")
        for number, (method, path, version, more) in enumerate(_REQUESTS):
            if number and at >= _MANY:
                break
            for host in hosts:
                yield agent, Request(_CLIENT, method, b"https", host, path, ((b"Host", host), *headers, *more), version)
        if at >= _MANY:
            continue
        for host in hosts:
            part = ((b"Host", host), (b"user-agent", agent), *_PART)
            yield agent, Request(_CLIENT, b"GET", b"https", host, b"/static/app.js", part, b"2")
            yield agent, Request(_CLIENT, b"GET", b"http", host, b"/", ((b"Host", host), *headers), b"1.1")


@cache
def _header_sets() -> tuple[Headers, ...]:
    """Whole header sets first, then user agents with the headers that all browsers send."""
    listed = [json.loads(line)["headers"] for line in browser_lines("header-sets.jsonl")]
    whole = [tuple((name.encode(), value.encode()) for name, value in pairs) for pairs in listed]
    return (*whole, *(((b"user-agent", agent), *_USUAL) for agent in user_agents()))
