"""Counting in bounded tables: distinct things, frequent things, columns of time, rows of clients."""

from __future__ import annotations

from random import Random

import pytest

from proxyguard.core.address import Network
from proxyguard.core.distinct import Distinct
from proxyguard.tools.replay.clients import ClientTable, mixed
from proxyguard.tools.replay.frequent import Frequent
from proxyguard.tools.replay.suspects import suspicion
from proxyguard.tools.replay.tally import EXACT_UP_TO, REGISTER_BITS
from proxyguard.tools.replay.timeline import MAX_COLUMNS, Timeline
from proxyguard.tools.replay.traits import is_asset, looks_like_browser
from tests.tools.replay.lines import FIREFOX


def test_few_distinct_things_are_counted_exactly() -> None:
    found = Distinct(exact_up_to=99)
    for number in range(99):
        found.add(mixed(number))
        found.add(mixed(number))
    assert (found.count(), found.exact) == (99, True)


@pytest.mark.parametrize("count", [3000, 50_000, 200_000])
@pytest.mark.parametrize("first", [0xFFFF_C000_0200, 0x2001_0DB8 << 96])
def test_many_distinct_things_are_estimated_within_a_few_per_cent(count: int, first: int) -> None:
    found = Distinct(EXACT_UP_TO, REGISTER_BITS)
    for number in range(count):
        found.add(mixed(first + number))
    assert not found.exact
    assert abs(found.count() - count) < 0.07 * count


def test_the_heaviest_keys_survive_a_flood_of_others() -> None:
    found = Frequent(16)
    random = Random(3)
    for number in range(20_000):
        found.add(b"heavy" if number % 10 == 0 else b"%x" % random.getrandbits(60))
    assert found.top(1) == [(b"heavy", 2000)]
    assert len(list(found.keys())) <= 32


def test_equally_frequent_keys_come_in_order_of_their_names() -> None:
    found = Frequent()
    for key in (b"b", b"a", b"c"):
        found.add(key)
    assert found.top(2) == [(b"a", 1), (b"b", 1)]


def test_columns_widen_until_a_log_fits() -> None:
    timeline = Timeline()
    for second in range(1000):
        timeline.add("x", 1_800_000_000 + second)
    assert timeline.width_seconds == 10
    assert timeline.columns <= MAX_COLUMNS
    assert sum(timeline.row("x")) == 1000
    assert timeline.row("x")[0] == 10
    timeline.add("y", 1_800_000_000 + 30 * 86_400)
    assert timeline.width_seconds == 43_200
    assert (sum(timeline.row("x")), sum(timeline.row("y"))) == (1000, 1)
    assert timeline.columns <= MAX_COLUMNS
    assert timeline.start_seconds <= 1_800_000_000


def test_time_before_the_first_column_gets_columns_of_its_own() -> None:
    timeline = Timeline()
    for now in (1000, 990, 1010, 999):
        timeline.add("x", now)
    assert (timeline.start_seconds, timeline.columns, sum(timeline.row("x"))) == (990, 21, 4)


def test_an_empty_timeline_has_no_columns() -> None:
    timeline = Timeline()
    assert (timeline.columns, timeline.row("x")) == (0, [])


def test_addresses_of_one_ipv6_network_are_one_client() -> None:
    table = ClientTable()
    one, two = table.find(b"2001:db8::1")[1], table.find(b"2001:db8::2")[1]
    assert one is two
    assert (one.key, one.network.key) == ("2001:db8::/64", "2001:db8::/48")
    assert table.find(b"::ffff:192.0.2.1")[1] is table.find(b"192.0.2.1")[1]


@pytest.mark.parametrize("text", [b"", b"-", b"example.org", b"1.2.3", b"\xff", b"1.2.3.4, 5.6.7.8"])
def test_what_is_no_address_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):
        ClientTable().find(text)


def test_a_full_table_folds_those_who_matter_least() -> None:
    table = ClientTable(capacity=100)
    for number in range(250):
        row = table.find(b"10.0.%d.%d" % (number // 200, number % 200))[1]
        row.requests = number + 1
        row.stopped = int(number % 50 == 0)
    assert len(table.rows) <= 100
    assert table.others.rows == 250 - len(table.rows)
    assert table.others.requests + sum(row.requests for row in table.rows.values()) == sum(range(1, 251))
    assert [row.requests for row in table.rows.values() if row.stopped] == [1, 51, 101, 151, 201]
    assert table.seen.count() == 250


def test_clients_of_a_list_are_verified() -> None:
    table = ClientTable((Network.parse("192.0.2.0/24"),))
    assert table.find(b"192.0.2.9")[1].verified
    assert not table.find(b"192.0.3.9")[1].verified


@pytest.mark.parametrize(
    ("agent", "looks"),
    [
        (FIREFOX, True),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/604.1", True),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", False),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36", False),
        ("curl/8.5.0", False), ("Mozilla/5.0", False), ("", False),
        ("Mozilla/5.0 (" + "x" * 5000 + ") Chrome/1", False),
    ],
)  # fmt: skip
def test_a_browser_looks_like_one(agent: str, looks: bool) -> None:
    assert looks_like_browser(agent.encode()) is looks


@pytest.mark.parametrize(
    ("path", "asset"),
    [(b"/a.css", True), (b"/a.PNG", True), (b"/", False), (b"/css", False), (b"/a.b/c", False), (b"/feed.xml", False)],
)  # fmt: skip
def test_an_asset_is_told_by_its_ending(path: bytes, asset: bool) -> None:
    assert is_asset(path) is asset


def test_the_weight_of_a_client_is_the_sum_of_its_signs() -> None:
    row = ClientTable((Network.parse("192.0.2.9"),)).find(b"192.0.2.9")[1]
    row.requests = row.stopped = 10
    row.pages = 10
    assert suspicion(row)[1:] == (35, ("verified",))
    row.browser = 8
    row.referers = 5
    assert suspicion(row)[1:] == (70, ("verified", "looks like a browser", "follows links"))
    row.assets, row.pages, row.hours, row.stopped, row.logged_in = 5, 5, 3, 1, 1
    assert suspicion(row)[1] == 100
    assert len(suspicion(row).signs) == 7
