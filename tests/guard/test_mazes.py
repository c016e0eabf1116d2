"""Mazes through the guard: who is led into one, that its pages lead on and are always the same, and where the budget ends."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest

from proxyguard.core.address import Address
from proxyguard.core.decision import Reject
from proxyguard.core.jar import Jar
from proxyguard.core.maze_budget import MazeBudget
from proxyguard.core.origin import Origin
from proxyguard.core.request import Request
from proxyguard.core.robots import RobotsVerdict, RobotsWord
from proxyguard.core.settings import RefusalPage
from proxyguard.guard.canaries import Canaries
from proxyguard.guard.guard import Guard
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.guard.mazes import Mazes
from proxyguard.http.maze_page import LINKS, WORDS
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.load import load_policy
from proxyguard.policy.sites import HostTable, Policies
from proxyguard.telemetry.metrics import Metrics

RULES = """
name: lost
account: {key: cookie.session, class_header: x-account-class}
rules:
  - name: lost
    when: {user_agent: {word: [curl, bot]}}
    action: maze
"""
BUDGET = MazeBudget(pages=60, shares=6, canary_domain="people.invalid")
NOW = 1_800_000_000.0


class Rig:
    """A guard, its mazes, and a clock."""

    def __init__(self, folder: Path, budget: MazeBudget = BUDGET) -> None:
        (folder / "10.yaml").write_text(RULES)
        policy = load_policy(folder).policy
        assert policy is not None
        self.now = NOW
        self.metrics = Metrics()
        page = RefusalPage(contact="owner@example.org & co")
        self.mazes = Mazes(budget, page, b"s", Canaries(b"s").token, self.metrics.bound_exceeded)
        policies = Policies("", HostTable(()), compile_policy(policy, secret=b"s"))
        self.guard = Guard(
            policies, MemoryStore(keys=1000, bans=1000), self.metrics, None,
            mazes=self.mazes, find_origin=lambda request: request.origin or Origin(),
            clock=lambda: self.now, wall=lambda now: now,
        )  # fmt: skip

    def check(self, request: Request) -> Ticket:
        ticket = self.guard.check(request)
        assert isinstance(ticket, Ticket)
        return ticket

    def page(self, target: str = "/profiles/17", client: str = "192.0.2.1", host: bytes = b"a") -> str:
        """The page for a request, without what says whose it is."""
        ticket = self.check(request_of(target, client, host=host))
        assert ticket.decision.name == "maze"
        assert ticket.forwarding is not None
        assert ticket.forwarding.answer is not None
        text = ticket.forwarding.answer.body.decode()
        assert ticket.reference in text
        return re.sub(r"[0-9a-f]{64}@people\.invalid", "CANARY", text.replace(ticket.reference, "REFERENCE"))


def request_of(
    target: str = "/profiles/17", client: str = "192.0.2.1", method: bytes = b"GET", host: bytes = b"a", **headers: str
) -> Request:
    given = {"User-Agent": "curl/8.5"} | {name.replace("_", "-"): value for name, value in headers.items()}
    fields = [(b"Host", host), *((name.encode(), value.encode()) for name, value in given.items())]
    return Request(Address.parse(client), method, b"https", host, target.encode(), tuple(fields))


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def _with_jar(*states: bytes) -> Request:
    request = request_of()
    request.jar = Jar("0102", states)
    return request


def _from(origin: Origin) -> Request:
    request = request_of()
    request.origin = origin
    return request


def _told_by_robots(word: RobotsWord, group: str, origin: Origin | None = None) -> Request:
    request = request_of()
    request.robots = RobotsVerdict(word, group)
    request.origin = origin
    return request


def _signed_in() -> Request:
    request = request_of()
    request.account = b"member"
    return request


FORGED = Origin(claim="googlebot", verified=False)

LOST = {
    "who reads": request_of(),
    "HEAD": request_of(method=b"HEAD"),
    "a jar without an asset": _with_jar(b"fresh"),
    "a forged bot": _from(FORGED),
    "whom robots.txt forbids it by name": _told_by_robots(RobotsWord.DISALLOWED, "otherbot"),
    "whom robots.txt lets in as anybody": _told_by_robots(RobotsWord.ALLOWED, "*"),
    "whom no group is about": _told_by_robots(RobotsWord.ALLOWED, ""),
    "a forged bot that robots.txt lets in": _told_by_robots(RobotsWord.ALLOWED, "googlebot", FORGED),
}
SPARED = {
    "who sends a form": request_of(method=b"POST"),
    "robots.txt": request_of("/robots.txt"),
    "credentials": request_of(Authorization="Basic YTpi"),
    "the signed-in": _signed_in(),
    "a jar that fetched an asset": _with_jar(b"proven"),
    "a jar of an earlier day": _with_jar(b"old"),
    "a verified bot": _from(Origin(identity="googlebot", claim="googlebot", verified=True)),
    "a bot whose claim is looked up": _from(Origin(claim="googlebot", verified=None)),
    "whom robots.txt lets in by name": _told_by_robots(RobotsWord.ALLOWED, "otherbot"),
}


@pytest.mark.parametrize("case", LOST)
def test_who_is_led_into_a_maze(rig: Rig, case: str) -> None:
    assert rig.check(LOST[case]).decision.name == "maze"


@pytest.mark.parametrize("case", SPARED)
def test_who_never_is(rig: Rig, case: str) -> None:
    assert rig.check(SPARED[case]).decision.name == "pass"


class Links(HTMLParser):
    """The links of a page, and whether each asks not to be followed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str | None, str | None]] = []
        self.robots: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "a":
            self.found.append((given.get("href"), given.get("rel")))
        if tag == "meta" and given.get("name") == "robots":
            self.robots.append(given.get("content"))


