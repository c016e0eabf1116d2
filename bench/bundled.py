"""Microseconds a decision for the bundled rules with all that they look at: origin, connection, robots.txt, jars, visitors.

The requests are those of `make fingerprints` (browsers, libraries and imitators with their TLS and HTTP/2), each with a target
and a Request of its own. Ten come over each connection, from one client with the same fields, so what these, the client and the
connection show is judged for the first of them, which has a line of its own. Measured is the processor's time of the thread
for match, charge and decide: others that work beside make it dearer by what they take of caches and cores. Run:
`python -m bench.bundled [PRESET]`.
"""

from __future__ import annotations

import gc
import random
import sys
from collections.abc import Iterator
from statistics import quantiles
from time import thread_time_ns
from typing import Final

from bench.engine import SECTIONS
from proxyguard.core.address import Address
from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.core.jar import ASKED_JAR, NO_JAR
from proxyguard.core.origin import NetworkKind, Origin
from proxyguard.core.preset import RulesPreset
from proxyguard.core.request import Request
from proxyguard.guard.acquaintances import KNOWN, NEW
from proxyguard.http.fingerprints.facts import connection_facts
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.load import load_policy
from proxyguard.policy.robots.robots_txt import RobotsTxt
from tests.fingerprints.recording import Recorded, recorded
from tests.paths import BUNDLED_RULES

ROUNDS: Final = 12
OF_A_CONNECTION: Final = 10
JARS: Final = (NO_JAR, ASKED_JAR)
ORIGINS: Final = (
    Origin("DE", 64_500, "A carrier", NetworkKind.RESIDENTIAL),
    Origin("US", 64_501, "A cloud", NetworkKind.HOSTING),
)
_OBSERVED: Final = (
    "first_record", "is_http2", "is_wasteful", "path_forms", "priorities", "pseudo", "settings", "tls_version", "window",
)  # fmt: skip
ROBOTS: Final = RobotsTxt(b"User-agent: *\nDisallow: /private/\nDisallow: /*?sort=\n\nUser-agent: GPTBot\nDisallow: /\n")


def decided(policy: CompiledPolicy, store: MemoryStore, rows: tuple[Recorded, ...], seed: int) -> dict[str, list[int]]:
    """Nanoseconds of each decision, by the kind of its client."""
    times: dict[str, list[int]] = {}
    now = 1_000_000.0 * seed
    for kind, request in requests(rows, random.Random(seed)):
        start = thread_time_ns()
        found = match(policy, request, now)
        if found.decision is None:
            decide(found, store.charge(found.charges, found.ban_keys, now))
        times.setdefault(kind, []).append(thread_time_ns() - start)
        now += 0.001
    return times


def requests(rows: tuple[Recorded, ...], rng: random.Random) -> Iterator[tuple[str, Request]]:
    """Requests of all recorded clients, with every fact that the guard would set."""
    for _ in range(ROUNDS):
        for row in rng.sample(rows, len(rows)):
            client = Address(0xFFFF_0000_0000 + (198 << 24 | 18 << 16 | rng.getrandbits(16)))
            connection = _copy(row.request.connection)
            who = rng.choice(ORIGINS), rng.choice(JARS), rng.choice((KNOWN, NEW))
            before: Request | None = None
            for _ in range(OF_A_CONNECTION):
                request = _request(row.request, client, rng)
                request.connection = connection
                request.origin, request.jar, request.visitor = who
                if before is not None:
                    request.take_after(before)
                yield f"{row.of}, first" if before is None else row.of, request
                before = request


def _request(like: Request, client: Address, rng: random.Random) -> Request:
    target = f"/{rng.choice(SECTIONS)}/{rng.getrandbits(24):x}"
    if rng.random() < 0.3:
        target += f"?page={rng.randint(1, 90)}&ref={rng.choice('abc')}"
    request = Request(client, like.method, like.scheme, like.host, target.encode(), like.headers, like.http_version)
    request.robots = ROBOTS.judge_request(request)
    return request


def _copy(facts: ConnectionFacts | None) -> ConnectionFacts | None:
    """The facts of a connection of its own, of which nothing was judged yet."""
    if facts is None:
        return None
    made = connection_facts(facts.hello)
    for name in _OBSERVED:
        setattr(made, name, getattr(facts, name))
    return made


def _empty() -> int:
    start = thread_time_ns()
    return thread_time_ns() - start


def main() -> None:
    preset = RulesPreset(sys.argv[1]) if len(sys.argv) > 1 else RulesPreset.STANDARD
    loaded = load_policy(BUNDLED_RULES, preset=preset)
    if loaded.policy is None:
        sys.exit(str(loaded.problems))
    policy = compile_policy(loaded.policy, secret=b"bench")
    rows = tuple(recorded())
    store = MemoryStore()
    decided(policy, store, rows, 1)
    gc.collect()
    gc.disable()
    times = decided(policy, store, rows, 2)
    gc.enable()
    floor = min(_empty() for _ in range(1000))
    print(f"{'of':<20} {'decisions':>10} {'p50 us':>8} {'p99 us':>8} {'mean us':>8}")
    for name, found in [*sorted(times.items()), ("all", [each for group in times.values() for each in group])]:
        cuts = quantiles([max(0, each - floor) / 1000 for each in found], n=100)
        print(f"{name:<20} {len(found):>10} {cuts[49]:>8.2f} {cuts[98]:>8.2f} {sum(found) / len(found) / 1000:>8.2f}")


if __name__ == "__main__":
    main()
