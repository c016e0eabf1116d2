"""Many people behind one address, for a working day; and one scraper behind many addresses, which count as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

import pytest

from proxyguard.core.address import Address
from proxyguard.tools.range.adversaries.one_address import GAP_SECONDS
from proxyguard.tools.range.browsers import SYSTEMS, chrome, desktop_browser, phone_browser
from proxyguard.tools.range.cohorts.registry import CALM
from proxyguard.tools.range.draw import ITEMS, pages_of_visit
from proxyguard.tools.range.networks import RangeSource, office, source
from proxyguard.tools.range.people import visit
from proxyguard.tools.range.run import run_scenario
from proxyguard.tools.range.scenarios import Gate, Scenario
from proxyguard.tools.range.scraping import WorkQueue, harvest
from proxyguard.tools.range.values import Arrival, Cohort, CohortKind, Draw, Presence
from proxyguard.tools.range.visitor import Visitor
from tests.tools.range.small import NINE, firewall, scenario

pytestmark = [pytest.mark.long, pytest.mark.costly]

PEOPLE = 60
CLASS_START = 42
VISITS_OF_A_DAY = 240
AT_A_TIME = 15
VISIT_SECONDS = 200.0
SPARED = (
    "one-office", "one-exit", "office", "new-office", "corporate-proxy", "mobile", "webview", "feeds", "link-previews",
    "search-crawlers",
)  # fmt: skip
"""Whom numbers by address would hurt, and who has no cookies for a good reason."""

CARRIER_EXIT = (21 << 16) + 256 + 1


def cohort(name: str, kind: CohortKind, arrivals: Callable[[Presence, Draw], Iterator[Arrival]]) -> Cohort:
    return Cohort(name=name, kind=kind, about="a test", source="a test", arrivals=arrivals)


def of_an_office(span: Presence, draw: Draw) -> Iterator[Arrival]:
    """All 60 at one address; 42 begin within one minute, and all come back through the day, each with a browser of their own."""
    random = draw.stream()
    moments = [span.begin + 60.0 * random.random() for _ in range(CLASS_START)]
    moments += [span.begin + (span.end - span.begin) * random.random() for _ in range(VISITS_OF_A_DAY)]
    people: dict[int, Visitor] = {}
    for index, at in enumerate(sorted(moments)):
        browsing = draw.stream(index)
        if index % PEOPLE not in people:
            software = desktop_browser(browsing)
            people[index % PEOPLE] = Visitor(office(7, 1, software.speaks), software)
        yield Arrival(at, visit(people[index % PEOPLE], browsing, pages_of_visit(browsing)))


def of_a_carrier(span: Presence, draw: Draw) -> Iterator[Arrival]:
    """New phones all the time, 15 of them under way at once, at one address."""
    for index in range(int((span.end - span.begin) * AT_A_TIME / VISIT_SECONDS)):
        browsing = draw.stream(index)
        software = phone_browser(browsing)
        visitor = Visitor(source(CARRIER_EXIT, software.speaks), software)
        yield Arrival(span.begin + index * VISIT_SECONDS / AT_A_TIME, visit(visitor, browsing, pages_of_visit(browsing, 5.0)))


def test_nobody_behind_an_address_that_many_share_is_refused_and_no_search_engine_on_a_site_that_nobody_knew_before() -> None:
    """The first day of an installation: beside them are the people of a calm day, by whom items become often read."""
    begin, end = NINE, NINE + 6 * 3_600
    shared = (cohort("one-office", CohortKind.LEGITIMATE, of_an_office), cohort("one-exit", CohortKind.LEGITIMATE, of_a_carrier))
    members = [(each, Presence(begin - 2 * 3_600, end, 1.0)) for each in CALM]
    members += [(each, Presence(begin, end, 1.0)) for each in shared]
    run = run_scenario(Scenario("shared", "a test", tuple(members), end, gate=Gate()), 11, firewall())
    rows = {row.name: row for row in run.cohorts}
    assert rows["one-office"].sessions == CLASS_START + VISITS_OF_A_DAY
    assert rows["one-exit"].sessions == 6 * 3_600 * AT_A_TIME / VISIT_SECONDS
    assert rows["search-crawlers"].sessions > 10
    assert {name: rows[name].refused_requests for name in SPARED} == dict.fromkeys(SPARED, 0)


def of_a_24(number: int) -> Address:
    return source((128 << 16) + 13 * 256 + 1 + number).address


def of_a_48(number: int) -> Address:
    return Address.parse(f"2001:db8:77:{number:x}::{number * 7 + 1:x}")


@pytest.mark.parametrize("address", [of_a_24, of_a_48])
def test_more_addresses_of_one_network_bring_a_scraper_nothing_more(address: Callable[[int], Address]) -> None:
    """Chrome's fields over a library's TLS, a page a second each. Whoever rents a server has a /24 or a /48 for the asking."""
    owner = source((128 << 16) + 13 * 256 + 1).owner

    def got_by(addresses: int) -> int:
        def arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
            queue = WorkQueue()
            for number in range(addresses):
                random: Random = draw.stream(number)
                visitor = Visitor(
                    RangeSource(address(number), owner, "python"), chrome(143, *SYSTEMS[0][:2]), sends_referer=False
                )
                yield Arrival(span.begin + random.random(), harvest(visitor, random, queue, GAP_SECONDS, 1_200))

        there = cohort("one-network", CohortKind.ADVERSARY, arrivals)
        [row] = run_scenario(scenario(there, size=1.0), 14, firewall()).cohorts
        assert row.items_unprotected > 1_100 * addresses
        return row.items

    few, many = got_by(12), got_by(32)
    assert 0 < few <= many <= 1.1 * few
    assert many < 0.01 * ITEMS
