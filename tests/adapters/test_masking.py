"""Answers that are masked by the front: over real sockets, with a real process that masks."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import subprocess
import sys
from threading import current_thread

import pytest

from proxyguard.adapters.mitmproxy.masking import MAX_OF_NETWORK, Masking
from proxyguard.adapters.mitmproxy.masking_process import MaskJob, MaskResult
from proxyguard.core.decision import Decision, Mask
from proxyguard.core.settings import Bounds, BufferBudget
from tests.adapters import fakes
from tests.adapters.front_rig import FrontRig, Handler, fronted, run, until

MASK = Mask(json=("email",), html=(".email",), untouched=("image/",), most_bytes=100_000)

PRIVATE = b"\r\nCache-Control: private, no-store\r\n"


@pytest.fixture(autouse=True)
def _masks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fakes.DECISIONS, b"mask", Decision(MASK, "masking"))
    monkeypatch.setitem(fakes.DECISIONS, b"deep", Decision(Mask(html=(".email",)), "masking"))


def answering(*pieces: bytes, close: bool = False) -> Handler:
    """A site that answers every request with these bytes, piece by piece."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            SEEN.append(await reader.readuntil(b"\r\n\r\n"))
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if close:
                return

    return handle


SEEN: list[bytes] = []


def whole(media: bytes, body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    lines = (b"HTTP/1.1 " + status, b"Content-Type: " + media, b"Content-Length: %d" % len(body), *fields, b"", body)
    return b"\r\n".join(lines)


def request(do: bytes = b"mask", *fields: bytes, line: bytes = b"GET /p HTTP/1.1") -> bytes:
    return b"\r\n".join((line, b"Host: a.example", b"X-Do: " + do, b"Connection: close", *fields, b"", b""))


async def answer_of(rig: FrontRig, sent: bytes | None = None) -> tuple[bytes, bytes]:
    head, _, body = (await rig.ask(sent or request())).partition(b"\r\n\r\n")
    return head + b"\r\n", body


PERSON = json.dumps({"name": "Ann", "email": "ann@b.example"}).encode()


def test_a_suspect_gets_the_answer_without_the_field_and_without_what_tells_of_the_body() -> None:
    fields = (
        b'ETag: "1"', b"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", b"Digest: sha-256=x", b"Accept-Ranges: bytes",
        b"Cache-Control: public, max-age=60", b"Age: 3", b"X-User: ann@b.example", b"Vary: Cookie", b"Set-Cookie: a=b",
        b"X-Frame-Options: DENY", b"Early-Data: 1",
    )  # fmt: skip

    async def scenario() -> None:
        async with fronted(answering(whole(b"application/json", PERSON, *fields))) as rig:
            asked = request(
                b"mask", b"Range: bytes=0-9", b"If-Range: x", b'If-None-Match: "1"', b"Accept-Encoding: gzip, br", b"Accept: */*"
            )
            head, body = await answer_of(rig, asked)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert body == b'{"name":"Ann","email":null}'
            assert b"\r\nContent-Length: %d\r\n" % len(body) in head
            assert PRIVATE in head
            for kept in (b"Vary: Cookie", b"Set-Cookie: a=b", b"X-Frame-Options: DENY", b"Content-Type: application/json"):
                assert b"\r\n%b\r\n" % kept in head
            for lost in (b"etag", b"last-modified", b"digest", b"ranges", b"public", b"age:", b"x-user", b"early-data", b"ann@"):
                assert lost not in head.lower()
            sent = SEEN[-1].lower()
            assert b"\r\naccept-encoding: identity\r\n" in sent
            assert b"\r\naccept: */*\r\n" in sent
            for part in (b"range", b"if-none-match", b"gzip"):
                assert part not in sent
            assert rig.served == [(200, "")]
            [(_, served)] = rig.checker.settled  # type: ignore[attr-defined]
            assert served.bytes_sent == len(body)
            assert served.upstream_seconds is not None

    run(scenario())


def test_everybody_else_gets_every_byte() -> None:
    async def scenario() -> None:
        plain = whole(b"application/json", PERSON, b'ETag: "1"', b"Date: Sun, 06 Nov 1994 08:49:37 GMT")
        async with fronted(answering(plain)) as rig:
            asked = request(b"pass", b'If-None-Match: "2"', b"Accept-Encoding: gzip", b"Range: bytes=0-9")
            head, body = await answer_of(rig, asked)
            assert body == PERSON
            assert b'\r\nETag: "1"\r\n' in head
            for field in (b'If-None-Match: "2"', b"Accept-Encoding: gzip", b"Range: bytes=0-9"):
                assert b"\r\n%b\r\n" % field in SEEN[-1]

    run(scenario())


@pytest.mark.parametrize(
    ("answer", "status", "fault"),
    [
        (whole(b"text/csv", b"ann@b.example"), 403, "mask-type"),
        (whole(b"application/octet-stream", PERSON), 403, "mask-type"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nann@b.example", 403, "mask-type"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ann@b.example\n\n", 403, "mask-type"),
        (whole(b"application/json", PERSON, status=b"206 Partial Content"), 403, "mask-part"),
        (whole(b"multipart/byteranges; boundary=x", PERSON, status=b"206 Partial Content"), 403, "mask-type"),
        (whole(b"application/json", PERSON[:-3]), 403, "mask-json"),
        (whole(b"application/json", PERSON, b"Content-Encoding: br"), 403, "mask-encoding"),
        (whole(b"application/json", gzip.compress(b" " * 200_000), b"Content-Encoding: gzip"), 403, "mask-size"),
        (whole(b"application/json", b" " * 100_001), 403, "mask-size"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n" + PERSON, 502, "upstream-response"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n"
            % (len(PERSON), PERSON), 502, "upstream-response",
        ),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 502, "upstream-response"),
        (whole(b"text/plain", b"ann@b.example", status=b"500 Internal Server Error"), 403, "mask-type"),
    ],
)  # fmt: skip
def test_what_cannot_be_masked_is_refused(answer: bytes, status: int, fault: str) -> None:
    async def scenario() -> None:
        async with fronted(answering(answer, close=True)) as rig:
            head, body = await answer_of(rig)
            assert head.startswith(b"HTTP/1.1 %d " % status)
            assert b"\r\nX-Proxyguard-Reference: 0000000000000001\r\n" in head
            assert b"ann@b" not in head + body
            assert rig.served == [(status, fault)]
            assert rig.front.stats()["buffered_bytes"] == 0

    run(scenario())


