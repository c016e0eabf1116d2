"""What the memory store does when its tables are full, and how it forgets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.core.decision import Reject
from proxyguard.core.settings import OnFull
from proxyguard.limits.charge import Charge, Usage, distinct_key
from proxyguard.limits.gcra import UNSEEN, charge
from proxyguard.limits.limit import Count, CountKind, KeyKind, KeyPart, Limit, Window
from proxyguard.limits.stores.memory import (
    KEYS_PER_LOG,
    KEYS_PER_LONG_LOG,
    KEYS_PER_SKETCH,
    LONG_LOG,
    OVERFLOWS_A_NEW_KEY,
    MemoryStore,
)
from proxyguard.limits.stores.store import BanTerms
from proxyguard.limits.stores.table import OWN_COUNTERS, SHARDS, SHARED, SWEEP_EVERY

NOW = 1_800_000_000.0
CLIENT = (KeyPart(KeyKind.CLIENT),)
TWO_AN_HOUR = Limit(2, 3600.0, 2, CLIENT)
TEN_A_MINUTE = Limit(10, 60.0, 10, CLIENT)


def passes(store: MemoryStore, key: str, limit: Limit = TWO_AN_HOUR, now: float = NOW) -> bool:
    return not store.charge([Charge(key, limit)], (), now).usages[0].exceeded


def fill(store: MemoryStore) -> None:
    for number in range(store.stats().key_capacity):
        store.charge([Charge(f"junk|{number}", TWO_AN_HOUR)], (), NOW)


@pytest.mark.parametrize("on_full", list(OnFull))
def test_a_full_table_never_grows_and_keeps_the_counters_it_has(on_full: OnFull) -> None:
    store = MemoryStore(keys=1000, on_full=on_full)
    assert [passes(store, "rule|known") for _ in range(3)] == [True, True, False]
    fill(store)
    for number in range(5000):
        passes(store, f"more|{number}")
    assert store.stats().keys == 1000
    assert sum(map(len, store._counters.shards)) == 1000
    assert passes(store, "rule|known") is False


def test_protect_goes_on_limiting_keys_that_found_the_table_full() -> None:
    store = MemoryStore(keys=10)
    fill(store)
    assert [passes(store, "rule|new") for _ in range(4)] == [True, True, False, False]
    admitted = sum(passes(store, f"rule|{number}") for number in range(20_000))
    assert admitted <= 2 * SHARED
    assert store.stats().overflows == 20_004


def test_protect_keeps_rules_apart_when_full() -> None:
    store = MemoryStore(keys=10)
    fill(store)
    assert [passes(store, "rule|new") for _ in range(3)] == [True, True, False]
    assert passes(store, "other|new")


def test_protect_looks_at_the_shared_counter_too() -> None:
    store = MemoryStore(keys=10)
    fill(store)
    store.charge([Charge("rule|new", TWO_AN_HOUR, 2.0)], (), NOW)
    assert store.charge([Charge("rule|new", TWO_AN_HOUR, 0.0)], (), NOW).usages[0].exceeded


def test_permit_does_not_count_keys_that_found_the_table_full() -> None:
    store = MemoryStore(keys=10, on_full=OnFull.PERMIT)
    fill(store)
    assert [passes(store, "rule|new") for _ in range(4)] == [True] * 4
    assert store.stats().overflows == 4


def test_a_batch_that_stops_in_a_full_table_leaves_no_trace() -> None:
    store = MemoryStore(keys=11)
    store.charge([Charge("rule|known", TWO_AN_HOUR, 2.0)], (), NOW)
    for number in range(9):
        passes(store, f"junk|{number}")
    batch = [Charge("a|new", TEN_A_MINUTE), Charge("b|new", TEN_A_MINUTE), Charge("rule|known", TWO_AN_HOUR)]
    assert [usage.exceeded for usage in store.charge(batch, (), NOW).usages] == [False, False, True]
    assert store.stats().keys == 10
    assert passes(store, "last|new")
    assert sum(map(len, store._counters.shards)) == store.stats().keys == 11


def test_forgotten_keys_make_room_for_new_ones_at_once_in_a_full_table() -> None:
    store = MemoryStore(keys=1000)
    fill(store)
    later = NOW + 3600.0
    for number in range(OVERFLOWS_A_NEW_KEY * SWEEP_EVERY * SHARDS // 8):
        passes(store, f"later|{number}", TEN_A_MINUTE, later)
    held = [key for shard in store._counters.shards for key in shard if str(key).startswith("later")]
    assert len(held) > 30
    assert store.stats().keys <= 1000


@pytest.mark.thorough
def test_a_timer_alone_empties_the_tables_when_nobody_comes() -> None:
    store = MemoryStore(keys=1000)
    fill(store)
    passes(store, "over|flow")
    store.ban("client|a", "rule", "", BanTerms(60.0, Reject()), NOW)
    for _ in range(2 * SHARDS):
        store.tidy(NOW + 3600.0)
    assert store._counters.forgotten == []
    assert store.stats()[:4] == (0, 1000, 0, 100_000)
    assert not any(store._counters.shared)


def test_a_flood_of_junk_keys_evicts_no_ban() -> None:
    store = MemoryStore(keys=1000, bans=50)
    for number in range(50):
        store.ban(f"client|{number}", "rule", "", BanTerms(3600.0, Reject()), NOW)
    for number in range(20_000):
        passes(store, f"junk|{number}")
    assert store.stats().keys == 1000
    assert len(list(store.bans(NOW + 1))) == 50
    assert store.stats().ban_evictions == 0


def test_a_full_ban_table_drops_the_ban_soonest_to_end_and_counts_it() -> None:
    store = MemoryStore(bans=2)
    for key, seconds in (("long", 900.0), ("short", 60.0), ("new", 300.0)):
        store.ban(key, "rule", "", BanTerms(seconds, Reject()), NOW)
    assert [record.key for record in store.bans(NOW)] == ["long", "new"]
    assert store.stats().ban_evictions == 1


def test_metrics_name_every_figure_of_the_tables() -> None:
    store = MemoryStore(keys=10, bans=5)
    passes(store, "rule|a")
    store.ban("client|a", "rule", "", BanTerms(60.0, Reject()), NOW)
    assert {name: read() for name, _, read in store.gauges()} == {
        "store_keys": 1.0,
        "store_key_capacity": 10.0,
        "store_bans": 1.0,
        "store_ban_capacity": 5.0,
        "store_overflows": 0.0,
        "store_ban_evictions": 0.0,
        "store_sketches": 0.0,
        "store_sketch_capacity": 1.0,
        "store_under_way": 0.0,
        "store_logs": 0.0,
        "store_log_capacity": 1.0,
        "store_long_logs": 0.0,
        "store_long_log_capacity": 1.0,
    }
    assert [name for name, _, _ in store.gauges()] == [f"store_{name}" for name in store.stats()._fields]


PATHS = Limit(2, 3600.0, 2, CLIENT, count=Count(CountKind.DISTINCT, of=KeyPart(KeyKind.PATH)))


def visits(store: MemoryStore, client: str, page: int, now: float = NOW) -> bool:
    visit = Charge(distinct_key(f"rule|{client}", page.to_bytes(8, "big")), PATHS)
    return not store.charge([visit], (), now).usages[0].exceeded


def test_sketches_have_a_table_of_their_own_and_newcomers_are_limited_when_it_is_full() -> None:
    store = MemoryStore(keys=16 * KEYS_PER_SKETCH)
    assert [visits(store, "known", page) for page in (1, 2, 3)] == [True, True, False]
    for number in range(15):
        visits(store, f"junk{number}", 1)
    assert store.stats().sketches == store.stats().sketch_capacity == 16
    assert [visits(store, "new", page) for page in (1, 1, 1)] == [True, True, False]
    assert [visits(store, "known", page) for page in (1, 3)] == [True, False]
    assert store.stats().overflows == 3
    assert store.stats().keys == 0


@pytest.mark.thorough
def test_sketches_that_are_over_make_room() -> None:
    store = MemoryStore(keys=16 * KEYS_PER_SKETCH)
    for number in range(16):
        visits(store, f"junk{number}", 1)
    for _ in range(2 * SHARDS):
        store.tidy(NOW + 3600.0)
    assert store.stats().sketches == 0
    assert [visits(store, "new", page, NOW + 3600.0) for page in (1, 1, 2, 3)] == [True, True, True, False]


def test_states_of_all_kinds_go_out_and_come_back() -> None:
    store, other = MemoryStore(), MemoryStore()
    store.dirty = [set() for _ in range(store.shard_count)]
    day = Limit(5, 86_400.0, 5, CLIENT, window=Window.CALENDAR)
    store.charge([Charge("a|", TWO_AN_HOUR), Charge("b|", day, 2.0), Charge("short|", Limit(9, 1.0, 9, CLIENT))], (), NOW)
    visits(store, "x", 1)
    changed = {key: state for at in range(store.shard_count) for key, state in store.take_changed(at).items()}
    assert sorted(changed) == ["a|", "b|", "rule|x"]
    assert not any(store.dirty)
    assert {key: state for at in range(store.shard_count) for key, state in store.lasting(at, NOW).items()} == changed
    other.restore(changed.items(), NOW)
    assert {key: state for at in range(other.shard_count) for key, state in other.lasting(at, NOW).items()} == changed
    assert [visits(other, "x", page) for page in (1, 2, 3)] == [True, True, False]


@pytest.mark.thorough
def test_traffic_of_known_clients_alone_empties_the_tables_of_what_is_over() -> None:
    store = MemoryStore(keys=1000)
    fill(store)
    for tick in range(3 * SHARDS):
        passes(store, "rule|known", TEN_A_MINUTE, NOW + 3600.0 + tick / 10)
    assert store.stats().keys == 1


@pytest.mark.thorough
@given(
    amount=st.integers(1, 50),
    period=st.floats(0.1, 600.0),
    burst=st.integers(1, 60),
    steps=st.lists(st.tuples(st.floats(-5.0, 60.0), st.sampled_from([0.0, 0.5, 1.0, 1.0, 1.0, 2.0]), st.booleans()), max_size=80),
)
def test_what_the_store_writes_out_for_speed_is_the_arithmetic_of_gcra(
    amount: int, period: float, burst: int, steps: list[tuple[float, float, bool]]
) -> None:
    store, checked, state, now = MemoryStore(), Limit(amount, period, burst, CLIENT), UNSEEN, NOW
    for wait, cost, owed in steps:
        now += wait
        state, usage = charge(state, now, checked, cost, owed)
        assert store.charge([Charge("rule|a", checked, cost, stops=False, owed=owed)], (), now).usages == (usage,)
        assert store._counters.get("rule|a") in (None, state)


def owner(number: int) -> tuple[str, str]:
    """A client in a network of its own."""
    return f"client:10.0.{number}.9", f"network:10.0.{number}.0/24"


ATTACKER = ("client:203.0.113.9", "network:203.0.113.0/24")


def test_a_client_with_endless_keys_takes_half_of_a_table_and_no_newcomers_allowance() -> None:
    store = MemoryStore(keys=5000, bans=10)
    for number in range(12_000):
        store.charge([Charge(f"rule|junk{number}", TWO_AN_HOUR, owner=ATTACKER)], (), NOW)
    assert store.stats().keys <= 2500 + 64
    for number in range(200):
        visits = [
            not store.charge([Charge(f"rule|page{number}", TWO_AN_HOUR, owner=owner(number))], (), NOW).usages[0].exceeded
            for _ in range(3)
        ]
        assert visits == [True, True, False]
    assert store.charge([Charge("rule|another", TWO_AN_HOUR, owner=ATTACKER)], (), NOW).usages[0].exceeded


def test_in_a_full_table_each_client_has_a_counter_of_its_own() -> None:
    store = MemoryStore(keys=1000, bans=10)
    for number in range(1000):
        store.charge([Charge(f"rule|{number}", TWO_AN_HOUR)], (), NOW)
    for number in range(250):  # one client after the other, each with a new key each time
        passed = [
            not store.charge([Charge(f"rule|new{number}-{turn}", TWO_AN_HOUR, owner=owner(number))], (), NOW).usages[0].exceeded
            for turn in range(4)
        ]
        assert passed == [True, True, False, False]


def test_addresses_of_one_network_take_one_place_and_share_what_is_beyond() -> None:
    store = MemoryStore(keys=1000, bans=10)
    for number in range(1000):
        store.charge([Charge(f"rule|{number}", TWO_AN_HOUR)], (), NOW)
    passed = 0
    for number in range(20_000):  # /64s of one /48
        one = (f"client:2001:db8:0:{number:x}::/64", "network:2001:db8::/48")
        passed += not store.charge([Charge(f"rule|{number}n", TWO_AN_HOUR, owner=one)], (), NOW).usages[0].exceeded
    assert passed == OWN_COUNTERS + 2
    assert max(map(len, store._counters.shared)) <= OWN_COUNTERS + 1
    hurt = 0
    for number in range(200):
        hurt += store.charge([Charge(f"rule|x{number}", TWO_AN_HOUR, owner=owner(number))], (), NOW).usages[0].exceeded
    assert hurt <= 2  # whose place is the same


def test_a_share_comes_back_when_its_keys_are_forgotten() -> None:
    store = MemoryStore(keys=1000, bans=10)
    for number in range(500):
        store.charge([Charge(f"other|{number}", Limit(1, 86_400.0, 1, CLIENT))], (), NOW)

    def room(now: float) -> int:
        before = store.overflows
        for number in range(100):
            store.charge([Charge(f"rule|{now}-{number}", TEN_A_MINUTE, owner=ATTACKER)], (), now)
        return 100 - (store.overflows - before)

    assert room(NOW) == 64
    assert room(NOW + 1.0) == 0
    assert room(NOW + 121.0) == 64
    assert room(NOW + 60.0) <= 64  # a clock that was set back


@pytest.mark.parametrize("limit", [TEN_A_MINUTE, Limit(10, 86_400.0, 10, CLIENT, window=Window.CALENDAR)])
@pytest.mark.parametrize("cost", [0.0, -1.0])
def test_who_only_looks_takes_nothing_of_its_networks_share(limit: Limit, cost: float) -> None:
    """Such as every request does that we refuse: its neighbours would have no counters."""
    store = MemoryStore(keys=1000, bans=10)
    for number in range(500):
        store.charge([Charge(f"other|{number}", Limit(1, 86_400.0, 1, CLIENT))], (), NOW)
    for number in range(100):
        store.charge([Charge(f"rule|{number}", limit, cost, stops=False, owed=cost < 0, owner=ATTACKER)], (), NOW)
    assert store.overflows == 0
    store.charge([Charge("rule|neighbour", limit, owner=("client:203.0.113.9", ATTACKER[1]))], (), NOW)
    assert (store.overflows, store.stats().keys) == (0, 501)


def test_what_is_refused_takes_nothing_of_its_networks_share() -> None:
    store = MemoryStore(keys=1000, bans=10)
    for number in range(500):
        store.charge([Charge(f"other|{number}", Limit(1, 86_400.0, 1, CLIENT))], (), NOW)
    for number in range(1000):
        pages = [Charge(f"{rule}|{number}", TEN_A_MINUTE, stops=False, owner=ATTACKER) for rule in ("rule", "again")]
        store.charge([*pages, Charge("paced|attacker", TWO_AN_HOUR, owner=ATTACKER)], (), NOW)
    assert (store.overflows, store.stats().keys) == (0, 505)
    for number in range(100):
        store.charge([Charge(f"rule|n{number}", TEN_A_MINUTE, owner=("client:203.0.113.9", ATTACKER[1]))], (), NOW)
    assert store.overflows == 100 - 62


UNDER_WAY = Limit(2, 30.0, 2, CLIENT, count=Count(CountKind.CONCURRENT))


def test_requests_under_way_are_not_forgotten_here_however_long_they_take_nor_kept_over_a_restart() -> None:
    store = MemoryStore(keys=32, bans=1)
    begin = Charge("rule|a", UNDER_WAY)
    for wanted in (False, False, True):
        assert store.charge([begin], (), NOW).usages[0].exceeded is wanted
    store.tidy(NOW + 1e6)
    assert store.charge([begin], (), NOW + 1e6).usages[0] == Usage(exceeded=True, remaining=0, retry_after_seconds=1.0)
    assert [store.lasting(shard, NOW) for shard in range(store.shard_count) if store.lasting(shard, NOW)] == []
    end = begin.arisen(-1.0)
    store.charge([end, end, end], (), NOW)
    assert store.stats().under_way == 0


def test_a_full_table_of_requests_under_way_refuses_new_keys_only() -> None:
    store = MemoryStore(keys=32, bans=1)
    seen = [store.charge([Charge(f"rule|{key}", UNDER_WAY)], (), NOW).usages[0].exceeded for key in ("a", "b", "c", "a")]
    assert seen == [False, False, True, False]
    assert store.overflows == 1
    permits = MemoryStore(keys=16, bans=1, on_full=OnFull.PERMIT)
    assert [permits.charge([Charge(key, UNDER_WAY)], (), NOW).usages[0].exceeded for key in "ab"] == [False, False]


def log_of(amount: int) -> Limit:
    return Limit(amount, 3600.0, amount, CLIENT, window=Window.SLIDING_LOG)


@pytest.mark.parametrize(("amount", "part"), [(2, KEYS_PER_LOG), (LONG_LOG, KEYS_PER_LOG), (LONG_LOG + 1, KEYS_PER_LONG_LOG)])
def test_logs_have_tables_of_their_own_and_newcomers_are_limited_when_they_are_full(amount: int, part: int) -> None:
    """Who keeps many keys just below the limit fills the table: those that have a log keep it, and nobody else's goes."""
    store, limit = MemoryStore(keys=16 * part), log_of(amount)
    known = Charge("rule|known", limit)
    for _ in range(amount):
        assert not store.charge([known], (), NOW).usages[0].exceeded
    for number in range(15):
        store.charge([Charge(f"rule|junk{number}", limit, amount - 1.0)], (), NOW)
    stats = store.stats()
    assert 16 in {(stats.logs == stats.log_capacity) * stats.logs, (stats.long_logs == stats.long_log_capacity) * stats.long_logs}
    assert store.charge([known], (), NOW + 1).usages[0].exceeded
    passed = [not store.charge([Charge("rule|new", limit)], (), NOW + 1).usages[0].exceeded for _ in range(amount + 1)]
    assert passed == [True] * amount + [False]
    assert (store.stats().overflows, store.stats().keys) == (amount + 1, 0)
    for _ in range(2 * SHARDS):
        store.tidy(NOW + 7300.0)
    assert (store.stats().logs, store.stats().long_logs) == (0, 0)


def test_a_client_network_has_its_share_of_logs() -> None:
    """One network that fills the table leaves half of it, less its share, to the others."""
    store, limit = MemoryStore(keys=KEYS_PER_LOG * 1000), log_of(3)
    for number in range(2000):
        store.charge([Charge(f"rule|{number}", limit, owner=(f"client{number}", "network"))], (), NOW)
    assert store.stats().logs == 500 + 64
