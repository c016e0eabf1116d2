"""Whatever page of ours a client is shown, `explain --reference` finds its reference and says in words what happened."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

import pytest
from click.testing import CliRunner

from proxyguard.cli.explain import explain
from tests.end_to_end.processes import Proxyguard, proxyguard, wait_until
from tests.end_to_end.raw_upstream import Received, raw_upstream
from tests.ports import free_port

pytestmark = pytest.mark.alone

REFERENCE: Final = re.compile(rb"X-Proxyguard-Reference: ([0-9a-f]{16})\r\n", re.IGNORECASE)

RULES: Final = """\
name: refusals
rules:
  - name: no-entry
    why: Nobody may.
    when: {path: /no}
    action: reject
  - name: sticky
    why: Something slow.
    when: {path: /tar}
    action: {tarpit: {hold: 2s}}
  - name: out
    why: Out.
    when: {path: /ban}
    action: {ban: {for: 1h}}
    limit: {rate: 1/hour, burst: 1, per: header.x-key}
  - name: later
    why: Not now.
    when: {path: /later}
    action: {delay: 20s}
"""

SETTINGS: Final = """\
sites:
  - {{hosts: [up.example], upstream: "{up}"}}
  - {{hosts: [down.example], upstream: "{down}"}}
bounds:
  head_timeout: 1s
  upstream_first_byte_timeout: 1s
  body_size: 1KiB
  requests_per_network: 4
  body_gap_timeout: 1s
"""


def answer(connection: socket.socket, received: Received) -> None:
    """The upstream: an answer, or what the path asks for instead."""
    if received.line.startswith(b"GET /silent "):
        time.sleep(3)
    elif received.line.startswith(b"GET /garbage "):
        connection.sendall(b"220 mail.example ESMTP\r\n\r\n")
    elif received.line.startswith(b"GET /close "):
        connection.shutdown(socket.SHUT_RDWR)
    else:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxyguard]:
    folder = tmp_path_factory.mktemp("references")
    (folder / "rules").mkdir()
    (folder / "rules/refusals.yaml").write_text(RULES)
    with ExitStack() as stack:
        site = stack.enter_context(raw_upstream(answer))
        settings = SETTINGS.format(up=site.url, down=f"http://127.0.0.1:{free_port()}")
        yield stack.enter_context(proxyguard(folder, "", rules=folder / "rules", settings=settings))


def get(path: str = "/", host: str = "up.example", more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


KINDS: Final[dict[str, tuple[bytes, int, str]]] = {
    "request line": (b"GET\r\n\r\n", 400, "request-line: the first line"),
    "version": (b"GET / HTTP/9.9\r\n\r\n", 505, "version: the first line names another"),
    "target": (get("/" + "x" * 70_000), 414, "target-size: the target is longer"),
    "headers": (get(more="X: " + "x" * 70_000 + "\r\n"), 431, "longer than the bounds allow"),
    "smuggling": (get(more="Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400, "smuggle"),
    "method": (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405, "CONNECT and TRACE"),
    "host": (get(host="other.example"), 421, "no site has this host"),
    "slow head": (b"GET / HT", 408, "head was not whole in time"),
    "body": (b"POST / HTTP/1.1\r\nHost: up.example\r\nContent-Length: 9999\r\n\r\n", 413, "body is longer"),
    "chunk": (b"POST / HTTP/1.1\r\nHost: up.example\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "chunk"),
    "slow body": (b"POST / HTTP/1.1\r\nHost: up.example\r\nContent-Length: 9\r\n\r\n1", 408, "body too slowly"),
    "upstream down": (get(host="down.example"), 503, "accepts no connection"),
    "upstream silent": (get("/silent"), 504, "did not answer in time"),
    "upstream garbage": (get("/garbage"), 502, "response was malformed"),
    "upstream closed": (get("/close"), 502, "without an answer"),
    "rule": (get("/no"), 403, "decision: reject by no-entry"),
    "tarpit": (get("/tar"), 200, "held: the client was kept waiting"),
    "ban": (get("/ban", more="X-Key: a\r\n") * 2, 403, "ban: the client is banned"),
}


def shown(port: int, data: bytes) -> bytes:
    """What a raw client gets until the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(data)
        got = b""
        try:
            while piece := client.recv(65536):
                got += piece
                if REFERENCE.search(got):
                    break
        except ConnectionResetError:
            pass
    return got


def explained(running: Proxyguard, reference: str) -> str:
    where = ("--audit", str(running.audit), "--rules", str(running.audit.parent / "rules"))
    found = CliRunner().invoke(explain, ("--reference", reference, *where))
    assert found.exit_code == 0, found.output
    return found.output


def reference_in(got: bytes) -> str:
    found = REFERENCE.search(got)
    assert found, got
    return found[1].decode()


@pytest.fixture(scope="module")
def answers(running: Proxyguard) -> dict[str, bytes]:
    got = {kind: shown(running.port, data) for kind, (data, _, _) in KINDS.items()}
    references = [reference_in(answer) for answer in got.values()]
    wait_until(lambda: set(references) <= {each.get("reference") for each in running.records()}, "all records")
    return got


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_of_every_kind_of_refusal_is_found_and_says_what_happened(
    running: Proxyguard, answers: dict[str, bytes], kind: str
) -> None:
    _, status, words = KINDS[kind]
    reference = reference_in(answers[kind])
    [record] = [each for each in running.records() if each.get("reference") == reference]
    assert (record["status"], record["network"]) == (status, "127.0.0.0/24")
    assert words in explained(running, reference)


@pytest.mark.parametrize(("path", "under_way", "words"), [
    ("/later", 1, "delay: as many requests were being delayed"),
    ("/silent", 2, "requests-per-network: the client's network had"),
])  # fmt: skip
def test_the_reference_of_a_request_beyond_a_bound_is_found(running: Proxyguard, path: str, under_way: int, words: str) -> None:
    with ExitStack() as stack:
        for _ in range(under_way):
            held = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=10))
            held.sendall(get(path))
        got = shown(running.port, get(path))
    reference = reference_in(got)
    assert got.startswith(b"HTTP/1.1 429 ")
    wait_until(lambda: reference in running.audit.read_text(), "its record")
    assert words in explained(running, reference)


def test_a_flood_of_malformed_requests_writes_a_bounded_log(running: Proxyguard) -> None:
    before = len(running.records())
    references = [reference_in(shown(running.port, b"GET / HTTP/9.9\r\n\r\n")) for _ in range(30)]
    wait_until(lambda: references[-1] in running.audit.read_text(), "their records")
    assert len(running.records()) == before + 30