def test_an_upgrade_is_not_offered() -> None:
    async def scenario() -> None:
        async with fronted() as rig:
            asked = request(b"mask", b"Upgrade: websocket", b"Sec-WebSocket-Key: x").replace(b"close", b"Upgrade")
            answer = await rig.ask(asked, count=20)
            assert answer.startswith(b"HTTP/1.1 403 ")
            assert rig.upstream.connections == 0

    run(scenario())


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (whole(b"image/png", b"\x89PNG ann@b.example", b'ETag: "1"'), b"\x89PNG ann@b.example"),
        (whole(b"", b"", status=b"302 Found"), b""),
        (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (whole(b"application/json", gzip.compress(PERSON), b"Content-Encoding: gzip"), b'{"name":"Ann","email":null}'),
        (whole(b"text/html", b"<p class=email>a@b</p>x"), b"<html><head></head><body>x</body></html>"),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </ann@b.example>\r\n\r\n" + whole(b"application/json", b'{"email": "\xc3\xa4"}'),
            b'{"email":null}',
        ),
    ],
)
def test_what_is_known_passes(answer: bytes, shown: bytes) -> None:
    async def scenario() -> None:
        async with fronted(answering(answer)) as rig:
            head, body = await answer_of(rig)
            assert body == shown
            assert b"Link" not in head

    run(scenario())


def test_an_answer_that_comes_byte_by_byte_is_masked_as_one() -> None:
    async def scenario() -> None:
        text = whole(b"application/json", '{"email": "ä", "n": "ä"}'.encode())
        async with fronted(answering(*(text[at : at + 1] for at in range(len(text))))) as rig:
            assert (await answer_of(rig))[1] == b'{"email":null,"n":"\\u00e4"}'

    run(scenario())


def test_head_says_nothing_of_the_body() -> None:
    async def scenario() -> None:
        answer = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1234\r\nETag: "1"\r\n\r\n'
        async with fronted(answering(answer)) as rig:
            head, body = await answer_of(rig, request(line=b"HEAD /p HTTP/1.1"))
            assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            assert PRIVATE in head
            assert b"1234" not in head
            assert b"etag" not in head.lower()
            assert body == b""

    run(scenario())


def test_a_connection_goes_on_and_a_slow_client_gets_all() -> None:
    text = json.dumps({"email": 1, "x": "y" * 90_000}).encode()

    async def scenario() -> None:
        async with fronted(answering(whole(b"application/json", text))) as rig:
            reader, writer = await rig.connect()
            for _ in range(40):
                writer.write(request().replace(b"Connection: close", b"Connection: keep-alive"))
            await asyncio.sleep(0.2)
            for _ in range(40):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                assert json.loads(await reader.readexactly(length)) == {"email": None, "x": "y" * 90_000}
            writer.close()
            await until(lambda: len(rig.served) == 40)
            assert rig.front.stats()["buffered_bytes"] == 0

    run(scenario())


def test_a_client_that_leaves_costs_nothing_more() -> None:
    async def scenario() -> None:
        async with fronted(answering(whole(b"application/json", PERSON))) as rig:
            for _ in range(20):
                _, writer = await rig.connect()
                writer.write(request())
                await asyncio.sleep(0.001)
                writer.transport.abort()
            await until(lambda: rig.front.stats()["connections"] == 0)
            assert (await answer_of(rig))[1] == b'{"name":"Ann","email":null}'
            assert rig.front.stats()["buffered_bytes"] == 0

    run(scenario())


