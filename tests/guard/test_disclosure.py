"""Which items are often read."""

from __future__ import annotations

from random import Random

import pytest

from proxyguard.core.address import Address
from proxyguard.core.decision import PASS_BY_DEFAULT
from proxyguard.core.item import COLD, HOT
from proxyguard.core.jar_settings import Items
from proxyguard.core.number64 import Number64
from proxyguard.core.request import Request
from proxyguard.guard.disclosure import Disclosure
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.policy.compile.items import ItemFinder
from proxyguard.policy.items import ItemFamily


def heat_after(disclosure: Disclosure, reads: int, path: str = "/posts/1") -> bytes:
    """How hot an item is once it was read so often."""
    finder = ItemFinder((ItemFamily(name="posts", paths=(b"/posts/*",), segment=2),), b"x")
    request = Request(Address.parse("192.0.2.1"), b"GET", b"https", b"a.example", path.encode(), ())
    for _ in range(reads):
        item = disclosure.find(finder, request, 1.0)
        assert item is not None
        disclosure.settle(item, Ticket(request, PASS_BY_DEFAULT, "", 0.0), Served(200, upstream_seconds=0.1), 1.0)
    item = disclosure.find(finder, request, 1.0)
    assert item is not None
    return item.heat


@pytest.mark.parametrize("cold_below", [1.0, 2.0, 8.0])
def test_an_item_is_hot_once_it_was_read_so_often(cold_below: float) -> None:
    assert heat_after(Disclosure(Items(cold_below=cold_below)), int(cold_below) - 1) == COLD
    assert heat_after(Disclosure(Items(cold_below=cold_below)), int(cold_below)) == HOT


def test_many_reads_of_other_items_heat_hardly_any() -> None:
    random = Random(1)
    disclosure = Disclosure(Items())
    for _ in range(50_000):
        disclosure._heat.add(Number64.of(random.getrandbits(64)), 1.0)
    assert sum(heat_after(disclosure, 0, f"/posts/{each}") == HOT for each in range(1_000)) < 10
