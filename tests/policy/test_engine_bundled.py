"""The rules that come with it, decided three ways: compiled, traced and naively, for real user agents on many paths."""

from __future__ import annotations

import json
import random
from collections import Counter
from importlib.resources import files

import pytest

from proxyguard.core.decision import Mode
from proxyguard.core.request import Request
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.explain.trace import trace
from proxyguard.policy.load import load_policy
from tests.build import request
from tests.naive import TallyStore, naive
from tests.paths import BUNDLED_RULES
from tests.policy.explain.test_trace_property import served
from tests.policy.test_engine_property import compiled_decision

BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SLCC1)",
    "sqlmap/1.8.2#stable (https://sqlmap.org)",
)
PATHS = (
    "/",
    "/robots.txt",
    "/signup",
    "/login",
    "/.env",
    "/wp-login.php",
    "/search?q=a",
    "/a/b.css",
    "/.well-known/acme-challenge/x",
)
FIELDS = (
    ("Accept", "*/*"),
    ("Accept-Language", "en"),
    ("Accept-Encoding", "gzip"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Cookie", "a=b"),
)


def odd_requests(count: int) -> list[Request]:
    rng = random.Random(11)
    crawlers = json.loads(files("crawleruseragents").joinpath("crawler-user-agents.json").read_text())
    agents = [agent for crawler in crawlers for agent in (crawler.get("instances") or ())]
    return [
        request(
            rng.choice(PATHS),
            client=f"192.0.2.{rng.randint(1, 3)}",
            method=rng.choice(["GET", "GET", "POST"]),
            scheme=rng.choice(["http", "https"]),
            headers=tuple(rng.sample(FIELDS, rng.randint(0, len(FIELDS)))),
            user_agent=rng.choice([rng.choice(agents), rng.choice(BROWSERS), "", None]),
        )
        for _ in range(count)
    ]


@pytest.mark.long
def test_the_bundled_rules_are_decided_alike_by_all() -> None:
    policy = load_policy(BUNDLED_RULES).policy
    assert policy is not None
    compiled = compile_policy(policy, secret=b"secret")
    tallies = TallyStore(), TallyStore()
    memories = MemoryStore(keys=10_000), MemoryStore(keys=10_000)
    seen: Counter[str] = Counter()
    now = 1_000_000.0
    for asked in odd_requests(600):
        plain = naive(policy, Mode.ENFORCE, asked, now, tallies[0])
        assert compiled_decision(compiled, asked, now, tallies[1]) == plain
        decision = served(compiled, asked, now, memories[0])
        assert trace(policy, asked, now, memories[1], secret=b"secret").decision == decision
        seen[decision.name] += 1
        now += 0.5
    assert seen.keys() >= {"allow", "pass", "reject", "tarpit"}