def test_a_process_that_dies_is_replaced_and_its_answer_refused() -> None:
    async def scenario() -> None:
        async with fronted(answering(whole(b"application/json", PERSON))) as rig:
            assert (await answer_of(rig))[1] == b'{"name":"Ann","email":null}'
            runtime = rig.front._runtime
            assert runtime is not None
            child = runtime.masking._child
            assert child is not None
            os.kill(child.pid, signal.SIGSTOP)
            head, body = await answer_of(rig)
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"ann@b" not in body
            assert rig.served[-1] == (503, "mask-timeout")
            assert (await answer_of(rig))[1] == b'{"name":"Ann","email":null}'

    run(scenario())


def test_a_page_that_takes_too_long_to_read_is_refused() -> None:
    async def scenario() -> None:
        page = b"<div>" * 90_000 + b"<p class=email>ann@b.example"  # the square of its depth
        async with fronted(answering(whole(b"text/html", page))) as rig:
            head, body = await answer_of(rig, request(b"deep"))
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"ann@b" not in body
            assert rig.served == [(503, "mask-timeout")]

    run(scenario())


def test_memory_and_time_are_bounded() -> None:
    async def stuck(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{")
        await reader.read()

    async def scenario() -> None:
        bounds = Bounds(upstream_first_byte_seconds=0.3, upstream_gap_seconds=0.3)
        async with fronted(stuck, bounds=bounds) as rig:
            head, _ = await answer_of(rig)
            assert head.startswith(b"HTTP/1.1 504 ")
        budget = BufferBudget(memory_bytes=1000, memory_per_network_bytes=1000)
        async with fronted(answering(whole(b"application/json", b" " * 2000)), buffer_budget=budget) as rig:
            head, _ = await answer_of(rig)
            assert head.startswith(b"HTTP/1.1 503 ")
            assert rig.served == [(503, "mask-memory")]
            assert rig.events.bounds["buffering_memory"] == 1

    run(scenario())


JOB: MaskJob = (MASK, "application/json", "", PERSON)


def test_a_network_has_its_share_of_what_waits() -> None:
    async def scenario() -> None:
        work = Masking(asyncio.get_running_loop())
        results: list[MaskResult] = []
        asked = [work.mask(JOB, "192.0.2.0/24", results.append) for _ in range(MAX_OF_NETWORK + 1)]
        assert asked == [True] * MAX_OF_NETWORK + [False]
        assert work.mask(JOB, "198.51.100.0/24", results.append)
        await until(lambda: len(results) == MAX_OF_NETWORK + 1)
        assert {reason for reason, _, _ in results} == {""}
        assert work.mask(JOB, "192.0.2.0/24", results.append)
        work.close()

    run(scenario())


def test_networks_take_turns() -> None:
    async def scenario() -> None:
        work = Masking(asyncio.get_running_loop())
        done: list[str] = []
        for network in ["192.0.2.0/24"] * MAX_OF_NETWORK + ["198.51.100.0/24"] * 2:
            assert work.mask(JOB, network, lambda _, network=network: done.append(network))  # type: ignore[misc]
        await until(lambda: len(done) == MAX_OF_NETWORK + 2)
        assert done.index("198.51.100.0/24") <= 2
        work.close()

    run(scenario())


def test_a_process_that_cannot_start_is_not_started_for_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[object] = []
    """The threads that started one: those of earlier tests may not have ended yet."""

    class Counted(subprocess.Popen[bytes]):
        def __init__(self, _command: tuple[str, ...], *, stdin: int, stdout: int) -> None:
            starts.append(current_thread())
            super().__init__((sys.executable, "-c", ""), stdin=stdin, stdout=stdout)

    async def scenario() -> None:
        monkeypatch.setattr("subprocess.Popen", Counted)
        monkeypatch.setattr("proxyguard.adapters.mitmproxy.masking.REST_SECONDS", 3600.0)
        work = Masking(asyncio.get_running_loop())
        results: list[MaskResult] = []
        assert all(work.mask(JOB, "192.0.2.0/24", results.append) for _ in range(9))
        await until(lambda: len(results) == 9)
        assert {reason for reason, _, _ in results} == {"mask-crashed"}
        assert starts.count(work._thread) == 1
        work.close()

    run(scenario())


def test_a_process_that_does_not_read_its_job_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fakes.DECISIONS, b"mask", Decision(Mask(json=("email",), most_bytes=1_000_000), "masking"))
    text = json.dumps({"email": 1, "x": "y" * 300_000}).encode()  # more than a pipe holds

    async def scenario() -> None:
        async with fronted(answering(whole(b"application/json", text))) as rig:
            await answer_of(rig)
            child = rig.front._runtime.masking._child  # type: ignore[union-attr]
            assert child is not None
            os.kill(child.pid, signal.SIGSTOP)
            try:
                await answer_of(rig)
                await answer_of(rig)
                assert rig.served[1:] == [(503, "mask-timeout"), (200, "")]
            finally:
                os.kill(child.pid, signal.SIGKILL) if child.returncode is None else None

    run(scenario())
