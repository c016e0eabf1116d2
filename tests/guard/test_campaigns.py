"""Alarms about campaigns: what sets them off, what does not, and that they stay bounded and say nothing of people."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from proxyguard.core.address import DEFAULT_PREFIXES, Address
from proxyguard.core.decision import ALLOW, PASS_BY_DEFAULT, Decision
from proxyguard.core.item import COLD, Item
from proxyguard.core.jar import FRESH, NO_JAR, OLD, PROVEN, Jar
from proxyguard.core.number64 import Number64
from proxyguard.core.origin import Origin
from proxyguard.core.request import Request
from proxyguard.guard.campaigns import CLIENTS, MAX_FAMILIES, NEIGHBOURS, STANDINGS, Campaigns, standing_of
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.limits.hourly import HOUR_SECONDS, HOURS
from proxyguard.limits.learning import Learning

SERVED = Served(200, 100, 0, 0.01, 0.01)
OWNER = Origin(asn=64500, owner="Example Net")


def _number(ordinal: int) -> Number64:
    return Number64.of(ordinal * 0x9E3779B97F4A7C15 % 2**64)


class Bench:
    """A site's campaigns on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.campaigns = Campaigns(b"x", DEFAULT_PREFIXES, Learning(float), float)

    def read(
        self, client: int, ordinal: int, *, jar: Jar = NO_JAR, family: bytes = b"people", decision: Decision = PASS_BY_DEFAULT
    ) -> None:
        request = Request(
            Address.parse(f"10.{client >> 16}.{client >> 8 & 255}.{client & 255}"), b"GET", b"https", b"a", b"/", ()
        )
        request.item, request.jar, request.origin = Item(family, _number(ordinal), ordinal, COLD), jar, OWNER
        ticket = Ticket(request, decision, "r", 0.0)
        self.campaigns.observe(request.item, ticket, SERVED, self.now)

    def calm(self, days: int = 3) -> None:
        """Days of people: 104 reads an hour of 40 items, ten of them by strangers."""
        for hour in range(days * HOURS):
            self.now = hour * HOUR_SECONDS
            for at in range(104):
                self.read(at, at % 40 * 7, jar=NO_JAR if at < 10 else Jar("j", (PROVEN,)))
        self.now = days * HOURS * HOUR_SECONDS

    def on(self) -> dict[str, int]:
        return {each["name"]: each["count"] for each in self.campaigns.as_data(self.now) if each["on"]}


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.calm()
    return bench


def test_a_day_like_others_has_no_alarm(bench: Bench) -> None:
    for at in range(150):
        bench.read(at, at % 40 * 7, jar=NO_JAR if at < 10 else Jar("j", (PROVEN,)))
    assert bench.campaigns.as_data(bench.now) == []


def test_a_crowd_that_reads_as_people_do_is_none(bench: Bench) -> None:
    for at in range(3_000):
        bench.read(at, at % 40 * 7, jar=NO_JAR if at % 15 == 0 else Jar("j", (PROVEN,)))
    assert bench.on() == {}


def test_before_three_days_there_is_no_alarm() -> None:
    bench = Bench()
    bench.calm(2)
    for at in range(2_000):
        bench.read(at, at)
    assert bench.on() == {}


def test_a_swarm_that_enumerates_sets_off_all_four(bench: Bench) -> None:
    for at in range(600):
        bench.read(1_000 + at % 20, at // 20 + at % 20 * 1_000)  # twenty clients, each along a street of its own
    for at in range(600):
        bench.read(5_000 + at, 50_000 + at)  # each id by another client, beside the one before
    assert bench.on().keys() == {"people:unproven", "people:sequence", "people:neighbours", "people:once"}


def test_a_shuffled_swarm_is_seen_by_what_it_is_and_what_it_reads(bench: Bench) -> None:
    for at in range(1_000):
        bench.read(1_000 + at, at * 7_919 % 50_000)
    assert bench.on().keys() == {"people:unproven", "people:once"}


def test_a_swarm_with_everything_right_leaves_only_what_it_reads(bench: Bench) -> None:
    for at in range(1_000):
        bench.read(1_000 + at, at * 7_919 % 50_000, jar=Jar("j", (PROVEN,)))
    assert bench.on().keys() == {"people:once"}


def test_an_alarm_ends_and_its_evidence_stays_for_a_day(bench: Bench) -> None:
    for at in range(1_000):
        bench.read(1_000 + at, at * 7_919 % 50_000)
    assert bench.on() == {"people:unproven": 1_000, "people:once": 1_000}
    bench.now += HOUR_SECONDS
    assert bench.on() == {}
    found = bench.campaigns.as_data(bench.now)
    assert {each["name"] for each in found} == {"people:unproven", "people:once"}
    assert found[0]["cells"] == [[64500, "Example Net", "unknown", 1_000]]
    bench.now += 24 * HOUR_SECONDS
    assert bench.campaigns.as_data(bench.now) == []


def test_an_attacker_who_stays_a_day_does_not_make_itself_usual(bench: Bench) -> None:
    for hour in range(HOURS):
        for at in range(1_000):
            bench.read(1_000 + at, (hour * 1_000 + at) * 7_919 % 50_000)
        assert "people:unproven" in bench.on(), hour
        bench.now += HOUR_SECONDS
    for at in range(1_000):
        bench.read(1_000 + at, at * 7_919 % 50_000)
    assert "people:unproven" in bench.on()


def test_what_allow_rules_let_through_is_nobodys_campaign(bench: Bench) -> None:
    for at in range(1_000):
        bench.read(1, at, decision=Decision(action=ALLOW, rule="engines"))
    assert bench.on() == {}


def test_nothing_of_a_client_is_kept(bench: Bench) -> None:
    for at in range(1_000):
        bench.read(1_000 + at, at)
    text = json.dumps(bench.campaigns.as_data(bench.now))
    assert "10.0." not in text


@pytest.mark.parametrize("families", [1, 40])
def test_tables_are_bounded_whatever_clients_ask_for(families: int) -> None:
    bench = Bench()
    for at in range(NEIGHBOURS + 2_000):
        bench.read(at, at * 3 + 10**16, family=b"family%d" % (at % families))
    campaigns = bench.campaigns
    assert len(campaigns._clients) <= CLIENTS
    assert sum(map(len, campaigns._near)) <= NEIGHBOURS
    assert len(campaigns._families) == min(families, MAX_FAMILIES)


def _asked_by(**attributes: object) -> Request:
    request = Request(Address.parse("192.0.2.1"), b"GET", b"https", b"a", b"/", ())
    for name, value in attributes.items():
        setattr(request, name, value)
    return request


def test_what_a_client_has_to_show_is_the_most_of_it() -> None:
    shown: Iterable[Request] = (
        _asked_by(account_key="k", jar=Jar("j", (FRESH,))),
        _asked_by(origin=Origin(identity="googlebot", verified=True)),
        _asked_by(visitor=b"known"),
        _asked_by(jar=Jar("j", (PROVEN,))),
        _asked_by(jar=Jar("j", (FRESH,)), visitor=b"new"),
        _asked_by(),
    )
    assert tuple(standing_of(each) for each in shown) == STANDINGS
    assert standing_of(_asked_by(jar=Jar("j", (OLD,)))) == "known"
