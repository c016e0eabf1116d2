"""Slots for upstream connections: what each site is sure of, the queue, and that none is ever lost."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.adapters.mitmproxy.upstream.slots import QUEUE_FULL, QUEUE_TIMEOUT, SiteSlots, UpstreamSlots
from tests.examples import examples


def run[T](scenario: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(scenario, 20))


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def fill(site: SiteSlots) -> int:
    """Take all that a site can get; how many."""
    count = 0
    while site.is_free:
        site.take()
        count += 1
    return count


def test_one_site_alone_has_all() -> None:
    assert fill(UpstreamSlots(10, 1, 5, 1.0).site()) == 10


def test_no_site_takes_the_sure_part_of_another() -> None:
    slots = UpstreamSlots(12, 3, 5, 1.0)
    slow, other, third = slots.site(), slots.site(), slots.site()
    assert [fill(slow), fill(other), fill(third)] == [8, 2, 2]
    slow.give_back()
    assert [fill(third), fill(other), slots.common_used] == [1, 0, 6]


def test_a_site_has_no_more_than_its_setting() -> None:
    slots = UpstreamSlots(12, 2, 5, 1.0)
    assert [fill(slots.site(2)), fill(slots.site(1000))] == [2, 9]


def test_who_waits_gets_its_turn_in_order() -> None:
    async def scenario() -> None:
        site = UpstreamSlots(1, 1, 2, 5.0).site()
        assert await site.wait() == ""
        first, second = asyncio.create_task(site.wait()), asyncio.create_task(site.wait())
        await turn()
        assert (site.waiting, await site.wait()) == (2, QUEUE_FULL)
        site.give_back()
        assert not site.is_free, "nobody passes those who wait"
        await turn()
        assert (first.done(), second.done()) == (True, False)
        site.give_back()
        assert (await first, await second) == ("", "")
        site.give_back()
        assert (site.used, site._all.used, site._all.common_used, site._all.waiting) == (0, 0, 0, {})

    run(scenario())


def test_a_wait_has_an_end() -> None:
    async def scenario() -> None:
        site = UpstreamSlots(1, 1, 2, 0.02).site()
        site.take()
        assert await site.wait() == QUEUE_TIMEOUT
        assert (site.waiting, site._all.waiting, site.used) == (0, {}, 1)

    run(scenario())


def test_sites_take_turns_for_what_is_common() -> None:
    async def scenario() -> None:
        slots = UpstreamSlots(8, 2, 10, 5.0)
        sites = slots.site(), slots.site()
        for site in sites:
            fill(site)
        order: list[int] = []

        async def wait(number: int) -> None:
            assert await sites[number].wait() == ""
            order.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in (0, 0, 0, 1, 1)]
        await turn()
        sites[0].give_back()  # of six, two of them sure
        sites[0].give_back()
        sites[0].give_back()
        await turn()
        assert order == [0, 1, 0]
        for task in tasks:
            task.cancel()
        await turn()
        assert (slots.waiting, [site.waiting for site in sites]) == ({}, [0, 0])

    run(scenario())


def test_who_gives_up_in_the_moment_of_its_turn_gives_the_slot_back() -> None:
    async def scenario() -> None:
        site = UpstreamSlots(1, 1, 5, 5.0).site()
        site.take()
        leaver, stayer = asyncio.create_task(site.wait()), asyncio.create_task(site.wait())
        await turn()
        site.give_back()
        leaver.cancel()
        await turn()
        assert (leaver.cancelled(), stayer.done(), site.used) == (True, True, 1)

    run(scenario())


STEPS = st.lists(st.tuples(st.sampled_from(["wait", "take", "give", "cancel", "pass"]), st.integers(0, 2)), max_size=60)


@settings(deadline=None, max_examples=examples(200))
@given(steps=STEPS, total=st.integers(1, 7), queue=st.integers(0, 4))
def test_in_any_order_no_slot_is_lost_or_given_twice(steps: list[tuple[str, int]], total: int, queue: int) -> None:
    async def scenario() -> None:
        slots = UpstreamSlots(total, 3, queue, 5.0)
        sites = slots.site(), slots.site(2), slots.site()
        held = [0, 0, 0]
        tasks: list[tuple[int, asyncio.Task[str]]] = []

        def collect() -> None:
            for number, task in tuple(tasks):
                if task.done():
                    tasks.remove((number, task))
                    if not task.cancelled() and task.result() == "":
                        held[number] += 1

        for what, number in steps:
            site = sites[number]
            if what == "wait":
                tasks.append((number, asyncio.create_task(site.wait())))
            elif what == "take" and site.is_free:
                site.take()
                held[number] += 1
            elif what == "give" and held[number]:
                held[number] -= 1
                site.give_back()
            elif what == "cancel" and tasks:
                tasks[number % len(tasks)][1].cancel()
            else:
                await turn()
                collect()
                assert held == [each.used for each in sites]
            assert sum(each.used for each in sites) == slots.used <= total
            assert slots.common_used <= slots.common
            assert all(each.waiting <= queue for each in sites)
        while tasks or any(held):
            for _, task in tasks:
                task.cancel()
            await turn()
            collect()
            for number, site in enumerate(sites):
                while held[number]:
                    held[number] -= 1
                    site.give_back()
        assert (slots.used, slots.common_used, slots.waiting) == (0, 0, {})
        assert [fill(sites[0]), slots.common_used <= slots.common] == [total - 2 * slots.sure, True]

    run(scenario())
