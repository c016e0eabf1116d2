"""Microseconds a decision (match, charge, decide) for policies of 100, 1,000 and 10,000 rules.

Each policy has 1,500 user-agent patterns and 100,000 networks besides its rules; requests are a mixture of browsers, declared
bots, API clients and floods, each request object used once. Run: `python -m bench.engine`.
"""

from __future__ import annotations

import gc
import json
import random
import sys
from collections.abc import Iterator
from importlib.resources import files
from statistics import quantiles
from time import perf_counter, perf_counter_ns

from proxyguard.core.address import Address, Network
from proxyguard.core.decision import Action, Allow, Ban, Delay, Mode, Reject, Score, Tag, Tarpit
from proxyguard.core.request import Headers, Request
from proxyguard.limits.limit import KeyKind, KeyPart, Limit
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.model import (
    Absent,
    AllOf,
    AtLeast,
    Condition,
    Field,
    FieldKind,
    InNetworks,
    Matcher,
    Not,
    Policy,
    Rule,
    RuleSet,
    Test,
    Text,
    TextKind,
)

RULES = (100, 1_000, 10_000)
NETWORKS = 100_000
REQUESTS = 20_000

SECTIONS = ("profiles", "posts", "search", "feeds", "api", "static", "groups", "photos", "help", "shop")

BROWSERS = (
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15",
    b"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    b"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/604.1",
    b"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.6422.165 Mobile Safari/537.36",
)

