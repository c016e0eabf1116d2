"""However many ask, an answer is made once a second, and only so many are given."""

from __future__ import annotations

import asyncio

from proxyguard.instance.admin.shared_answers import FRESH_SECONDS, MAX_KEPT, RequestPace, SharedAnswers


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_thousand_readers_cost_one_question_a_second() -> None:
    clock, asked = Clock(), 0

    async def make() -> bytes:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return b"%d" % asked

    async def run() -> None:
        answers = SharedAnswers(clock)
        assert set(await asyncio.gather(*(answers.get("status", make) for _ in range(1000)))) == {b"1"}
        clock.now += FRESH_SECONDS
        assert set(await asyncio.gather(*(answers.get("status", make) for _ in range(1000)))) == {b"2"}
        answers.forget()
        assert await answers.get("status", make) == b"3"

    asyncio.run(run())


def test_an_answer_that_takes_longer_than_it_stays_fresh_is_still_made_once_at_a_time() -> None:
    clock, begun, going = Clock(), 0, asyncio.Event()

    async def make() -> bytes:
        nonlocal begun
        begun += 1
        await going.wait()
        return b"%d" % begun

    async def run() -> None:
        answers = SharedAnswers(clock)
        asking = []
        for _ in range(5):
            asking.append(asyncio.ensure_future(answers.get("bans", make)))
            await asyncio.sleep(0)
            clock.now += FRESH_SECONDS
        going.set()
        assert await asyncio.gather(*asking) == [b"1"] * 5
        assert await answers.get("bans", make) == b"2"

    asyncio.run(run())


def test_a_reader_that_leaves_takes_the_answer_from_nobody() -> None:
    async def run() -> None:
        answers, going = SharedAnswers(Clock()), asyncio.Event()

        async def make() -> bytes:
            await going.wait()
            return b"x"

        first, second = (asyncio.ensure_future(answers.get("q", make)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        going.set()
        assert await second == b"x"

    asyncio.run(run())


def test_what_is_kept_is_bounded() -> None:
    async def make() -> bytes:
        return b"x"

    async def run() -> None:
        answers = SharedAnswers(Clock())
        for number in range(10 * MAX_KEPT):
            await answers.get(str(number), make)
        assert len(answers._kept) == MAX_KEPT

    asyncio.run(run())


def test_the_pace_has_a_burst_and_a_rate() -> None:
    clock = Clock()
    pace = RequestPace(rate=10, burst=5, clock=clock)
    assert [pace.admits() for _ in range(7)] == [True] * 5 + [False] * 2
    clock.now += 0.25
    assert [pace.admits() for _ in range(3)] == [True, True, False]
    assert pace.refused == 3
