"""Which rules that give points hold for whom: people and scrapers as sets of names of rules.

Data of the tree alone: user agents and header sets of browsers (`proxyguard/tools/data/browsers`), and the requests that
`make fingerprints` recorded. One half is fitted to, chosen by a hash of the user agent or of the client; the other is reported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from typing import Final, NamedTuple

from proxyguard.core.address import Address
from proxyguard.core.decision import Score
from proxyguard.core.request import Headers, Request
from proxyguard.policy.compile.conditions import NO_TAGS
from proxyguard.policy.explain.evaluate import evaluate
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Rule
from tests.corpus.kinds import BROWSER, Sample, kinds
from tests.fingerprints.recording import Recorded, recorded
from tests.paths import BUNDLED_RULES

CLIENT: Final = Address.parse("192.0.2.1")

RULE_SET: Final = "header-consistency"

STRIPPED: Final[Mapping[str, tuple[bytes, ...]]] = {
    "nothing": (),
    "client hints": (b"sec-ch-",),
    "Sec-*": (b"sec-",),
    "Accept-Encoding": (b"accept-encoding",),
    "Sec-* and Accept-Encoding": (b"sec-", b"accept-encoding"),
}
"""Beginnings of the fields that products were seen to take out, and privacy tools."""


class Shown(NamedTuple):
    """One request: who, whether it is of the half that is not fitted to, and the rules that hold for it."""

    who: str
    kept_out: bool
    signs: frozenset[str]


@cache
def rules() -> tuple[Rule, ...]:
    """The bundled rules that give points for what a request shows."""
    loaded = load_policy(BUNDLED_RULES)
    assert loaded.policy is not None, loaded.problems
    [rule_set] = [each for each in loaded.policy.rule_sets if each.name == RULE_SET]
    return tuple(rule for rule in rule_set.rules if isinstance(rule.action, Score))


def points() -> dict[str, int]:
    """The points that the rules give now."""
    return {rule.name: round(rule.action.points) for rule in rules() if isinstance(rule.action, Score)}


def signs_of(request: Request) -> frozenset[str]:
    """The rules that hold for a request."""
    return frozenset(rule.name for rule in rules() if rule.when is None or evaluate(rule.when, request, 0, NO_TAGS).holds)


def without(fields: Headers, beginnings: tuple[bytes, ...]) -> Headers:
    return tuple(pair for pair in fields if not beginnings or not pair[0].lower().startswith(beginnings))


def is_kept_out(agent: bytes) -> bool:
    return sha256(agent).digest()[0] & 1 == 1


def _asked(sample: Sample, fields: Headers) -> Request:
    headers = ((b"Host", b"example.org"), (b"User-Agent", sample.user_agent), *fields)
    return Request(CLIENT, sample.method, b"https", b"example.org", sample.target, headers)


def browsers(samples: tuple[Sample, ...] | None = None) -> Iterator[Shown]:
    """Browsers with all their fields, by their header fields alone."""
    for sample in _browser_samples() if samples is None else samples:
        yield Shown("browsers", is_kept_out(sample.user_agent), signs_of(_asked(sample, sample.fields)))


def behind_proxies() -> Iterator[Shown]:
    """The same behind what strips fields, and the recorded ones with their connections, as they came and stripped."""
    for name, beginnings in STRIPPED.items():
        if beginnings:
            for sample in _browser_samples():
                signs = signs_of(_asked(sample, without(sample.fields, beginnings)))
                yield Shown(name, is_kept_out(sample.user_agent), signs)
        for each in recorded():
            if each.of in ("browser", "intercepted"):
                yield Shown(
                    f"{each.of}: {name}",
                    each.kept_out,
                    signs_of(changed(each.request, without(each.request.headers, beginnings))),
                )


def recorded_browsers(kind: str) -> Iterator[Shown]:
    """Those that were recorded with their connections: `browser`, or `intercepted`."""
    for each in recorded():
        if each.of == kind:
            yield Shown(kind, each.kept_out, signs_of(each.request))


def scrapers() -> dict[str, list[Shown]]:
    """Programs under the name of a browser, by what they copied."""
    found: dict[str, list[Shown]] = {"named": [], "named, TLS ended elsewhere": [], "copied": [], "rotated": [], "imitators": []}
    agents = [
        sample.user_agent for sample in _browser_samples() if b"Chrome/1" in sample.user_agent and b"Windows" in sample.user_agent
    ]
    for number, each in enumerate(each for each in recorded() if each.of in ("library", "imitator")):
        if each.of == "imitator":
            found["imitators"].append(_shown(each, each.request))
        elif each.mode == "named":
            found["named"].append(_shown(each, each.request))
            found["named, TLS ended elsewhere"].append(_shown(each, unconnected(each.request)))
        elif each.mode == "copied":
            found["copied"].append(_shown(each, each.request))
            agent = agents[number % len(agents)]
            found["rotated"].append(_shown(each, unconnected(changed(each.request, renamed(each.request.headers, agent)))))
    return found


def _shown(each: Recorded, request: Request) -> Shown:
    return Shown(each.client, each.kept_out, signs_of(request))


def changed(request: Request, headers: Headers) -> Request:
    """The same with other header fields."""
    made = Request(request.client, request.method, request.scheme, request.host, request.target, headers, request.http_version)
    made.connection = request.connection
    return made


def unconnected(request: Request) -> Request:
    """The same behind something else that ends TLS: nothing is known of the connection."""
    made = changed(request, request.headers)
    made.connection = None
    return made


def renamed(headers: Headers, agent: bytes) -> Headers:
    """The copied fields under another name, as scrapers rotate names."""
    return tuple((name, agent if name.lower() == b"user-agent" else value) for name, value in headers)


@cache
def _browser_samples() -> tuple[Sample, ...]:
    return next(kind.samples for kind in kinds(None) if kind.name == BROWSER)
