"""Every odd request through the running command to a recording upstream: the very bytes expected arrive, or nothing whole.

The same table as the parser's tests, here over real sockets with the real process: nothing hangs, nothing is logged as a fault of
ours, and each refusal is counted under its reason.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxyguard.http.claims import is_claim
from tests.end_to_end.processes import Proxyguard, proxyguard
from tests.end_to_end.raw_upstream import RawUpstream, Received, raw_upstream
from tests.http.http1.odd_requests import ODD_REQUESTS, Expectation, Forwarded, Pending, Refused

ADDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-real-ip", b"x-proxyguard-hop"})
"""What the front says of the client in every request. What the client says by these names, or any other that some server takes
an address from, is dropped."""

HEAD_SECONDS = 1.0
NO_HANG_SECONDS = 15.0

SETTINGS = f"""\
bounds: {{head_timeout: {HEAD_SECONDS:g}s, body_gap_timeout: 1s}}
audit: {{passes: 1}}
privacy: full
"""

NO_RULES = """\
name: nothing
rules:
  - name: nothing
    why: The table is about HTTP, not about rules.
    when: {path: /nobody-asks-for-this}
    action: reject
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with raw_upstream() as made:
        yield made


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream) -> Iterator[Proxyguard]:
    rules: Path = tmp_path_factory.mktemp("rules")
    (rules / "nothing.yaml").write_text(NO_RULES)
    with proxyguard(tmp_path_factory.mktemp("guard"), upstream.url, rules=rules, settings=SETTINGS) as running:
        yield running


def ask(guard: Proxyguard, raw: bytes) -> bytes:
    """All that comes back, until the connection is closed or one whole answer without a body is there. Never waits for ever."""
    answer = b""
    with socket.create_connection(("127.0.0.1", guard.port), timeout=NO_HANG_SECONDS) as connection:
        try:
            connection.sendall(raw)
            while not (answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\n")):
                part = connection.recv(65536)
                if not part:
                    break
                answer = (answer + part).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        except (ConnectionResetError, BrokenPipeError):
            pass
    return answer


def count(guard: Proxyguard, name: str, **labels: str) -> float:
    """A metric, or 0 when it has not been counted yet."""
    wanted = name + ("{" + ",".join(f'{key}="{value}"' for key, value in labels.items()) + "}" if labels else "")
    for line in guard.admin("/metrics").splitlines():
        if line.rpartition(" ")[0] == wanted:
            return float(line.rpartition(" ")[2])
    return 0.0


def without(head: bytes, dropped: frozenset[bytes]) -> bytes:
    """A head without some of its fields; the order of the others is kept."""
    line, *fields = head.split(b"\r\n")
    return b"\r\n".join([line, *(one for one in fields if one.partition(b":")[0].lower() not in dropped)])


def expected(request: Forwarded, upstream: RawUpstream) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    """What is to arrive. The upstream is named itself to a client that names no host (HTTP/1.0).

    `Expect: 100-continue` is answered by the front, which holds the body, and goes no further.
    """
    head = request.head.replace(b"\r\nHost: \r\n", b"\r\nHost: 127.0.0.1:%d\r\n" % upstream.port)
    claimed = frozenset(name for line in head.split(b"\r\n") if is_claim(name := line.partition(b":")[0].lower()))
    return without(head, claimed | {b"expect"}), request.body, list(request.trailers)


def arrived(received: Received) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    return without(received.head, ADDED), received.body, received.trailers


@pytest.mark.parametrize(("raw", "expectation"), [row[1:] for row in ODD_REQUESTS], ids=[row[0] for row in ODD_REQUESTS])
def test_it_arrives_as_it_was_inspected_or_not_at_all(
    guard: Proxyguard, upstream: RawUpstream, raw: bytes, expectation: Expectation
) -> None:
    upstream.whole.clear()
    reason = expectation.reason if isinstance(expectation, Refused) else "none"
    before = count(guard, "proxyguard_bad_requests_total", reason=reason)
    answer = ask(guard, raw)
    match expectation:
        case Forwarded():
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert [arrived(one) for one in upstream.whole] == [expected(expectation, upstream)]
            assert [name for name in ADDED if len(upstream.whole[0].field(name)) != 1] == []
            assert upstream.whole[0].field(b"x-forwarded-for") == [b"127.0.0.1"]
        case Refused():
            assert answer[9:12] == b"%d" % expectation.status
            assert answer.count(b"HTTP/1.1 ") == 1
            assert count(guard, "proxyguard_bad_requests_total", reason=reason) == before + 1
            assert upstream.whole == []
        case Pending():
            assert answer[9:12] in (b"", b"408")
            assert upstream.whole == []
    assert upstream.faults == []


def test_nothing_was_a_fault_of_ours(guard: Proxyguard) -> None:
    """After all of the above."""
    assert "proxyguard_internal_errors_total{" not in guard.admin("/metrics")
    assert "Traceback" not in guard.said()
    assert count(guard, "proxyguard_requests_total") >= 100


def test_the_table_is_large_enough() -> None:
    kinds = [type(row[2]) for row in ODD_REQUESTS]
    assert len(kinds) >= 150
    assert min(kinds.count(kind) for kind in (Forwarded, Refused, Pending)) >= 5
