"""What we forward, read by others: h11 and nginx must see the method, target, fields and body that were inspected."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import h11
import pytest

from tests.http.http1.odd_requests import ODD_REQUESTS, Forwarded
from tests.http.http1.reading import read_responses, wire
from tests.ports import free_port

FORWARDED = [(name, expected) for name, _, expected in ODD_REQUESTS if isinstance(expected, Forwarded)]

forwarded = pytest.mark.parametrize("request_", [row[1] for row in FORWARDED], ids=[row[0] for row in FORWARDED])


def _fields(head: bytes) -> list[tuple[bytes, bytes]]:
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]
    return [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)]


def test_enough_is_forwarded_to_compare() -> None:
    assert len(FORWARDED) >= 100


@forwarded
def test_h11_reads_the_same(request_: Forwarded) -> None:
    peer = h11.Connection(h11.SERVER, max_incomplete_event_size=64 * 1024)
    peer.receive_data(wire(request_))
    head = peer.next_event()
    assert isinstance(head, h11.Request)
    assert b"%b %b HTTP/1.1" % (head.method, head.target) == request_.head.split(b"\r\n")[0]
    assert list(head.headers) == [
        (name, value.lower() if name == b"transfer-encoding" else value) for name, value in _fields(request_.head)
    ]
    body, event = b"", peer.next_event()
    while isinstance(event, h11.Data):
        body += event.data
        event = peer.next_event()
    assert isinstance(event, h11.EndOfMessage)
    assert body == request_.body
    assert list(event.headers) == [(name.lower(), value) for name, value in request_.trailers]
    assert peer.trailing_data[0] == b""


NGINX_CONF = """
daemon off; master_process off; pid {directory}/pid; error_log {directory}/error.log crit;
events {{ worker_connections 64; }}
http {{
  access_log off; underscores_in_headers on; ignore_invalid_headers off; large_client_header_buffers 4 64k;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/p; fastcgi_temp_path {directory}/f;
  uwsgi_temp_path {directory}/u; scgi_temp_path {directory}/s; default_type text/plain;
  server {{ listen 127.0.0.1:{back}; location / {{ return 200; }} }}
  server {{
    listen 127.0.0.1:{port}; client_body_buffer_size 64k; client_body_in_single_buffer on;
    location / {{
      proxy_pass http://127.0.0.1:{back}/;
      add_header Seen-Method $request_method always; add_header Seen-Target $request_uri always;
      add_header Seen-Host $http_host always; add_header Seen-Body "<$request_body>" always;
      add_header Seen-X "<$http_x>" always;
    }}
  }}
}}
"""


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an nginx that says in response fields what it understood."""
    directory: Path = tmp_path_factory.mktemp("nginx")
    port = free_port()
    (directory / "nginx.conf").write_text(NGINX_CONF.format(directory=directory, port=port, back=free_port()))
    server = subprocess.Popen(["nginx", "-p", str(directory), "-c", str(directory / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 20).close()
                break
            except ConnectionRefusedError:
                assert time.monotonic() < deadline, (directory / "error.log").read_text()
        yield port
    finally:
        server.terminate()
        server.wait(30)


NGINX_REFUSES = {
    "HTTP/1.0 without Host": 400,  # an empty Host: the lane puts the upstream's name there
    "OPTIONS for the server": 400,
    "OPTIONS in absolute-form": 400,
}
"""What nginx answers with an error although the message is sound."""


SHOWABLE = [row for row in FORWARDED if b"\r\n" not in row[1].body]
"""Those whose body nginx can say in a response field."""


@pytest.mark.parametrize(("name", "request_"), SHOWABLE, ids=[row[0] for row in SHOWABLE])
def test_nginx_reads_the_same(nginx: int, name: str, request_: Forwarded) -> None:
    method, target, _ = request_.head.split(b"\r\n")[0].split(b" ")
    with closing(socket.create_connection(("127.0.0.1", nginx), 20)) as connection:
        connection.sendall(wire(request_).replace(b"Host:", b"Connection: close\r\nHost:", 1))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    found, fault, _ = read_responses([answer], method, closed=True)
    assert fault is None
    head = found[-1][0]  # a 100 may precede it
    if name in NGINX_REFUSES:
        assert getattr(head, "status", None) == NGINX_REFUSES[name]
        return
    seen = {field: value for field, value in head.headers if field.startswith(b"Seen-")}
    fields = _fields(request_.head)
    said = [value for field, value in fields if field == b"x"]
    assert seen.pop(b"Seen-X") in (b"<" + b"".join(said[:1]) + b">", b"<" + b", ".join(said) + b">")  # before and after 1.23
    assert seen == {
        b"Seen-Method": method,
        b"Seen-Target": target,
        b"Seen-Host": dict(fields)[b"host"],
        b"Seen-Body": b"<" + request_.body + b">",
    }
