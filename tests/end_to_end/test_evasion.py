"""Ways around the rules that a script might try on the wire: none shows a page, and none confuses front and upstream."""

from __future__ import annotations

import re

import pytest

from tests.end_to_end.processes import Proxyguard

SCRIPT = b"User-Agent: python-requests/2.32.3\r\n"


def raw(guard: Proxyguard, request: bytes) -> bytes:
    """All that comes back on a connection of its own, until it is closed."""
    with guard.connect() as connection:
        connection.settimeout(5)
        connection.sendall(request)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


@pytest.mark.parametrize(
    "target",
    [
        b"/.well-known/../profiles/1",
        b"/.well-known/%2e%2e/profiles/1",
        b"/.well-known/..%2fprofiles/1",
        b"/.well-known/x/../../profiles/1",
        b"/robots.txt/../profiles/1",
        b"/robots.txt%00/profiles/1",
        b"/api/../profiles/1",
        b"//profiles/1",
        b"/%70rofiles/1",
        b"/profiles/1#.xml",
        b"/profiles/1?x=/robots.txt",
        b"http://x/profiles/1",
        b"http://other.example/profiles/1",
    ],
)
def test_no_spelling_of_a_page_gets_a_script_past_its_rule(guard: Proxyguard, target: bytes) -> None:
    answer = raw(guard, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n" + SCRIPT + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert b"Imani" not in answer
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "head",
    [
        b"GET /robots.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 44\r\n",
        b"GET /robots.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n",
        b"GET /robots.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n",
        b"GET /robots.txt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n",
        b"GET /robots.txt HTTP/1.1\nHost: x\n",
        b"GET /robots.txt HTTP/1.1\r\nHost: x\r\n folded: 1\r\n",
        b"GET /robots.txt HTTP/1.1\r\nHost: x\r\nHost: y\r\n",
        b"GET /robots.txt HTTP/1.1\r\n",
    ],
)
def test_no_second_request_is_smuggled_behind_an_open_one(guard: Proxyguard, head: bytes) -> None:
    hidden = b"GET /profiles/1 HTTP/1.1\r\nHost: x\r\n" + SCRIPT + b"\r\n"
    answer = raw(guard, head + SCRIPT + b"\r\n" + hidden)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_refused_upload_is_answered_before_its_body(guard: Proxyguard) -> None:
    with guard.connect() as connection:
        connection.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nUser-Agent: GPTBot/1.2\r\nContent-Length: 1000000000\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 403 ")


def test_a_refused_head_has_no_body(guard: Proxyguard) -> None:
    answer = raw(guard, b"HEAD /profiles/1 HTTP/1.1\r\nHost: x\r\n" + SCRIPT + b"Connection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"\r\n\r\n")


def test_pipelined_requests_are_each_decided_and_answered_in_order(guard: Proxyguard) -> None:
    parts = [b"GET /robots.txt", b"GET /profiles/1", b"GET /api/profiles/7", b"GET /profiles/2"]
    request = b"".join(part + b" HTTP/1.1\r\nHost: x\r\n" + SCRIPT + b"\r\n" for part in parts[:-1])
    answer = raw(guard, request + parts[-1] + b" HTTP/1.1\r\nHost: x\r\n" + SCRIPT + b"Connection: close\r\n\r\n")
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]
    assert statuses == [200, 403, 200, 403]
