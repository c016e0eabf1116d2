"""HTTP/2 through the real command with curl, the version asserted each time: large bodies, a stream, many requests at once."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.nginx import LARGE_BYTES
from tests.end_to_end.processes import Proxyguard, proxyguard

MIB = 1024 * 1024
UPLOAD_BYTES = 200 * MIB
MAX_RISE_BYTES = 50 * MIB


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Proxyguard]:
    """proxyguard with TLS and HTTP/2."""
    with proxyguard(tmp_path_factory.mktemp("guard"), upstream, alpn="h2") as running:
        yield running


def curl(guard: Proxyguard, path: str, *options: str, body: bytes | None = None) -> bytes:
    """What curl wrote, over HTTP/2 with a verified certificate."""
    command = ["curl", "-sS", "--http2", "--cacert", str(guard.authority), "-A", "backup-agent/1.0", *options, guard.url + path]
    return subprocess.run(command, input=body, capture_output=True, check=True, timeout=300).stdout


@pytest.fixture
def memory_stays(guard: Proxyguard) -> Iterator[None]:
    """Fails when the peak of resident memory rises by more than MAX_RISE_BYTES."""
    curl(guard, "/feed.xml")
    before = guard.memory_bytes()
    guard.forget_peak_memory()
    yield
    assert guard.peak_memory_bytes() - before < MAX_RISE_BYTES


@pytest.mark.usefixtures("memory_stays")
def test_an_upload_of_200_mb_arrives_whole(guard: Proxyguard, folder: Path) -> None:
    upload = folder / "upload.bin"
    digest = hashlib.sha256()
    with upload.open("wb") as file:
        for number in range(UPLOAD_BYTES // MIB):
            block = bytes([number % 256]) * MIB
            file.write(block)
            digest.update(block)
    said = curl(guard, "/upload", "-T", str(upload), "-w", " %{http_version}")
    assert said == f'{{"bytes": {UPLOAD_BYTES}, "sha256": "{digest.hexdigest()}"}} 2'.encode()


@pytest.mark.usefixtures("memory_stays")
def test_a_download_of_1_gb_arrives_whole(guard: Proxyguard) -> None:
    said = curl(guard, "/files/large.bin", "-o", "/dev/null", "-w", "%{http_version} %{http_code} %{size_download}")
    assert said == f"2 200 {LARGE_BYTES}".encode()


@pytest.mark.usefixtures("memory_stays")
def test_an_event_stream_arrives(guard: Proxyguard) -> None:
    said = curl(guard, "/events?count=50&interval=0.02", "-N", "-w", "%{http_version}")
    assert said == b"".join(b"data: %d\n\n" % number for number in range(1, 51)) + b"2"


def test_a_refusal_comes_over_http2_too(guard: Proxyguard) -> None:
    options = ("-A", "python-requests/2.32.3", "-o", "/dev/null", "-w", "%{http_version} %{http_code}")
    assert curl(guard, "/profiles/1", *options) == b"2 403"


def test_a_client_that_speaks_http1_only_is_served_too(guard: Proxyguard) -> None:
    assert curl(guard, "/feed.xml", "--http1.1", "-o", "/dev/null", "-w", "%{http_version} %{http_code}") == b"1.1 200"


def test_many_requests_at_once_on_few_connections(guard: Proxyguard) -> None:
    command = ["h2load", "-n", "2000", "-c", "4", "-m", "32", "-H", "user-agent: backup-agent/1.0", f"{guard.url}/feed.xml"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "Application protocol: h2" in said
    assert "status codes: 2000 2xx, 0 3xx, 0 4xx, 0 5xx" in said
