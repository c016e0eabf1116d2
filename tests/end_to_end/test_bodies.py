"""Large and endless bodies through the real command: whole, in order, and not in its memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from tests.end_to_end.nginx import LARGE_BYTES
from tests.end_to_end.processes import Proxyguard, wait_until

MIB = 1024 * 1024
UPLOAD_BYTES = 200 * MIB
MAX_RISE_BYTES = 50 * MIB
AGENT = {"User-Agent": "backup-agent/1.0"}


@pytest.fixture
def memory_stays(guard: Proxyguard) -> Iterator[None]:
    """Fails when the peak of resident memory rises by more than MAX_RISE_BYTES."""
    guard.get("/api/headers", headers=AGENT).raise_for_status()
    before = guard.memory_bytes()
    guard.forget_peak_memory()
    yield
    assert guard.peak_memory_bytes() - before < MAX_RISE_BYTES


def chunks(total: int) -> Iterator[bytes]:
    block = bytes(range(256)) * 4096
    for _ in range(total // len(block)):
        yield block


@pytest.mark.usefixtures("memory_stays")
@pytest.mark.parametrize("chunked", [False, True], ids=["content-length", "chunked"])
def test_an_upload_of_200_mb_arrives_whole(guard: Proxyguard, *, chunked: bool) -> None:
    digest = hashlib.sha256()
    for block in chunks(UPLOAD_BYTES):
        digest.update(block)

    class Sized:
        """A body whose length is known, read bit by bit."""

        def __init__(self) -> None:
            self._blocks = chunks(UPLOAD_BYTES)

        def __len__(self) -> int:
            return UPLOAD_BYTES

        def read(self, _size: int = -1) -> bytes:
            return next(self._blocks, b"")

    body = chunks(UPLOAD_BYTES) if chunked else Sized()
    answer = guard.ask("PUT", "/upload", data=body, headers=AGENT, timeout=120)
    assert answer.json() == {"bytes": UPLOAD_BYTES, "sha256": digest.hexdigest()}


@pytest.mark.usefixtures("memory_stays")
def test_a_download_of_1_gb_arrives_whole(guard: Proxyguard) -> None:
    received = 0
    with guard.get("/files/large.bin", headers=AGENT, stream=True, timeout=60) as answer:
        assert answer.headers["content-length"] == str(LARGE_BYTES)
        for block in answer.iter_content(4 * MIB):
            received += len(block)
    assert received == LARGE_BYTES


@pytest.mark.usefixtures("memory_stays")
def test_a_slow_reader_of_a_large_download_is_not_buffered(guard: Proxyguard) -> None:
    with guard.connect(receive_bytes=64 * 1024) as connection:
        connection.sendall(b"GET /files/large.bin HTTP/1.1\r\nHost: x\r\nUser-Agent: backup-agent/1.0\r\n\r\n")
        assert connection.recv(64 * 1024).startswith(b"HTTP/1.1 200 ")
        for _ in range(200):
            assert connection.recv(64 * 1024)


def test_a_part_of_a_large_file_is_that_part(guard: Proxyguard) -> None:
    part = {"Range": "bytes=500-1499"}
    ranged = guard.get("/files/large.bin", headers=AGENT | part)
    assert (ranged.status_code, len(ranged.content)) == (206, 1000)
    whole = guard.get("/bytes/1000000", headers=AGENT).content
    assert whole == (bytes(range(256)) * 4096)[: len(whole)]
    assert len(whole) == 1_000_000


@pytest.mark.usefixtures("memory_stays")
def test_an_endless_event_stream_arrives_event_by_event_and_ends_with_its_reader(guard: Proxyguard) -> None:
    with guard.get("/events?interval=0.01", headers=AGENT, stream=True, timeout=20) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        lines = answer.iter_lines()
        numbers = [int(line[6:]) for line in (next(lines) for _ in range(400)) if line]
    assert numbers == list(range(1, 201))

    def forgotten() -> bool:
        return _gauge(guard, "proxyguard_connections") <= 1

    wait_until(forgotten, "the front lets go of a reader that left")


def _gauge(guard: Proxyguard, name: str) -> float:
    for line in guard.admin("/metrics").splitlines():
        if line.split(" ")[0].split("{")[0] == name:
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no metric {name}")
