"""Masked and uniform answers on streams of HTTP/2: whole, side by side, and gone with their client."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from pathlib import Path

import httpx
import pytest

from proxyguard.core.decision import Decision, Mask, Uniform
from proxyguard.core.settings import BufferBudget
from tests.adapters import fakes
from tests.adapters.front_rig import run, until
from tests.adapters.http2.rig import GET, post
from tests.adapters.http2.test_front import HOST, connected, http2_fronted
from tests.adapters.test_masking import answering, whole
from tests.adapters.test_uniform import BODY, GRID, application


@pytest.fixture(autouse=True)
def _alters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fakes.DECISIONS, b"mask", Decision(Mask(json=("email",)), "masking"))
    monkeypatch.setitem(fakes.DECISIONS, b"even", Decision(Uniform(BODY, grid_seconds=GRID), "evening-out"))


def client_of(chain: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(http2=True, verify=ssl.create_default_context(cafile=str(chain)), headers={"Host": HOST}, timeout=10)


def test_streams_are_masked_side_by_side(tmp_path: Path) -> None:
    text = json.dumps({"email": "ann@b.example", "x": "y" * 200_000}).encode()

    async def scenario() -> None:
        async with http2_fronted(tmp_path, answering(whole(b"application/json", text, b'ETag: "1"'))) as (rig, certificate):
            async with client_of(certificate.chain) as client:
                url = f"https://127.0.0.1:{rig.port}/p"
                got = await asyncio.gather(*(client.get(url, headers={"X-Do": "mask"}) for _ in range(12)))
                for answer in got:
                    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)
                    assert answer.json() == {"email": None, "x": "y" * 200_000}
                    assert answer.headers["cache-control"] == "private, no-store"
                    assert "etag" not in answer.headers
                plain = await client.get(url)
                assert plain.content == text
                head = await client.head(url, headers={"X-Do": "mask"})
                assert (head.status_code, head.content) == (200, b"")
                assert "content-length" not in head.headers
            await until(lambda: len(rig.served) == 14)
            assert rig.front.stats()["buffered_bytes"] == 0

    run(scenario())


def test_uniform_answers_are_the_same_on_streams_too(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with http2_fronted(tmp_path, application) as (rig, certificate):
            async with client_of(certificate.chain) as client:
                url = f"https://127.0.0.1:{rig.port}/reset"
                seen = set()
                for name in ("nobody", "real", "real-reset", "real-garbage"):
                    started = time.perf_counter()
                    answer = await client.post(url, content=name, headers={"X-Do": "even"})
                    assert time.perf_counter() - started >= GRID
                    fields = tuple(field for field in answer.headers.multi_items() if field[0] != "date")
                    seen.add((answer.http_version, answer.status_code, fields, answer.text))
                assert len(seen) == 1
                [(version, status, _, text)] = seen
                assert (version, status, text) == ("HTTP/2", 200, BODY)
            await until(lambda: len(rig.served) == 4)

    run(scenario())


def test_a_client_that_leaves_is_not_waited_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with http2_fronted(tmp_path, application) as (rig, certificate):
            async with client_of(certificate.chain) as client:
                url = f"https://127.0.0.1:{rig.port}/reset"
                asking = [asyncio.create_task(client.post(url, content="real", headers={"X-Do": "even"})) for _ in range(5)]
                await until(lambda: rig.upstream.connections > 0)
                for task in asking:
                    task.cancel()
                await asyncio.gather(*asking, return_exceptions=True)
            await until(lambda: rig.front.stats()["requests_under_way"] == 0)
            await asyncio.sleep(2 * GRID)

    run(scenario())


def test_masked_answers_that_nobody_takes_count_towards_the_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fakes.DECISIONS, b"mask", Decision(Mask(json=("email",), most_bytes=2_000_000), "masking"))
    text = json.dumps({"email": 1, "x": "y" * 1_900_000}).encode()

    async def scenario() -> None:
        budget = BufferBudget(memory_bytes=5_000_000, memory_per_network_bytes=5_000_000, disk_bytes=0, disk_per_network_bytes=0)
        site = answering(whole(b"application/json", text))
        async with (
            http2_fronted(tmp_path, site, buffer_budget=budget) as (rig, certificate),
            connected(rig, certificate, opens_windows=False) as connection,
        ):
            asked = []
            for _ in range(6):
                asked.append(connection.client.request([*GET, (b"x-do", b"mask")]))
                connection.flush()
                while not connection.client.answers[asked[-1]].fields:
                    assert await connection.read_once()
            found = [connection.client.answers[number].status for number in asked]
            assert set(found) == {200, 503}
            assert 0 < rig.front.stats()["buffered_bytes"] <= 5_000_000

    run(scenario())


def test_an_upload_goes_on_after_an_early_answer_was_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fakes.DECISIONS, b"mask", Decision(Mask(json=("email",), most_bytes=2_000_000), "masking"))
    text = json.dumps({"email": 1, "x": "y" * 200_000}).encode()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(whole(b"application/json", text))
        while await reader.read(65_536):
            pass

    async def scenario() -> None:
        async with (
            http2_fronted(tmp_path, early) as (rig, certificate),
            connected(rig, certificate, opens_windows=False) as connection,
        ):
            client, size = connection.client, 900_000
            while not client.connection.remote_settings.initial_window_size > 65_535:
                assert await connection.read_once()
            number = client.request(post((b"x-do", b"mask")), end=False)
            async with asyncio.timeout(20):
                while size:
                    room = min(16_000, size, client.connection.local_flow_control_window(number))
                    if not room:
                        assert await connection.read_once()
                        continue
                    size -= room
                    client.connection.send_data(number, b"z" * room, end_stream=not size)
                    connection.flush()

    run(scenario())
