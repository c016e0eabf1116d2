"""Outages of upstream addresses: one line when one begins, one when it is over, and the requests it hurt."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket

import pytest

from proxyguard.adapters.mitmproxy.upstream.outages import Outages, reason_of
from proxyguard.core.settings import Upstream
from tests.adapters.fakes import HeaderChecker
from tests.adapters.front_rig import fronted, run, until

ONE, OTHER = "http://192.0.2.1:80", "http://192.0.2.2:80"


@pytest.fixture(autouse=True)
def _all_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_an_address_that_is_down_is_found_up_again_without_any_client(caplog: pytest.LogCaptureFixture) -> None:
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]

    async def live() -> None:
        async with fronted(upstreams=(Upstream("http", "127.0.0.1", port),)) as rig:
            assert (await rig.ask(GET)).startswith(b"HTTP/1.1 503 ")
            assert (await rig.ask(GET)).startswith(b"HTTP/1.1 503 ")
            [state] = rig.front.upstreams()
            assert (state["state"], state["why"], state["hurt"]) == ("unreachable", "Connection refused", 2)
            assert isinstance(rig.checker, HeaderChecker)
            assert [served.upstream for _, served in rig.checker.settled] == [f"http://127.0.0.1:{port}"] * 2
            held.listen()
            await until(lambda: rig.front.upstreams()[0]["state"] == "up")

    run(live())
    held.close()
    began, over = [line for line in caplog.messages if "upstream" in line]
    assert began == f"the upstream http://127.0.0.1:{port} is down: Connection refused"
    assert over.endswith("2 requests were refused for it")


def test_a_name_without_an_address_is_down_until_it_has_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known: list[str] = []

    async def live() -> None:
        async def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        async with fronted(upstreams=(Upstream("http", "site.example", 80),)) as rig:
            assert (await rig.ask(GET)).startswith(b"HTTP/1.1 503 ")
            [state] = rig.front.upstreams()
            assert (state["upstream"], state["why"], state["hurt"]) == ("http://site.example:80", "its name has no address", 1)
            known.append("127.0.0.1")
            await until(lambda: [each["address"] for each in rig.front.upstreams()] == ["127.0.0.1"])

    run(live())
    assert "the upstream http://site.example:80 is down: its name has no address" in caplog.messages


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_an_outage_is_logged_when_it_begins_and_when_it_is_over_whatever_lies_between(caplog: pytest.LogCaptureFixture) -> None:
    async def live() -> None:
        found = Outages(asyncio.get_running_loop(), 0.0)
        for _ in range(50):
            found.failed(ONE, "Connection refused")
            found.hurt({ONE, OTHER})
        outage = found.find(ONE)
        assert outage is not None
        assert (outage.hurt, outage.why, found.find(OTHER)) == (50, "Connection refused", None)
        for _ in range(9):
            found.connected(ONE)
        await turns()
        assert found.find(ONE) is None

    asyncio.run(live())
    began, over = caplog.messages
    assert began == f"the upstream {ONE} is down: Connection refused"
    assert over == f"the upstream {ONE} is up again after 0 s; 50 requests were refused for it"


def test_one_that_fails_again_at_once_never_was_up(caplog: pytest.LogCaptureFixture) -> None:
    async def live() -> None:
        found = Outages(asyncio.get_running_loop(), 0.0)
        for _ in range(20):
            found.failed(ONE, "Connection refused")
            found.connected(ONE)
        found.failed(ONE, "Connection refused")
        await turns()
        assert found.find(ONE) is not None

    asyncio.run(live())
    assert len(caplog.messages) == 1


def test_addresses_that_a_name_no_longer_has_are_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    async def live() -> None:
        found = Outages(asyncio.get_running_loop(), 0.0)
        found.failed(ONE, "no")
        found.failed(OTHER, "no")
        found.connected(OTHER)
        found.keep([ONE])
        await turns()
        assert (found.find(ONE) is None, found.find(OTHER)) == (False, None)
        found.close()
        assert found.find(ONE) is None

    asyncio.run(live())
    assert len(caplog.messages) == 2


def test_reasons_are_those_of_the_system() -> None:
    assert reason_of(OSError(errno.ECONNREFUSED, "Connect call failed ('192.0.2.1', 80)")) == "Connection refused"
    assert reason_of(OSError("odd")) == "odd"
    assert reason_of(OSError()) == "OSError"
