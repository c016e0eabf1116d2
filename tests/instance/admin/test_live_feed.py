"""The live feed: once for all readers, bounded, and held up by none."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from proxyguard.instance.admin import live_feed
from proxyguard.instance.admin.live_feed import MAX_MISSED, MAX_STREAMS, LiveFeed, message


def record(**more: Any) -> dict[str, Any]:
    return {
        "time": 1.0, "reference": "r", "client": "c-5f2b8e01c77a", "method": "GET", "host": "h", "path": "/", "rule": "x",
        "action": "reject", "mode": "enforce", "status": 403, "milliseconds": 0.1, "reason": "", "user_agent": "", "fault": "",
        "shadow": [], **more,
    }  # fmt: skip


class FakeReader:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.behind = self.ended = False

    def is_behind(self) -> bool:
        return self.behind

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def end(self) -> None:
        self.ended = True


class FakeInstance:
    """One decision for each question."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, arguments: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(arguments["marks"])
        return {"marks": {"7": len(self.asked)}, "records": [record(path=f"/{len(self.asked)}")], "skipped": 0}


def test_nobody_asks_while_nobody_reads_and_one_question_serves_all() -> None:
    async def run() -> None:
        instance = FakeInstance()
        feed = LiveFeed(instance)
        readers = [FakeReader() for _ in range(3)]
        assert instance.asked == []
        assert all(map(feed.join, readers))
        await feed.tick()
        await feed.tick()
        assert instance.asked == [{}, {"7": 1}]
        assert [reader.sent[1:] for reader in readers] == [[message([record(path="/1")], 0), message([record(path="/2")], 0)]] * 3
        late = FakeReader()
        feed.join(late)
        assert b'"/1"' in late.sent[0]
        feed.stop()
        assert all(reader.ended for reader in (*readers, late))

    asyncio.run(run())


def test_a_slow_reader_misses_messages_then_loses_its_stream_and_holds_nobody_up() -> None:
    async def run() -> None:
        feed = LiveFeed(FakeInstance())
        slow, quick = FakeReader(), FakeReader()
        slow.behind = True
        feed.join(slow)
        feed.join(quick)
        for _ in range(MAX_MISSED + 1):
            await feed.tick()
        assert (len(slow.sent), slow.ended) == (1, True)
        assert (len(quick.sent), quick.ended) == (MAX_MISSED + 2, False)
        assert len(feed) == 1
        feed.stop()

    asyncio.run(run())


def test_who_comes_after_hours_without_a_reader_is_not_told_of_what_nobody_read(monkeypatch: Any) -> None:
    async def run() -> None:
        monkeypatch.setattr(live_feed, "TICK_SECONDS", 0.0)
        instance = FakeInstance()
        feed = LiveFeed(instance)
        first = FakeReader()
        feed.join(first)
        await feed.tick()
        feed.leave(first)
        assert feed._task is not None
        await asyncio.wait_for(feed._task, 20)
        later, before = FakeReader(), len(instance.asked)
        feed.join(later)
        assert b'"records":[]' in later.sent[0]
        await feed.tick()
        assert instance.asked[before] == {}
        feed.stop()

    asyncio.run(run())


def test_there_is_room_for_so_many() -> None:
    async def run() -> None:
        feed = LiveFeed(FakeInstance())
        readers = [FakeReader() for _ in range(MAX_STREAMS + 2)]
        assert [feed.join(reader) for reader in readers] == [True] * MAX_STREAMS + [False] * 2
        assert feed.refused == 2
        feed.leave(readers[0])
        assert feed.join(readers[-1])
        feed.stop()

    asyncio.run(run())


def test_a_failing_question_ends_nothing(monkeypatch: Any) -> None:
    async def run() -> None:
        monkeypatch.setattr(live_feed, "TICK_SECONDS", 0.0)
        answers: list[Any] = [RuntimeError("a worker is being replaced"), {"marks": {}, "records": [record()], "skipped": 2}]
        told = asyncio.Event()

        async def ask(_: dict[str, Any]) -> dict[str, Any]:
            answer = answers.pop(0) if answers else {"marks": {}, "records": [], "skipped": 0}
            if isinstance(answer, Exception):
                raise answer
            return answer

        class Told(FakeReader):
            def send(self, data: bytes) -> None:
                super().send(data)
                if b'"skipped":2' in data:
                    told.set()

        feed = LiveFeed(ask)
        feed.join(Told())
        async with asyncio.timeout(20):
            await told.wait()
        feed.stop()

    asyncio.run(run())


def test_what_a_client_chose_begins_no_event_of_its_own() -> None:
    data = message([record(path="/\n\nevent: records\ndata: {}", user_agent="\r\n\x00\u2028")], 0)
    assert data.count(b"\n") == 3
    assert json.loads(data.split(b"data: ", 1)[1])["records"][0]["user_agent"] == "\r\n\x00\u2028"
