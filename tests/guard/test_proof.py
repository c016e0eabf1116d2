"""Jars, proof and cold items through the guard: who is sent for a jar, who is let on, and what is counted by whom."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.core.address import Address, Prefixes
from proxyguard.core.decision import Mode
from proxyguard.core.jar_settings import Items, JarCookie
from proxyguard.core.privacy import Privacy
from proxyguard.core.request import Request
from proxyguard.guard.disclosure import Disclosure
from proxyguard.guard.guard import Guard
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.guard.jars import Jars
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.load import load_policy
from proxyguard.policy.sites import HostTable, Policies
from proxyguard.policy.testing.runner import run_tests
from proxyguard.telemetry.discretion import Discretion
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.talkers import Talkers

RULES = """
name: disclosure
items:
  profiles: {path: /profiles/*, id: path_segment.2}
  posts: {path: /post, id: query.id}
rules:
  - name: assets
    when: {path: {suffix: .css}}
    action: {jar: asset}
  - name: pages
    when: {path: {not: {prefix: [/api/, /feed]}}}
    action: jar
  - name: first-page
    why: A browser follows without showing anything.
    when: {heat: cold}
    action: prove
  - name: cold-quota
    when: {heat: cold, jar: {not: none}}
    limit: {rate: 3/day, per: [jar], count: {distinct: item}}
    action: reject
  - name: cold-without-jar
    when: {heat: cold, jar: none}
    limit: {rate: 1/hour, per: [network]}
    action: {reject: {status: 429}}
  - name: one-post
    when: {item: posts}
    limit: {rate: 2/hour, per: [item]}
    action: reject
tests:
  - {request: {path: /profiles/1}, expect: prove by first-page}
  - {request: {path: /profiles/1, jar: asked}, expect: pass by default}
  - {request: {path: /profiles/1, jar: asked}, repeat: 2, expect: reject by cold-without-jar}
  - {request: {path: /profiles/1, jar: fresh}, repeat: 9, expect: pass by default}
  - {request: {path: /profiles/1, heat: hot}, repeat: 9, expect: pass by default}
  - {request: {path: /profiles/1, method: POST}, expect: pass by default}
  - {request: {path: /profiles/1, headers: {Authorization: Bearer x}}, expect: pass by default}
  - {request: {path: /feed.xml}, expect: pass by default}
"""


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    (tmp_path / "10.yaml").write_text(RULES)
    policy = load_policy(tmp_path).policy
    assert policy is not None
    assert run_tests(policy) == ()
    compiled = compile_policy(policy, mode=Mode.ENFORCE, secret=b"s")
    jars = Jars(JarCookie(), b"s", Prefixes(), lambda now: now)
    policies = Policies("", HostTable(()), compiled)
    store = MemoryStore(keys=1000, bans=1000)
    clock = [1_800_000_000.0]
    talkers = Talkers(Discretion(Privacy(), b"key"), clock=lambda: clock[0])
    return Guard(
        policies, store, Metrics(), None, jars=jars, disclosure=Disclosure(Items()), clock=lambda: clock[0], wall=lambda now: now,
        talkers=talkers,
    )  # fmt: skip


class Browser:
    """Keeps the cookie that it is given, if it keeps any, and goes where it is sent."""

    def __init__(self, guard: Guard, client: str, *, keeps: bool = True) -> None:
        self.guard = guard
        self.client = client
        self.keeps = keeps
        self.cookie = b""
        self.redirects = 0

    def get(self, target: str, *, status: int = 200, **headers: str) -> str:
        """The name of the last decision."""
        for _ in range(3):
            ticket = self.ask(target, **headers)
            served = 303 if ticket.decision.name == "prove" else status if ticket.decision.forwards else 429
            self.guard.settle(ticket, Served(served, upstream_seconds=0.01 if ticket.decision.forwards else None))
            if ticket.decision.name != "prove":
                return ticket.decision.name
            self.redirects += 1
        return "a loop"

    def ask(self, target: str, **headers: str) -> Ticket:
        fields = [(b"Host", b"a"), (b"User-Agent", b"x"), *((n.encode(), v.encode()) for n, v in headers.items())]
        if self.cookie:
            fields.append((b"Cookie", self.cookie))
        request = Request(Address.parse(self.client), b"GET", b"https", b"a", target.encode(), tuple(fields))
        ticket = self.guard.check(request)
        assert isinstance(ticket, Ticket)
        for name, value in ticket.forwarding.add if ticket.forwarding is not None else ():
            if name == b"Set-Cookie" and self.keeps:
                self.cookie = value.partition(b";")[0]
        return ticket


def test_a_browser_is_sent_once_and_then_reads_its_quota_of_cold_items(guard: Guard) -> None:
    browser = Browser(guard, "192.0.2.1")
    assert [browser.get(f"/profiles/{at}") for at in range(5)] == ["pass"] * 3 + ["reject"] * 2
    assert browser.get("/profiles/1") == "pass"
    assert browser.redirects == 1


def test_a_browser_that_came_by_the_front_page_is_not_sent_at_all(guard: Guard) -> None:
    browser = Browser(guard, "192.0.2.1")
    assert browser.get("/") == "pass"
    assert browser.get("/profiles/1") == "pass"
    assert browser.redirects == 0


def test_who_keeps_no_cookie_is_let_on_within_the_budget_of_its_network(guard: Guard) -> None:
    one, neighbour, other = (Browser(guard, client, keeps=False) for client in ("192.0.2.1", "192.0.2.2", "198.51.100.1"))
    assert [each.get("/profiles/1") for each in (one, neighbour, other)] == ["pass", "reject", "pass"]
    assert [each.redirects for each in (one, neighbour, other)] == [1, 1, 1]


def test_what_is_often_read_is_free_and_robots_that_are_allowed_make_nothing_hot(guard: Guard) -> None:
    for at in range(8):
        assert Browser(guard, f"10.{at}.0.1").get("/profiles/7") == "pass"
    nobody = Browser(guard, "192.0.2.1", keeps=False)
    assert [nobody.get("/profiles/7") for _ in range(9)] == ["pass"] * 9
    assert nobody.redirects == 0


def test_all_spellings_of_an_item_are_one(guard: Guard) -> None:
    browser = Browser(guard, "192.0.2.1")
    assert browser.get("/") == "pass"
    targets = (
        "/profiles/1", "/profiles/1?x=1", "//profiles/1", "/profiles/%31", "/profiles/1/followers", "/a/../profiles/1",
        "/PROFILES/1", "/profiles/1/", "/profiles;x/1;y", "/profiles/1.json",
    )  # fmt: skip
    assert {browser.get(target) for target in (*targets, "/profiles/2", "/profiles/3")} == {"pass"}
    assert browser.get("/profiles/4") == "reject"


def test_what_the_site_does_not_have_heats_nothing(guard: Guard) -> None:
    for at in range(9):
        Browser(guard, f"10.{at}.0.1").get("/profiles/7", status=404)
    assert Browser(guard, "192.0.2.1").ask("/profiles/7").decision.name == "prove"


def test_requests_with_credentials_get_no_jar(guard: Guard) -> None:
    assert Browser(guard, "192.0.2.1").ask("/", Authorization="Bearer x").forwarding is None


def test_the_way_to_a_jar_names_no_other_host() -> None:
    from proxyguard.http.responses import to_itself  # noqa: PLC0415 - beside what it is about

    for target, location in (
        (b"/a?b", b"/a?b"),
        (b"//evil.example/a", b"/.//evil.example/a"),
        (b"/\\evil.example", b"/./\\evil.example"),
        (b"*", b"/"),
    ):
        assert dict(to_itself(target, ()).headers)[b"Location"] == location


@pytest.mark.parametrize(
    ("target", "link"),
    [
        (b"/a?b=1&c=%20", b"/a?b=1&amp;c=%20"),
        (b'/"><script>alert(1)</script>', b"/&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"),
        (b"/'x", b"/&#x27;x"),
        (b"/gr\xc3\xbcn\xff", b"/gr%C3%BCn%FF"),
        (b"//evil.example/a", b"/.//evil.example/a"),
        (b"*", b"/"),
    ],
)
def test_its_page_has_a_link_for_who_follows_no_redirect(target: bytes, link: bytes) -> None:
    from proxyguard.http.responses import to_itself  # noqa: PLC0415 - beside what it is about

    assert b'<a href="%b">' % link in to_itself(target, ()).body


def test_junk_beside_an_id_gives_no_fresh_counter(guard: Guard) -> None:
    """A site that reads the first of two ids serves the same post each time."""
    browser = Browser(guard, "192.0.2.1")
    browser.get("/", Accept="text/html")
    asked = [browser.get(f"/post?id=7&id={junk}", Authorization="Bearer x") for junk in range(6)]
    assert asked == ["pass", "pass", *["reject"] * 4]
    assert Browser(guard, "192.0.2.2").get("/post?id=7", Authorization="Bearer x") == "pass"


def test_who_is_sent_for_a_jar_counts_as_nobody_refused(guard: Guard) -> None:
    person = Browser(guard, "192.0.2.1")
    person.get("/profiles/1")
    assert person.redirects == 1
    assert guard._talkers is not None
    window = guard._talkers.window("minute")
    assert (window["requests"], window["refused"]) == (2, 0)
