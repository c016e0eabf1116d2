"""Tarpits without sockets: who is held, at what pace, and what is forgotten when they go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from proxyguard.adapters.mitmproxy.tarpit import DISCARDED_BYTES, DRIPS_PER_SECOND, Dripper, TarpitConnection
from proxyguard.adapters.mitmproxy.timers import TimerWheel
from proxyguard.core.decision import Tarpit
from proxyguard.core.tarpit_budget import TarpitBudget

TEXT = b"0123456789"


class FakeTransport(asyncio.Transport):
    """Notes what is written; `unsent` is what the client has not taken."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.written = b""
        self.unsent = 0
        self.ended = ""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def resume_reading(self) -> None:
        pass

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self._end("close")

    def abort(self) -> None:
        self._end("abort")

    def _end(self, how: str) -> None:
        if not self.ended:
            self.ended = how
            self.protocol.connection_lost(None)


class FakeLoop:
    """Never calls back; the tests tell the drips themselves."""

    def call_later(self, _: float, __: Callable[[], None]) -> FakeLoop:
        return self

    def cancel(self) -> None:
        pass


class Rig:
    def __init__(self, **budget: Any) -> None:
        self.now = 0.0
        self.counts: list[int] = []
        self.gone = 0
        loop: Any = FakeLoop()
        wheel = TimerWheel(loop, 0.05, lambda: self.now, lambda _, __: None)
        self.dripper = Dripper(TarpitBudget(**budget), TEXT, wheel, lambda: self.now, self.counts.append)

    def hold(self, network: str = "n", *, encryptor: Any = None, **tarpit: Any) -> tuple[FakeTransport, TarpitConnection]:
        transport = FakeTransport()
        wanted = Tarpit(**{"hold_seconds": 60.0, "drip_seconds": 2.0, "drip_bytes": 3} | tarpit)
        self.dripper.hold(transport, b"head;", wanted, network, encryptor=encryptor, on_gone=self._left)
        drip = transport.protocol
        assert isinstance(drip, TarpitConnection)
        return transport, drip

    def _left(self) -> None:
        self.gone += 1

    def drip(self, drip: TarpitConnection) -> None:
        self.now = max(self.now, drip.deadline)
        drip.on_deadline(self.now)


def test_the_head_comes_at_once_and_the_page_by_and_by_over_and_over() -> None:
    rig = Rig()
    transport, drip = rig.hold()
    assert transport.written == b"head;"
    for _ in range(4):
        rig.drip(drip)
    assert transport.written == b"head;012345678901"
    assert rig.now == 8.0


def test_a_client_that_takes_nothing_gets_nothing_more() -> None:
    rig = Rig()
    transport, drip = rig.hold()
    transport.unsent = 1
    for _ in range(5):
        rig.drip(drip)
    assert transport.written == b"head;"


@pytest.mark.parametrize(
    ("budget", "tarpit", "seconds", "written"),
    [
        ({}, {"hold_seconds": 5.0}, 5.0, b"head;012345"),
        ({"hold_seconds": 3.0}, {}, 3.0, b"head;012"),
        ({"bytes_per_connection": 4}, {}, 6.0, b"head;0123"),
    ],
    ids=["rule", "budget-seconds", "budget-bytes"],
)
def test_a_tarpit_ends(budget: dict[str, Any], tarpit: dict[str, Any], seconds: float, written: bytes) -> None:
    rig = Rig(**budget)
    transport, drip = rig.hold(**tarpit)
    while not transport.ended:
        rig.drip(drip)
    assert (rig.now, transport.written, transport.ended, rig.gone, len(rig.dripper)) == (seconds, written, "close", 1, 0)


def test_a_client_that_did_not_take_its_bytes_is_cut_at_the_end() -> None:
    rig = Rig()
    transport, drip = rig.hold()
    transport.unsent = 5
    drip.release()
    assert transport.ended == "abort"


def test_what_a_held_client_sends_is_thrown_away_until_it_is_too_much() -> None:
    rig = Rig()
    transport, drip = rig.hold()
    assert len(drip.get_buffer(-1)) <= 4096
    drip.buffer_updated(DISCARDED_BYTES)
    assert transport.ended == ""
    drip.buffer_updated(1)
    assert (transport.ended, len(rig.dripper)) == ("abort", 0)


def test_room_is_counted_in_all_and_by_network_and_given_back() -> None:
    rig = Rig(connections=3, per_network=2)
    first, _ = rig.hold("a")
    rig.hold("a")
    assert (rig.dripper.has_room("a"), rig.dripper.has_room("b")) == (False, True)
    rig.hold("b")
    assert rig.dripper.has_room("b") is False
    first.close()
    assert (rig.dripper.has_room("a"), rig.counts) == (True, [1, 2, 3, 2])
    rig.dripper.release_all()
    assert (len(rig.dripper), len(rig.dripper._per_network), rig.gone) == (0, 0, 3)


def test_with_very_many_held_each_waits_longer() -> None:
    rig = Rig()
    rig.hold()
    assert rig.dripper.interval(2.0) == 2.0
    rig.dripper._held |= {object() for _ in range(10_000)}  # type: ignore[misc]  # only their number counts
    assert rig.dripper.interval(2.0) == 10_001 / DRIPS_PER_SECOND


def test_over_tls_every_byte_is_sealed() -> None:
    rig = Rig()
    transport, drip = rig.hold(encryptor=lambda data: b"<" + data + b">")
    rig.drip(drip)
    assert transport.written == b"<head;><012>"


def test_the_seconds_that_clients_were_held_grow_while_they_are_and_stay_when_they_left() -> None:
    rig = Rig()
    assert rig.dripper.seconds() == 0.0
    _, first = rig.hold()
    rig.now = 10.0
    _, second = rig.hold("m")
    rig.now = 15.0
    assert rig.dripper.seconds() == 20.0
    first.connection_lost(None)
    first.connection_lost(None)
    rig.now = 17.0
    assert rig.dripper.seconds() == 22.0
    second.connection_lost(None)
    rig.now = 99.0
    assert rig.dripper.seconds() == 22.0
