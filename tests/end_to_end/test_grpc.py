"""gRPC through the real command: a real server, and a real client over TLS, of the grpcio package."""

from __future__ import annotations

import queue
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.grpc_site import SERVICE
from tests.end_to_end.processes import Proxyguard, Running, accepts, proxyguard
from tests.ports import free_port

grpc = pytest.importorskip("grpc")

SECONDS = 30
MIB = 1024 * 1024
RULES = """
name: calls
rules:
  - {name: robots, when: {header: {x-robot: present}}, action: reject}
  - {name: many, when: {header: {x-many: present}}, limit: {rate: 1/hour}, action: reject}
"""


class Site:
    """A channel through proxyguard, and its calls."""

    def __init__(self, guard: Proxyguard) -> None:
        assert guard.authority is not None
        trusted = grpc.ssl_channel_credentials(guard.authority.read_bytes())
        options = [("grpc.max_receive_message_length", -1), ("grpc.ssl_target_name_override", "localhost")]
        self.channel = grpc.secure_channel(f"127.0.0.1:{guard.port}", trusted, options=options)
        self.guard = guard
        self.unary = self.channel.unary_unary(f"/{SERVICE}/Unary")
        self.down = self.channel.unary_stream(f"/{SERVICE}/Down")
        self.up = self.channel.stream_unary(f"/{SERVICE}/Up")
        self.both = self.channel.stream_stream(f"/{SERVICE}/Both")


def serving(folder: Path, *options: str) -> tuple[Running, int]:
    port = free_port()
    running = Running.start([sys.executable, "-m", "tests.end_to_end.grpc_site", str(port), *options], folder / "grpc.log")
    running.wait_for(lambda: accepts(port), "the gRPC server")
    return running, port


def site_with(folder: Path, *options: str) -> Iterator[Site]:
    server, port = serving(folder, *options)
    (folder / "rules").mkdir()
    (folder / "rules" / "calls.yaml").write_text(RULES)
    try:
        with proxyguard(folder, f"h2c://127.0.0.1:{port}", rules=folder / "rules", alpn="h2") as guard:
            site = Site(guard)
            yield site
            site.channel.close()
    finally:
        server.end(seconds=5)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gRPC server behind proxyguard, over h2c."""
    yield from site_with(tmp_path_factory.mktemp("site"))


def failure(call: Any, *arguments: Any, **more: Any) -> Any:
    """The error that a call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, timeout=SECONDS, **more)
    return caught.value


def test_a_call_with_metadata_in_both_directions(site: Site) -> None:
    sent = (("x-mine", "1"), ("mine-bin", b"\0\1\xff"))
    answer, call = site.unary.with_call(b"metadata", timeout=SECONDS, metadata=sent)
    assert b"('x-mine', '1')" in answer
    assert rb"('mine-bin', b'\x00\x01\xff')" in answer
    assert b"('x-forwarded-for', '127.0.0.1')" in answer
    assert ("x-initial", "1") in [tuple(field) for field in call.initial_metadata()]
    assert ("x-trailing", "2") in [tuple(field) for field in call.trailing_metadata()]


def test_an_error_of_the_server_arrives_as_it_is(site: Site) -> None:
    error = failure(site.unary, b"fail")
    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "no way, José")
    assert {("x-why", "because"), ("why-bin", b"\0\xff")} <= {tuple(field) for field in error.trailing_metadata()}
    assert failure(site.channel.unary_unary(f"/{SERVICE}/Nothing"), b"").code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(("count", "size"), [(0, 1), (1000, 100), (20, MIB)])
def test_a_stream_of_the_server(site: Site, count: int, size: int) -> None:
    messages = list(site.down(b"%d %d" % (count, size), timeout=SECONDS))
    assert messages == [bytes((number & 255,)) * size for number in range(count)]


@pytest.mark.parametrize(("count", "size"), [(0, 1), (5000, 1), (1000, 100), (20, MIB)])
def test_a_stream_of_the_client(site: Site, count: int, size: int) -> None:
    assert site.up((b"x" * size for _ in range(count)), timeout=SECONDS) == b"%d %d" % (count, size * count)


def test_a_large_message_comes_back(site: Site) -> None:
    message = bytes(range(256)) * (10 * MIB // 256)
    assert site.unary(message, timeout=SECONDS) == message[::-1]


def test_both_sides_take_turns(site: Site) -> None:
    said: queue.Queue[bytes | None] = queue.Queue()
    heard = site.both(iter(said.get, None), timeout=SECONDS)
    for number in range(50):
        said.put(b"%d" % number)
        assert next(heard) == b"%d" % number
    said.put(None)
    assert list(heard) == []


def test_a_client_may_be_silent_between_its_messages(site: Site) -> None:
    def slowly() -> Iterator[bytes]:
        for number in range(3):
            time.sleep(0.7)
            yield b"%d" % number

    assert list(site.both(slowly(), timeout=SECONDS)) == [b"0", b"1", b"2"]


def test_a_hundred_calls_at_once_each_get_their_answer(site: Site) -> None:
    calls = [site.unary.future(b"call %d" % number, timeout=SECONDS) for number in range(100)]
    assert [call.result() for call in calls] == [(b"call %d" % number)[::-1] for number in range(100)]
    waiting = [site.unary.future(b"wait", timeout=SECONDS) for _ in range(100)]
    assert {call.result() for call in waiting} == {b"tiaw"}
    assert "proxyguard_upstream_leases 0" in site.guard.admin("/metrics")


def test_a_call_that_is_cancelled_leaves_the_others_alone(site: Site) -> None:
    endless = site.down(b"1000000 1000", timeout=SECONDS)
    next(endless)
    other = site.unary.future(b"wait", timeout=SECONDS)
    endless.cancel()
    assert other.result() == b"tiaw"
    with pytest.raises(grpc.RpcError) as late:
        site.unary(b"wait", timeout=0.2)
    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_refusal_is_an_error_that_clients_understand(site: Site) -> None:
    assert failure(site.unary, b"x", metadata=(("x-robot", "1"),)).code() is grpc.StatusCode.PERMISSION_DENIED
    site.unary(b"x", timeout=SECONDS, metadata=(("x-many", "1"),))
    assert failure(site.unary, b"x", metadata=(("x-many", "1"),)).code() is grpc.StatusCode.UNAVAILABLE


def test_no_call_fails_while_the_server_sends_its_connections_away(tmp_path: Path) -> None:
    for site in site_with(tmp_path, "max_connection_age_ms=200", "max_connection_age_grace_ms=1000"):
        outcomes: Counter[str] = Counter()
        until = time.monotonic() + 3

        def call(caller: int, site: Site = site, outcomes: Counter[str] = outcomes, until: float = until) -> None:
            while time.monotonic() < until:
                message = b"%d %f" % (caller, time.monotonic())
                outcomes["right" if site.unary(message, timeout=SECONDS) == message[::-1] else "wrong"] += 1

        with futures.ThreadPoolExecutor(10) as callers:
            for done in [callers.submit(call, number) for number in range(10)]:
                done.result()
        assert outcomes["right"] > 100
        assert outcomes["wrong"] == 0


def test_a_server_that_is_down_is_unavailable(tmp_path: Path) -> None:
    with proxyguard(tmp_path, f"h2c://127.0.0.1:{free_port()}", alpn="h2") as guard:
        assert failure(Site(guard).unary, b"x").code() is grpc.StatusCode.UNAVAILABLE
