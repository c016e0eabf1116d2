"""Who was here on an earlier day is known, whatever a client does; and what nobody can be made to forget."""

from __future__ import annotations

import pytest

from proxyguard.core.address import DEFAULT_PREFIXES, Address
from proxyguard.core.item import COLD, HOT, Item
from proxyguard.core.jar import FRESH, Jar
from proxyguard.core.number64 import Number64
from proxyguard.core.request import Request
from proxyguard.guard.acquaintances import DAY_SECONDS, EARLIER_DAYS, KNOWN, MOST_A_DAY, NETWORK_SHARE, NEW, Acquaintances

START = 20_000 * DAY_SECONDS


@pytest.fixture
def clients() -> Acquaintances:
    return Acquaintances(b"secret", DEFAULT_PREFIXES, float)


def request(client: str, heat: bytes = b"", *, has_jar: bool = False) -> Request:
    found = Request(Address.parse(client), b"GET", b"https", b"a", b"/", ())
    if heat:
        found.item = Item(b"people", Number64.of(1), 1, heat)
    if has_jar:
        found.jar = Jar("a", (FRESH,))
    return found


def test_who_was_here_yesterday_is_known_and_who_was_here_today_is_new(clients: Acquaintances) -> None:
    clients.observe(request("192.0.2.1"), START)
    assert clients.of(request("192.0.2.1"), START + 60) == b""  # nobody knows yet
    tomorrow = START + DAY_SECONDS
    clients.observe(request("192.0.2.9"), tomorrow)
    assert clients.of(request("192.0.2.1"), tomorrow) == KNOWN
    assert clients.of(request("192.0.2.9"), tomorrow) == NEW


def test_an_address_is_known_for_a_week(clients: Acquaintances) -> None:
    clients.observe(request("192.0.2.1"), START)
    found = [clients.of(request("192.0.2.1"), START + day * DAY_SECONDS) for day in range(1, EARLIER_DAYS + 2)]
    assert found == [KNOWN] * EARLIER_DAYS + [NEW]


@pytest.mark.parametrize("stopped", [1, 2, 5, EARLIER_DAYS])
def test_an_address_is_known_for_a_week_though_nothing_ran_for_days_of_it(clients: Acquaintances, stopped: int) -> None:
    clients.observe(request("192.0.2.1"), START)
    clients.observe(request("192.0.2.2"), START + DAY_SECONDS)
    after = Acquaintances(b"secret", DEFAULT_PREFIXES, float)
    again = 1 + stopped
    after.restore(clients.as_data(), START + again * DAY_SECONDS)
    for days in range(again, 2 * EARLIER_DAYS):
        now = START + days * DAY_SECONDS
        assert after.of(request("192.0.2.1"), now) == (KNOWN if days <= EARLIER_DAYS else NEW)
        assert after.of(request("192.0.2.2"), now) == (KNOWN if days <= EARLIER_DAYS + 1 else NEW)


@pytest.mark.parametrize(
    ("heat", "has_jar", "known"), [(COLD, False, NEW), (COLD, True, KNOWN), (HOT, False, KNOWN), (b"", False, KNOWN)]
)
def test_a_harvest_without_cookies_makes_nobody_known(clients: Acquaintances, heat: bytes, has_jar: bool, known: bytes) -> None:
    clients.observe(request("192.0.2.1", heat, has_jar=has_jar), START)
    assert clients.of(request("192.0.2.1"), START + DAY_SECONDS) == known


def test_a_network_has_a_share_and_others_their_room(clients: Acquaintances) -> None:
    for each in range(3 * NETWORK_SHARE):
        clients.observe(request(f"2001:db8:0:{each:x}::1"), START)
    assert clients.today == NETWORK_SHARE
    clients.observe(request("192.0.2.1"), START)
    assert clients.of(request("192.0.2.1"), START + DAY_SECONDS) == KNOWN


def test_a_day_takes_so_many_that_strangers_stay_strangers(clients: Acquaintances) -> None:
    clients.of(request("192.0.2.1"), START)
    clients.today = MOST_A_DAY
    clients.observe(request("192.0.2.1"), START)
    assert clients.of(request("192.0.2.1"), START + DAY_SECONDS) == NEW


@pytest.mark.long
def test_few_strangers_are_mistaken_in_a_full_day(clients: Acquaintances) -> None:
    """At a tenth of the clients, and a tenth of the share that may be mistaken for a full one."""
    for each in range(MOST_A_DAY // 10):
        clients.observe(request(f"10.{each >> 16}.{each >> 8 & 255}.{each & 255}"), START)
    assert clients.today > MOST_A_DAY // 10 - 100
    later = START + DAY_SECONDS
    mistaken = sum(clients.of(request(f"172.16.{each >> 8}.{each & 255}"), later) == KNOWN for each in range(10_000))
    assert mistaken <= 5


@pytest.mark.parametrize("moved", [-30, 30])
def test_a_clock_that_is_set_forgets_nobody(moved: int) -> None:
    wall = [0.0]
    clients = Acquaintances(b"secret", DEFAULT_PREFIXES, lambda now: now + wall[0])
    clients.observe(request("192.0.2.1"), START)
    clients.of(request("192.0.2.1"), START + DAY_SECONDS)
    for minute in range(60):
        wall[0] = moved * DAY_SECONDS * (minute % 2)
        assert clients.of(request("192.0.2.1"), START + DAY_SECONDS + minute * 60) == KNOWN