BROWSER_HEADERS = (
    (b"Host", b"www.example.org"),
    (b"Connection", b"keep-alive"),
    (b"sec-ch-ua", b'"Chromium";v="126", "Not/A)Brand";v="8"'),
    (b"sec-ch-ua-mobile", b"?0"),
    (b"Upgrade-Insecure-Requests", b"1"),
    (b"Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    (b"Sec-Fetch-Site", b"same-origin"),
    (b"Sec-Fetch-Mode", b"navigate"),
    (b"Sec-Fetch-Dest", b"document"),
    (b"Referer", b"https://www.example.org/profiles"),
    (b"Accept-Encoding", b"gzip, deflate, br, zstd"),
    (b"Accept-Language", b"en-GB,en;q=0.9,de;q=0.8"),
    (b"Cookie", b"session=3d1f0c9ab24e77; theme=dark; consent=yes"),
)


def asks(kind: str, matcher: Matcher, name: str = "") -> Test:
    return Test(Field(kind, name), matcher)


def text(kind: TextKind, *texts: str) -> Text:
    return Text(kind, tuple(each.encode() for each in texts))


def crawlers() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(files("crawleruseragents").joinpath("crawler-user-agents.json").read_text())
    return found


def random_networks(count: int, rng: random.Random) -> tuple[Network, ...]:
    """IPv4 networks from /16 to /32 and, one in five, IPv6 networks from /32 to /64."""
    made = []
    for _ in range(count):
        if rng.random() < 0.2:
            bits = rng.randint(32, 64)
            first = (0x2001 << 112 | rng.getrandbits(112)) >> (128 - bits) << (128 - bits)
            made.append(Network(first, first + (1 << 128 - bits) - 1, f"random/{bits}"))
        else:
            bits = rng.randint(16, 32)
            first = 0xFFFF_0000_0000 + (rng.getrandbits(32) >> (32 - bits) << (32 - bits))
            made.append(Network(first, first + (1 << 32 - bits) - 1, f"random/{bits}"))
    return tuple(made)


def fixed_rules(rng: random.Random) -> Iterator[Rule]:
    """Those that every policy has."""
    patterns = [str(crawler["pattern"]) for crawler in crawlers()]
    browser = asks(FieldKind.USER_AGENT, text(TextKind.REGEX, r"\b(?:Chrome|Firefox)/\d+"))
    no_metadata = asks(FieldKind.HEADER, Absent(), "sec-fetch-mode")
    networks = random_networks(NETWORKS, rng)
    yield Rule(name="robots-txt", action=Allow(), when=asks(FieldKind.PATH, text(TextKind.EQUAL, "/robots.txt")))
    yield Rule(name="verified", action=Allow(), when=asks(FieldKind.CLIENT, InNetworks(networks[:1000])))
    yield Rule(name="clouds", action=Tag("cloud"), when=asks(FieldKind.CLIENT, InNetworks(networks[1000:60_000])))
    yield Rule(name="bad-networks", action=Score(30), when=asks(FieldKind.CLIENT, InNetworks(networks[60_000:])))
    yield Rule(name="crawlers", action=Reject(), when=asks(FieldKind.USER_AGENT, text(TextKind.REGEX, *patterns[:1400])))
    yield Rule(
        name="odd-crawlers", action=Tag("odd"), when=asks(FieldKind.USER_AGENT, text(TextKind.REGEX, *patterns[1400:1500]))
    )
    yield Rule(name="no-metadata", action=Score(40), when=AllOf((browser, no_metadata)))
    yield Rule(name="suspicious", action=Reject(), when=asks(FieldKind.SCORE, AtLeast(60)))
    post = asks(FieldKind.METHOD, text(TextKind.EQUAL, "POST"))
    sign_up = asks(FieldKind.PATH, text(TextKind.EQUAL, "/signup", "/i/flow/signup"))
    client = (KeyPart(KeyKind.CLIENT),)
    yield Rule(name="sign-up", action=Tarpit(), when=AllOf((post, sign_up)), limit=Limit(10, 60.0, 5, client))
    yield Rule(name="log-in", action=Ban(600), when=AllOf((post, asks(FieldKind.PATH, text(TextKind.EQUAL, "/login")))),
               limit=Limit(10, 60.0, 10, client))  # fmt: skip
    pages = Not(asks(FieldKind.PATH, text(TextKind.PREFIX, "/static/")))
    yield Rule(name="pages", action=Reject(), when=pages, limit=Limit(300, 60.0, 100, client), mode=Mode.SHADOW)


def varied_rule(number: int, rng: random.Random) -> Rule:
    """One of the many rules of a large policy: about a path, a word, a network, a header, a host."""
    section = rng.choice(SECTIONS)
    path = f"/{section}/{rng.getrandbits(24):x}"
    limit: Limit | None = None
    choices: list[Action] = [Reject(), Tarpit(), Delay(1.0), Score(10), Tag("seen")]
    action = rng.choice(choices)
    when: Condition
    match number % 8:
        case 0:
            when = asks(FieldKind.PATH, text(TextKind.PREFIX, path))
        case 1:
            when = AllOf((asks(FieldKind.METHOD, text(TextKind.EQUAL, "POST")), asks(FieldKind.PATH, text(TextKind.EQUAL, path))))
            limit = Limit(10, 60.0, 10, (KeyPart(KeyKind.CLIENT), KeyPart(KeyKind.PATH)))
            action = Reject()
        case 2:
            when = asks(FieldKind.USER_AGENT, text(TextKind.WORD, f"agent{number}", f"tool-{number}"))
        case 3:
            when = asks(FieldKind.CLIENT, InNetworks(random_networks(3, rng)))
        case 4:
            when = AllOf((
                asks(FieldKind.HEADER, text(TextKind.EQUAL, f"key-{number}"), "x-api-key"),
                asks(FieldKind.PATH, text(TextKind.PREFIX, "/api/")),
            ))  # fmt: skip
        case 5:
            when = AllOf((
                asks(FieldKind.HOST, text(TextKind.EQUAL, f"h{number}.example.org")),
                asks(FieldKind.PATH, text(TextKind.SUFFIX, ".json", ".xml")),
            ))  # fmt: skip
        case 6:
            when = AllOf((
                asks(FieldKind.PATH, text(TextKind.GLOB, f"{path}/*")),
                asks(FieldKind.HEADER, Absent(), "accept-language"),
            ))  # fmt: skip
        case _:
            when = AllOf((
                asks(FieldKind.QUERY, text(TextKind.EQUAL, f"token{number}"), "ref"),
                Not(asks(FieldKind.HEADER, text(TextKind.CONTAINS, "example.org"), "referer")),
            ))  # fmt: skip
    return Rule(name=f"rule-{number}", action=action, when=when, limit=limit)


def policy_of(count: int) -> Policy:
    rng = random.Random(7)
    fixed = tuple(fixed_rules(rng))
    varied = tuple(varied_rule(number, rng) for number in range(count - len(fixed)))
    return Policy((RuleSet(name="fixed", file="fixed", rules=fixed), RuleSet(name="varied", file="varied", rules=varied)))


def random_request(rng: random.Random, agents: list[bytes]) -> Request:
    kind = rng.random()
    client = Address(0xFFFF_0000_0000 + (198 << 24 | 18 << 16 | rng.getrandbits(16)))
    target = f"/{rng.choice(SECTIONS)}/{rng.getrandbits(24):x}"
    if rng.random() < 0.3:
        target += f"?page={rng.randint(1, 90)}&ref={rng.choice('abc')}"
    method = b"GET"
    headers: Headers
    if kind < 0.75:
        headers = (*BROWSER_HEADERS, (b"User-Agent", rng.choice(BROWSERS)))
    elif kind < 0.87:
        headers = ((b"Host", b"www.example.org"), (b"User-Agent", rng.choice(agents)), (b"Accept", b"*/*"))
    elif kind < 0.95:
        method = rng.choice([b"GET", b"POST"])
        headers = ((b"Host", b"www.example.org"), (b"User-Agent", b"shop-sync/2.1"), (b"X-Api-Key", b"%x" % rng.getrandbits(64)))
    else:
        method, target = b"POST", "/signup"
        client = Address(0xFFFF_0000_0000 + (198 << 24 | 18 << 16 | rng.getrandbits(2)))
        headers = (*BROWSER_HEADERS, (b"User-Agent", rng.choice(BROWSERS)))
    return Request(client, method, b"https", b"www.example.org", target.encode(), headers)


def random_requests(count: int, seed: int) -> list[Request]:
    rng = random.Random(seed)
    agents = [str(agent).encode() for crawler in crawlers() for agent in (crawler.get("instances") or ())]  # type: ignore[attr-defined]  # JSON
    return [random_request(rng, agents) for _ in range(count)]


def decide_all(policy: CompiledPolicy, requests: list[Request]) -> list[int]:
    """Nanoseconds of each decision."""
    store = MemoryStore()
    times = []
    now = 1_000_000.0
    for request in requests:
        start = perf_counter_ns()
        found = match(policy, request, now)
        if found.decision is None:
            ruling = decide(found, store.charge(found.charges, found.ban_keys, now))
            if ruling.ban is not None:
                order = ruling.ban
                store.ban(order.key, order.rule, order.reason, order.terms, now)
        times.append(perf_counter_ns() - start)
        now += 0.001
    return times


def main() -> None:
    print(f"{'rules':>7} {'compile s':>10} {'p50 us':>8} {'p99 us':>8} {'mean us':>8}")
    counts = [int(argument) for argument in sys.argv[1:]] or RULES
    for count in counts:
        policy = policy_of(count)
        start = perf_counter()
        compiled = compile_policy(policy, secret=b"bench")
        seconds = perf_counter() - start
        decide_all(compiled, random_requests(2000, seed=1))
        requests = random_requests(REQUESTS, seed=2)
        gc.collect()
        gc.disable()
        times = decide_all(compiled, requests)
        gc.enable()
        cuts = quantiles(times, n=100)
        print(
            f"{count:>7} {seconds:>10.2f} {cuts[49] / 1000:>8.2f} {cuts[98] / 1000:>8.2f} {sum(times) / len(times) / 1000:>8.2f}"
        )


if __name__ == "__main__":
    main()
