"""Outages of upstream addresses: one line when one begins, one when it is over, and the requests it hurt."""

from __future__ import annotations

import asyncio
import errno
import logging

import pytest

from proxyguard.adapters.mitmproxy.upstream import outages
from proxyguard.adapters.mitmproxy.upstream.outages import Outages, reason_of

ONE, OTHER = "http://192.0.2.1:80", "http://192.0.2.2:80"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(outages, "SETTLED_SECONDS", 0.0)
    caplog.set_level(logging.INFO)


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_an_outage_is_logged_when_it_begins_and_when_it_is_over_whatever_lies_between(caplog: pytest.LogCaptureFixture) -> None:
    async def live() -> None:
        found = Outages(asyncio.get_running_loop())
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
        found = Outages(asyncio.get_running_loop())
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
        found = Outages(asyncio.get_running_loop())
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