def test_a_page_is_the_same_whenever_it_is_asked_for_and_no_other_is_like_it(rig: Rig, tmp_path: Path) -> None:
    page = rig.page()
    rig.now += 86_400
    assert rig.page(client="2001:db8::1") == page
    assert Rig(tmp_path).page() == page  # another process with the same secret
    others = {rig.page("/profiles/18"), rig.page("/profiles/17?page=2"), rig.page(host=b"b")}
    assert len(others | {page}) == 4


def test_pages_lead_on_without_end_and_ask_not_to_be_indexed(tmp_path: Path) -> None:
    rig = Rig(tmp_path, MazeBudget(shares=1))
    seen: set[str] = set()
    waiting = ["/profiles/17?tab=1"]
    for _ in range(200):
        at = waiting.pop(0)
        links = Links(rig.page(at))
        assert links.robots == ["noindex, nofollow"]
        assert {rel for _, rel in links.found} == {"nofollow"}
        found = {urljoin(f"https://a{at}", href or "").removeprefix("https://a") for href, _ in links.found}
        assert all(path.startswith("/profiles/") for path in found)
        assert len(found - seen) == LINKS
        seen |= found
        waiting += sorted(found)


def test_an_answer_is_kept_by_nobody_and_says_what_it_is(rig: Rig) -> None:
    ticket = rig.check(request_of(Accept_Language="de", Referer="https://a/<script>"))
    assert ticket.forwarding is not None
    answer = ticket.forwarding.answer
    assert answer is not None
    assert (answer.status, dict(answer.headers)) == (200, {
        b"Content-Type": b"text/html; charset=utf-8", b"Cache-Control": b"no-store", b"X-Robots-Tag": b"noindex, nofollow",
    })  # fmt: skip
    text = answer.body.decode()
    assert "A program made this page for programs." in text
    assert "Wenn Sie ein Mensch sind" in text
    assert "owner@example.org &amp; co" in text
    assert "script" not in text


def test_nothing_of_a_client_stands_on_a_page(rig: Rig) -> None:
    target = "/<b>/\"x'/..%2f?q=<script>alert(1)</script>"
    text = rig.page(target)
    assert not {"alert", "%2f", "<b>", "x'"} & set(re.findall(r"alert|%2f|<b>|x'", text))


def test_a_client_has_its_share_and_all_have_the_budget(rig: Rig) -> None:
    of_one = [rig.check(request_of(f"/{number}")).decision for number in range(12)]
    assert [decision.name for decision in of_one] == ["maze"] * 10 + ["reject"] * 2
    assert of_one[-1].rule == "lost"
    assert of_one[-1].action == Reject()
    names = Counter(rig.check(request_of(f"/{n}", f"198.51.100.{n % 9}")).decision.name for n in range(80))
    assert names == {"maze": 50, "reject": 30}
    assert rig.metrics.bounds == {"maze_pages": 32}
    rig.now += 60
    assert rig.page() != ""


@pytest.mark.parametrize(
    ("budget", "bound"), [(replace(BUDGET, page_bytes=2000), "maze_bytes"), (replace(BUDGET, page_seconds=1e-9), "maze_cpu")]
)
def test_bytes_and_processor_time_are_bounded_as_well(tmp_path: Path, budget: MazeBudget, bound: str) -> None:
    rig = Rig(tmp_path, replace(budget, shares=1))
    assert [rig.check(request_of()).decision.name for _ in range(2)] == ["maze", "reject"]
    assert rig.metrics.bounds == {bound: 1}


def test_nothing_is_kept_of_clients_beyond_the_budget(tmp_path: Path) -> None:
    rig = Rig(tmp_path, MazeBudget(pages=50, shares=1))
    for number in range(1000):
        rig.check(request_of("/", f"10.0.{number // 250}.{number % 250}"))
    assert len(rig.mazes._by_client) == 50


def test_what_mazes_took_is_counted(rig: Rig) -> None:
    ticket = rig.check(request_of())
    assert ticket.forwarding is not None
    assert ticket.forwarding.answer is not None
    size = len(ticket.forwarding.answer.body)
    rig.guard.settle(ticket, Served(200, size, 0, None, 5.0))
    counts = rig.metrics
    counts.mazes = rig.mazes.spent
    shown = {name: samples[0][2] for name, _, _, samples in counts.snapshot() if name.startswith("maze_")}
    assert shown.pop("maze_cpu_seconds_total") > 0
    assert shown == {"maze_pages_total": 1, "maze_bytes_total": size, "maze_held_seconds_total": 5.0}
    assert counts.refused_bytes == size


def test_every_value_of_a_byte_has_a_word_of_its_own() -> None:
    assert len(set(WORDS)) == 256
    assert all(re.fullmatch(r"[a-z]+", word) for word in WORDS)


def test_without_mazes_the_rule_is_a_reject(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.guard._mazes = None
    assert rig.check(request_of()).decision.name == "reject"


def test_mazes_of_one_secret_do_not_tell_those_of_another() -> None:
    pages = set()
    for secret in (b"s", b"t"):
        mazes = Mazes(MazeBudget(), RefusalPage(), secret, None, print)
        answer = mazes.answer(request_of(), "client", "lost", "0" * 16, NOW, NOW)
        assert answer is not None
        pages.add(answer.body)
    assert len(pages) == 2
