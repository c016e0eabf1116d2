"""Both clocks of the range: the guard on a virtual clock and the real front on real sockets decide the same for one schedule.

What differs is explained: on loopback a front knows no origin and gets no cookie of an earlier day, and over plain HTTP no hello,
so the virtual clock is shown the same. Over TLS clients begin with the hellos that were recorded of their software. Time passes
differently, so that a limit which is refilled meanwhile may let another request through; that is asserted as a bound.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxyguard.cli.range_guard import GuardFirewall
from proxyguard.core.request import Request
from proxyguard.policy.load import load_policy
from proxyguard.tools.range.adversaries.ai_crawlers import AI_CRAWLERS
from proxyguard.tools.range.adversaries.naive_scripts import NAIVE_SCRIPTS
from proxyguard.tools.range.adversaries.scrapy import SCRAPY, SCRAPY_AS_BROWSER
from proxyguard.tools.range.adversaries.sign_up_floods import SIGN_UP_FLOOD
from proxyguard.tools.range.browsers import SYSTEMS, Destination, chrome, firefox, safari
from proxyguard.tools.range.firewall import Verdict
from proxyguard.tools.range.networks import residential
from proxyguard.tools.range.people import load_assets
from proxyguard.tools.range.run import coming
from proxyguard.tools.range.scenarios import Scenario
from proxyguard.tools.range.site_server import SiteServer
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Fetch, Presence, Session
from proxyguard.tools.range.virtual import VirtualRun
from proxyguard.tools.range.visitor import Visitor
from proxyguard.tools.range.wire import WireRun, client_tls
from tests.end_to_end.processes import RULES, proxyguard
from tests.ports import free_port

SEED = 3
SECONDS = 8.0
PEOPLE = 6
LIMITED = "sign-up-flood"
BROWSERS = (chrome(143, *SYSTEMS[0][:2]), firefox(145, SYSTEMS[2][0]), safari(b"26.1"))

Outcome = tuple[str, bytes, bytes, bool, int]
"""Address, method, target, whether the site answered, and the status of an answer that was not its own."""


def _people(span: Presence, draw: Draw) -> Iterator[Arrival]:
    for index in range(PEOPLE):
        random = draw.stream(index)
        software = BROWSERS[index % len(BROWSERS)]
        visitor = Visitor(residential(random, software.speaks, index), software)

        def visit(visitor: Visitor = visitor, index: int = index) -> Session:
            for number in range(4):
                yield from visitor.get(0.2 * number, b"/profiles/%d" % (1 + index * 10 + number))
                if not number:
                    yield from load_assets(visitor, draw.stream(f"assets {index}"), 5, 0.2)
            yield from visitor.get(0.1, b"/api/check-username?name=ada%d" % index, Destination.FETCH)

        yield Arrival(span.begin + 0.1 * index, visit())


READERS = Cohort(name="readers", kind=CohortKind.LEGITIMATE, about="people in a hurry", source="this test", arrivals=_people)


class AsOnLoopback(GuardFirewall):
    """The guard as it decides behind a socket of loopback: no origin, no TLS, no jar of an earlier day."""

    def check(self, request: Request, now: float) -> Verdict:
        plain = Request(
            request.client, request.method, b"http", request.host, request.target, request.headers, request.http_version
        )
        return super().check(plain, now)


def scenario() -> Scenario:
    whole = Presence(0.0, SECONDS)
    some = Presence(0.0, SECONDS, 0.01)
    return Scenario(
        "clocks", "a test",
        ((READERS, whole), (NAIVE_SCRIPTS, some), (AI_CRAWLERS, some), (SCRAPY, some), (SIGN_UP_FLOOD, whole)), SECONDS,
    )  # fmt: skip


def recorder(into: dict[str, Counter[Outcome]]) -> Callable[[Fetch, Verdict, float], None]:
    """Counts outcomes by cohort: the network of an address tells which it is."""

    def told(fetch: Fetch, verdict: Verdict, _: float) -> None:
        name = LIMITED if fetch.target == b"/signup" else fetch.source.owner.kind
        status = 0 if verdict.forwards else verdict.status
        into[name][fetch.source.address.text, fetch.method, fetch.target, verdict.forwards, status] += 1

    return told


def virtual() -> dict[str, Counter[Outcome]]:
    loaded = load_policy(RULES)
    assert loaded.policy is not None
    outcomes: dict[str, Counter[Outcome]] = defaultdict(Counter)
    VirtualRun(coming(scenario(), SEED), AsOnLoopback(loaded.policy), (), SECONDS).run(told=recorder(outcomes))
    return outcomes


def wired(
    port: int, site_port: int, tls: ssl.SSLContext | None = None, runs: Scenario | None = None
) -> tuple[dict[str, Counter[Outcome]], WireRun]:
    outcomes: dict[str, Counter[Outcome]] = defaultdict(Counter)

    async def run() -> WireRun:
        site = SiteServer(site_port)
        cohorts = coming(scenario() if runs is None else runs, SEED)
        done = WireRun(cohorts, "127.0.0.1", port, 0.0, SECONDS + 12.0, tls, speaks=tls is not None)
        await done.run(recorder(outcomes))
        site.stop()
        return done

    return outcomes, asyncio.run(run())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Counter[Outcome]], dict[str, Counter[Outcome]], WireRun]:
    site_port = free_port()
    with proxyguard(tmp_path_factory.mktemp("clocks"), f"http://127.0.0.1:{site_port}", rules=RULES) as running:
        outcomes, run = wired(running.port, site_port)
    return virtual(), outcomes, run


def test_the_front_and_the_virtual_clock_decide_the_same_request_by_request(
    both: tuple[dict[str, Counter[Outcome]], dict[str, Counter[Outcome]], WireRun],
) -> None:
    here, there, run = both
    assert run.failed == 0
    assert set(here) == set(there)
    readers = here["residential"]
    assert there["residential"] == readers
    assert sum(count for outcome, count in readers.items() if outcome[3]) == PEOPLE * (4 + 5 + 1)
    assert {outcome[4] for outcome in readers} == {0, 303}
    ours, theirs = decisions(here["hosting"]), decisions(there["hosting"])
    assert len(ours.keys() & theirs.keys()) > 50
    assert {key: theirs[key] for key in ours.keys() & theirs.keys()} == {key: ours[key] for key in ours.keys() & theirs.keys()}
    assert {each for found in theirs.values() for each in found} == {(False, 403)}


def decisions(outcomes: Counter[Outcome]) -> dict[tuple[str, bytes, bytes], set[tuple[bool, int]]]:
    """What was decided of each request, however often it was made: scrapers ask again until the run ends."""
    found: dict[tuple[str, bytes, bytes], set[tuple[bool, int]]] = defaultdict(set)
    for outcome in outcomes:
        found[outcome[:3]].add(outcome[3:])
    return found


def test_of_a_limit_that_refills_the_two_differ_by_what_time_gives(
    both: tuple[dict[str, Counter[Outcome]], dict[str, Counter[Outcome]], WireRun],
) -> None:
    """Five at once and one in six seconds for each of four addresses; a slow machine gives some of those more."""
    here, there, _ = both
    passed = [sum(count for outcome, count in each[LIMITED].items() if outcome[3]) for each in (here, there)]
    assert passed[0] in range(20, 29)
    assert passed[1] in range(20, 41)
    refused = [sum(count for outcome, count in each[LIMITED].items() if not outcome[3]) for each in (here, there)]
    assert min(refused) >= 20


KINDS = {"chromium": 409, "firefox": 410, "safari": 418, "python": 451, "go": 422, "curl": 423}
LIES = 402
CONDITIONS = {"contradiction: hello": LIES} | {f"client_kind: {kind}": status for kind, status in KINDS.items()}
BY_KIND = "name: kinds\nrules:\n" + "".join(
    f"  - {{name: rule-{status}, when: {{{condition}}}, action: {{reject: {{status: {status}}}}}}}\n"
    for condition, status in CONDITIONS.items()
)
"""Rules that answer with what a connection speaks like, and whether that contradicts the user agent."""


def over_tls() -> Scenario:
    some = Presence(0.0, SECONDS, 0.01)
    return Scenario(
        "clocks over TLS", "a test",
        ((READERS, Presence(0.0, SECONDS)), (NAIVE_SCRIPTS, some), (SCRAPY, some), (SCRAPY_AS_BROWSER, some)), SECONDS,
    )  # fmt: skip


def test_over_tls_a_front_sees_of_each_client_what_the_virtual_clock_shows_the_rules(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "kinds.yaml").write_text(BY_KIND)
    site_port = free_port()
    with proxyguard(tmp_path, f"http://127.0.0.1:{site_port}", rules=rules, alpn="http/1.1") as running:
        there, run = wired(running.port, site_port, client_tls(), over_tls())
    loaded = load_policy(rules)
    assert loaded.policy is not None
    here: dict[str, Counter[Outcome]] = defaultdict(Counter)
    VirtualRun(coming(over_tls(), SEED), GuardFirewall(loaded.policy), (), SECONDS).run(told=recorder(here))
    assert run.failed == 0
    assert there["residential"] == here["residential"]
    assert {status for *_, status in there["residential"]} == {KINDS["chromium"], KINDS["firefox"], KINDS["safari"]}
    ours, theirs = decisions(here["hosting"]), decisions(there["hosting"])
    assert {key: theirs[key] for key in ours.keys() & theirs.keys()} == {key: ours[key] for key in ours.keys() & theirs.keys()}
    assert {status for found in theirs.values() for _, status in found} == {
        KINDS["go"], KINDS["curl"], KINDS["python"], LIES
    }  # fmt: skip
