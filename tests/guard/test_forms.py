"""Guarded forms: what a token shows, what forges it, who uses it how often, and what the guard makes of posts and answers."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable
from pathlib import Path

import pytest

from proxyguard.adapters.mitmproxy.forwarded_fields import with_added
from proxyguard.core.address import Address, Prefixes
from proxyguard.core.decision import Mode
from proxyguard.core.request import Headers, Request
from proxyguard.guard.forms import Forms
from proxyguard.guard.guard import Guard
from proxyguard.guard.interfaces import Forwarding, Ticket
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import Outcome, StoreUnavailable
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.load import load_policy
from proxyguard.policy.sites import HostTable, Policies
from proxyguard.policy.testing.runner import run_tests
from proxyguard.telemetry.metrics import Metrics
from tests.late_store import LateStore

RULES = """
name: sign-up
form_guard:
  sign-up: {read: /signup, post: [/signup, /api/signup/*], after: 2s, within: 1h}
  log-in: {read: ['/', /login], post: /login, after: 0s, within: 1h, uses: 2}
rules:
  - {name: unread-form, when: {form: {not: good}}, action: reject}
tests:
  - {request: {path: /signup}, expect: pass by default}
  - {request: {path: /signup, form: used}, expect: pass by default}
  - {request: {path: /signup, method: POST}, expect: reject by unread-form}
  - {request: {path: /signup, method: POST, form: good}, expect: pass by default}
  - {request: {path: /other, method: POST}, expect: pass by default}
"""
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HOUR = 3600.0
DAY = 24 * HOUR


class Site:
    """A guard with a clock of its own, and how requests fare with it."""

    def __init__(self, folder: Path, *, secret: bytes = b"s", store: object = None, rules: str = RULES) -> None:
        (folder / "10.yaml").write_text(rules)
        loaded = load_policy(folder)
        assert loaded.policy is not None, loaded.problems
        assert run_tests(loaded.policy) == ()
        self.now = 1_800_000_000.5
        self.store = MemoryStore(keys=1000, bans=1000) if store is None else store
        self.forms = Forms(secret, Prefixes(), lambda now: now)
        self.guard = Guard(
            Policies("", HostTable(()), compile_policy(loaded.policy, mode=Mode.ENFORCE, secret=secret)),
            self.store,  # type: ignore[arg-type]  # a double
            Metrics(), None, forms=self.forms, clock=lambda: self.now, wall=lambda now: now,
        )  # fmt: skip


class Browser:
    """Keeps the cookies that it is given, as long as it does nothing else with them."""

    def __init__(self, site: Site, client: str = "192.0.2.1", agent: str = FIREFOX, host: bytes = b"a.example") -> None:
        self.site, self.client, self.agent, self.host = site, client, agent, host
        self.cookies: dict[bytes, bytes] = {}
        self.state: tuple[bytes, ...] = ()

    def read(self, path: str = "/signup", method: str = "GET") -> str:
        return self.send(method, path)

    def post(self, path: str = "/signup", method: str = "POST") -> str:
        return self.send(method, path)

    def send(self, method: str, path: str) -> str:
        """The action, once all is awaited."""
        ticket = self.site.guard.check(self._request(method, path))
        if isinstance(ticket, Awaitable):
            ticket = asyncio.run(_awaited(ticket))
        self.state = () if ticket.request.form is None else ticket.request.form.states
        for name, value in () if ticket.forwarding is None else ticket.forwarding.add:
            assert name == b"Set-Cookie"
            assert ticket.forwarding is not None
            assert ticket.forwarding.is_personal
            cookie, _, text = value.partition(b"; ")[0].partition(b"=")
            assert value.endswith(b"; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure")
            self.cookies[cookie] = text
        return ticket.decision.name

    def _request(self, method: str, path: str) -> Request:
        headers: list[tuple[bytes, bytes]] = [(b"Host", self.host), (b"User-Agent", self.agent.encode())]
        if self.cookies:
            headers.append((b"Cookie", b"; ".join(b"%b=%b" % each for each in self.cookies.items())))
        return Request(Address.parse(self.client), method.encode(), b"https", self.host, path.encode(), tuple(headers))


LIMITED = """
name: sign-up
form_guard: {sign-up: {read: /signup, post: /signup, after: 2s, within: 1h}}
rules:
  - {name: one-a-day, when: {method: POST}, limit: {rate: 1/day, window: calendar, per: [client]}, action: reject}
tests:
  - {request: {path: /signup, method: POST}, repeat: 2, expect: reject by one-a-day}
"""


async def _awaited(ticket: Awaitable[Ticket]) -> Ticket:
    return await ticket


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def filled_in(site: Site, after: float = 2.0, **who: str) -> Browser:
    """A browser that read the form a while ago."""
    browser = Browser(site, **who)  # type: ignore[arg-type]  # the host stays what it is
    assert browser.read() == "pass"
    site.now += after
    return browser


def test_who_read_the_form_posts_it(site: Site) -> None:
    browser = filled_in(site)
    assert browser.post() == "pass"
    assert browser.state == (b"good",)


@pytest.mark.parametrize(
    ("after", "state"),
    [(0.0, b"early"), (1.99, b"early"), (2.0, b"good"), (HOUR, b"good"), (HOUR + 0.01, b"late"), (-60.0, b"early")],
)
def test_the_time_between_reading_and_posting_counts(site: Site, after: float, state: bytes) -> None:
    browser = filled_in(site, after)
    assert browser.post() == ("pass" if state == b"good" else "reject")
    assert browser.state == (state,)


def test_a_clock_that_is_set_back_locks_nobody_out_who_reads_the_form_again(site: Site) -> None:
    browser = filled_in(site, -2 * HOUR)
    assert browser.post() == "reject"
    assert browser.state == (b"none",)
    assert browser.read() == "pass"
    site.now += 2.0
    assert browser.post() == "pass"


def test_who_was_too_fast_goes_back_and_sends_it_again(site: Site) -> None:
    browser = filled_in(site, 1.0)
    assert browser.post() == "reject"
    site.now += 1.0
    assert browser.post() == "pass"


def test_who_never_read_it_is_refused_whatever_the_method(site: Site) -> None:
    for method in ("POST", "PUT", "post", "PATCH", "DELETE", "X"):
        browser = Browser(site)
        assert browser.post(method=method) == "reject"
        assert browser.state == (b"none",)
    assert Browser(site).post("/api/signup/name") == "reject"
    for method in ("HEAD", "OPTIONS"):
        browser = Browser(site)
        assert browser.read(method=method) == "pass"
        assert browser.cookies == {}


def test_a_token_is_good_for_one_post(site: Site) -> None:
    browser = filled_in(site)
    first = dict(browser.cookies)
    assert browser.post() == "pass"
    for after in (0.0, 10.0, HOUR - 13):
        site.now += after
        browser.cookies = dict(first)
        assert browser.post("/api/signup/x") == "reject"
        assert browser.state == (b"used",)
    site.now += 10.0
    browser.cookies = dict(first)
    assert browser.post() == "reject"
    assert browser.state == (b"late",)


def test_the_answer_to_a_post_brings_the_next_token_for_a_form_with_mistakes(site: Site) -> None:
    browser = filled_in(site)
    assert browser.post() == "pass"
    assert browser.post() == "reject"
    site.now += 2.0
    assert browser.post() == "pass"


def test_uses_say_how_many_posts_one_reading_is_good_for(site: Site) -> None:
    browser = Browser(site)
    assert browser.read("/login") == "pass"
    kept = dict(browser.cookies)
    results = []
    for _ in range(4):
        browser.cookies = dict(kept)
        results.append(browser.post("/login"))
        site.now += HOUR / 5
    assert results == ["pass", "pass", "reject", "reject"]


@pytest.mark.parametrize("other", [{"client": "198.51.100.1"}, {"agent": "curl/8"}, {"host": b"b.example"}])
def test_a_token_of_somebody_else_is_foreign(site: Site, other: dict[str, str]) -> None:
    thief = Browser(site, **other)  # type: ignore[arg-type]  # one of its arguments
    thief.cookies = filled_in(site).cookies
    for state in (b"foreign", b"used"):
        assert thief.post() == "reject"
        assert thief.state == (state,)


def test_a_thief_does_not_use_up_the_token_of_its_owner(site: Site) -> None:
    browser = filled_in(site)
    thief = Browser(site, client="198.51.100.1")
    thief.cookies = dict(browser.cookies)
    assert thief.post() == "reject"
    assert browser.post() == "pass"


def test_a_foreign_token_that_rules_let_pass_is_good_once_too(tmp_path: Path) -> None:
    site = Site(tmp_path, rules=RULES.replace("not: good", "not: [good, foreign]"))
    traveller = filled_in(site)
    traveller.client = "198.51.100.1"
    kept = dict(traveller.cookies)
    assert traveller.post() == "pass"
    traveller.cookies = kept
    assert traveller.post() == "reject"
    assert traveller.state == (b"used",)


def test_a_token_of_another_form_is_foreign(site: Site) -> None:
    browser = Browser(site)
    browser.read("/login")
    site.now += 2.0
    browser.cookies[b"pg-form-sign-up"] = browser.cookies[b"pg-form-log-in"]
    assert browser.post() == "reject"
    assert browser.state == (b"foreign",)


@pytest.mark.parametrize("at", range(36))
def test_no_byte_of_it_can_be_changed(site: Site, at: int) -> None:
    browser = filled_in(site)
    raw = bytearray(urlsafe_b64decode(browser.cookies[b"pg-form-sign-up"]))
    raw[at] ^= 1
    browser.cookies[b"pg-form-sign-up"] = urlsafe_b64encode(raw)
    assert browser.post() == "reject"
    assert browser.state == (b"none",)


@pytest.mark.parametrize("text", [b"", b"x", b"=" * 48, b"\xff" * 48, b"A" * 48, b"A" * 4000, b'"' + b"A" * 46 + b'"'])
def test_junk_is_no_token(site: Site, text: bytes) -> None:
    browser = Browser(site)
    browser.cookies[b"pg-form-sign-up"] = text
    assert browser.post() == "reject"
    assert browser.state == (b"none",)


def test_beside_junk_of_the_same_name_it_counts(site: Site) -> None:
    browser = filled_in(site)
    token = browser.cookies[b"pg-form-sign-up"]
    browser.cookies[b"pg-form-sign-up"] = b"junk; pg-form-sign-up=" + token
    assert browser.post() == "pass"
    browser.cookies[b"pg-form-sign-up"] = b"1; pg-form-sign-up=2; pg-form-sign-up=" + token
    assert browser.post() == "reject"


def test_another_secret_knows_none_of_them(site: Site, tmp_path: Path) -> None:
    browser = filled_in(site)
    (tmp_path / "other").mkdir()
    browser.site = Site(tmp_path / "other", secret=b"another")
    assert browser.post() == "reject"
    assert browser.state == (b"none",)


def test_instances_with_one_secret_and_one_store_use_a_token_once(site: Site, tmp_path: Path) -> None:
    browser = filled_in(site)
    kept = dict(browser.cookies)
    (tmp_path / "other").mkdir()
    other = Site(tmp_path / "other", store=site.store)
    other.now = site.now
    browser.site = other
    assert browser.post() == "pass"
    browser.site, browser.cookies = site, kept
    assert browser.post() == "reject"
    assert browser.state == (b"used",)


def test_a_second_tab_leaves_the_first_its_token(site: Site) -> None:
    browser = filled_in(site, 30.0)
    kept = dict(browser.cookies)
    assert browser.read() == "pass"
    assert browser.cookies == kept
    assert browser.post() == "pass"


def test_one_that_is_half_over_or_used_is_replaced(site: Site) -> None:
    browser = filled_in(site, HOUR / 2)
    old = dict(browser.cookies)
    browser.read()
    assert browser.cookies != old
    site.now += 2.0
    used = dict(browser.cookies)
    assert browser.post() == "pass"
    browser.cookies = dict(used)
    browser.read()
    assert browser.cookies != used


def test_sixty_people_of_one_office_sign_up_in_a_minute(site: Site) -> None:
    people = [Browser(site, client="192.0.2.9") for _ in range(60)]
    for person in people:
        assert person.read() == "pass"
        site.now += 1.0
    assert [person.post() for person in people[:-2]] == ["pass"] * 58
    site.now += 2.0
    assert [person.post() for person in people[-2:]] == ["pass"] * 2


def test_reading_in_bulk_fills_nothing(site: Site) -> None:
    assert isinstance(site.store, MemoryStore)
    for _ in range(50):
        browser = Browser(site)
        assert browser.read() == "pass"
        assert browser.read() == "pass"
    assert site.store.stats().keys == 0
    assert site.forms.given == 50


class Remote:
    """A store that answers later, or not at all."""

    def __init__(self, fault: Exception | None = None, *, at_once: bool = False) -> None:
        self.memory = MemoryStore(keys=100, bans=100)
        self.fault = fault
        self.at_once = at_once

    def charge(self, charges: object, keys: object, now: float) -> Awaitable[Outcome]:
        if self.fault is not None and self.at_once:
            raise self.fault

        async def later() -> Outcome:
            await asyncio.sleep(0)
            if self.fault is not None and charges:
                raise self.fault
            return self.memory.charge(charges, keys, now)  # type: ignore[arg-type]  # what the guard gave

        return later()


def test_a_store_elsewhere_is_asked(tmp_path: Path) -> None:
    site = Site(tmp_path, store=Remote())
    browser = filled_in(site)
    kept = dict(browser.cookies)
    assert browser.post() == "pass"
    browser.cookies = kept
    assert browser.post() == "reject"
    assert browser.state == (b"used",)


@pytest.mark.parametrize("at_once", [True, False])
def test_while_the_store_is_down_for_good_a_token_counts_as_used(tmp_path: Path, *, at_once: bool) -> None:
    store = Remote()
    site = Site(tmp_path, store=store)
    browser = filled_in(site)
    store.fault, store.at_once = StoreUnavailable("down"), at_once
    browser.post()
    assert browser.state == (b"used",)


def test_a_fault_of_ours_is_answered_by_the_failure_mode(tmp_path: Path) -> None:
    store = Remote()
    site = Site(tmp_path, store=store)
    browser = filled_in(site)
    store.fault = RuntimeError("bug")
    assert browser.post() == "pass"


@pytest.mark.parametrize(
    ("said", "becomes"),
    [(b"", b"private, no-cache"), (b"public, max-age=600", b"private, no-cache"), (b"private, No-Store", b"no-store")],
)
def test_no_cache_answers_with_the_page_unasked(said: bytes, becomes: bytes) -> None:
    fields: Headers = ((b"cache-control", said), (b"Expires", b"x"), (b"A", b"b")) if said else ((b"A", b"b"),)
    cookie = (b"Set-Cookie", b"pg-form-x=1")
    assert with_added(fields, Forwarding(add=(cookie,), sets_cookie=True, is_personal=True)) == (
        (b"A", b"b"), (b"Cache-Control", becomes), cookie,
    )  # fmt: skip


def test_a_post_is_counted_when_the_store_has_told_of_its_token(tmp_path: Path) -> None:
    """Not on the day when it came: whoever was counted meanwhile would begin anew."""
    site = Site(tmp_path, store=LateStore(), rules=LIMITED)
    midnight = (site.now // DAY + 1) * DAY
    site.now = midnight - 3
    slow, quick = filled_in(site), filled_in(site, 0.5)
    waiting = site.guard.check(slow._request("POST", "/signup"))
    assert isinstance(waiting, Awaitable)
    site.now = midnight + 1
    assert quick.post() == "pass"
    assert asyncio.run(_awaited(waiting)).decision.name == "reject"
    assert quick.post() == "reject"
