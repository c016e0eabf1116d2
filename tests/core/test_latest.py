"""A bounded table in the order in which its entries were last touched."""

from __future__ import annotations

from proxyguard.core.latest import LEAST_OF_SHARD, SHARDS, Latest


def add(table: Latest[int], key: int, value: int) -> None:
    if table.is_full_beside(key):
        first = table.first_beside(key)
        assert first is not None
        table.pop(first[0])
    table.put(key, value)


def test_the_oldest_gives_way_and_what_is_touched_stays() -> None:
    table: Latest[int] = Latest(3)
    for key in range(3):
        add(table, key, 10 * key)
    table.touch(0)
    add(table, 3, 30)
    assert [*table.items()] == [(2, 20), (0, 0), (3, 30)]
    assert (table.get(1), table.get(2), table.pop(1), table.pop(2), len(table)) == (None, 20, None, 20, 2)


def test_what_is_put_again_is_the_last_to_give_way() -> None:
    table: Latest[int] = Latest(2)
    for key, value in ((1, 1), (2, 2), (1, 3)):
        table.put(key, value)
    assert table.first_beside(5) == (2, 2)
    assert table.get(1) == 3


def test_an_empty_one_has_nothing_that_could_give_way() -> None:
    table: Latest[int] = Latest(2)
    assert table.first_beside(1) is None
    assert not table.is_full_beside(1)


def test_a_large_one_is_never_larger_than_its_capacity_and_uses_nearly_all_of_it() -> None:
    capacity = SHARDS * LEAST_OF_SHARD
    table: Latest[int] = Latest(capacity)
    for key in range(2 * capacity):
        add(table, key, key)
    assert len(table) == capacity
    assert {key for key, _ in table.items()} == set(range(capacity, 2 * capacity))
    assert max(map(len, table._shards)) == LEAST_OF_SHARD


def test_a_small_one_has_one_order() -> None:
    assert len(Latest[int](2 * LEAST_OF_SHARD - 1)._shards) == 1
    assert len(Latest[int](2 * LEAST_OF_SHARD)._shards) == 2
    assert len(Latest[int](1000 * LEAST_OF_SHARD)._shards) == SHARDS
