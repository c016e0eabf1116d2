"""HTTP/2 to real servers, nginx and nghttpd, in clear text and over TLS, for clients of HTTP/1.1 and of HTTP/2."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.nginx import running_nginx
from tests.end_to_end.processes import Proxyguard, Running, accepts, make_certificate, proxyguard
from tests.ports import free_port

LARGE = bytes(range(256)) * 20_000
NGINX = """
  client_max_body_size 0; keepalive_requests 50; default_type text/plain;
  server {{
    listen 127.0.0.1:{port} {how};
    ssl_certificate {chain}; ssl_certificate_key {key};
    root {root};
    location /said {{ return 200 "$server_protocol $request_method $host $http_te $arg_a"; }}
    location /upload {{ proxy_pass http://unix:{folder}/count.sock; }}
  }}
  server {{ listen unix:{folder}/count.sock; location / {{ return 200 "$content_length"; }} }}
"""


@contextlib.contextmanager
def nginx(folder: Path, chain: Path, key: Path, how: str) -> Iterator[int]:
    port = free_port()
    with running_nginx(folder, NGINX.format(folder=folder, port=port, how=how, chain=chain, key=key, root=folder / "root"), port):
        yield port


@contextlib.contextmanager
def nghttpd(folder: Path, chain: Path, key: Path, how: str) -> Iterator[int]:
    port = free_port()
    options = [] if how else ["--no-tls"]
    files = [key, chain] if how else []
    running = Running.start(["nghttpd", *options, "-d", folder / "root", str(port), *files], folder / "nghttpd.log")
    running.wait_for(lambda: accepts(port), "nghttpd")
    try:
        yield port
    finally:
        running.end(seconds=5)


SERVERS = {
    "nginx": (nginx, "http2"),
    "nginx, TLS": (nginx, "ssl http2"),
    "nghttpd": (nghttpd, ""),
    "nghttpd, TLS": (nghttpd, "tls"),
}


@pytest.fixture(scope="module", params=SERVERS)
def guard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxyguard]:
    """proxyguard before a server that speaks HTTP/2; which one is in `alpn` of the result."""
    serve, how = SERVERS[request.param]
    if shutil.which(serve.__name__) is None:
        pytest.skip(f"{serve.__name__} is not installed")
    folder = tmp_path_factory.mktemp("server")
    (folder / "root").mkdir()
    (folder / "root" / "large.bin").write_bytes(LARGE)
    (folder / "root" / "small.txt").write_text("hello\n")
    folder.chmod(0o755)
    chain, key = make_certificate(folder)
    is_tls = "tls" in how or "ssl" in how
    with serve(folder, chain, key, how) as port:
        url = f"https://127.0.0.1:{port}" if is_tls else f"h2c://127.0.0.1:{port}"
        settings = f"upstream_http: 2\nupstream_tls: {{ca: {chain}, name: localhost}}\n" if is_tls else ""
        with proxyguard(tmp_path_factory.mktemp("guard"), url, settings=settings, alpn="h2") as running:
            running.server = request.param  # type: ignore[attr-defined]  # for the tests below
            yield running


def curl(guard: Proxyguard, path: str, *options: str) -> bytes:
    command = ["curl", "-sS", "--cacert", str(guard.authority), "-A", "backup-agent/1.0", *options, guard.url + path]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_files_arrive_whole(guard: Proxyguard, version: str) -> None:
    assert curl(guard, "/large.bin", version) == LARGE
    assert curl(guard, "/nothing", version, "-o", "/dev/null", "-w", "%{http_code}") == b"404"
    head = curl(guard, "/large.bin", version, "-I").lower()
    assert b"content-length: %d" % len(LARGE) in head


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
def test_requests_and_uploads_are_taken(guard: Proxyguard, version: str, tmp_path: Path) -> None:
    if not guard.server.startswith("nginx"):  # type: ignore[attr-defined]  # see the fixture
        pytest.skip("nghttpd serves files alone")
    said = curl(guard, "/said?a=b%20c", version, "-H", "TE: trailers")
    assert (
        said == b"HTTP/2.0 GET 127.0.0.1 trailers b%20c" if version == "--http2" else said.startswith(b"HTTP/2.0 GET 127.0.0.1")
    )
    (tmp_path / "up").write_bytes(LARGE)
    assert curl(guard, "/upload", version, "-T", str(tmp_path / "up")) == b"%d" % len(LARGE)


def test_many_requests_share_few_connections_and_a_server_may_end_them(guard: Proxyguard) -> None:
    """nginx here takes 50 requests on a connection, then says GOAWAY."""
    command = ["h2load", "-n", "1000", "-c", "4", "-m", "20", "-H", "user-agent: backup-agent/1.0", f"{guard.url}/small.txt"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    assert "status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx" in said
    assert "proxyguard_upstream_leases 0" in guard.admin("/metrics")
