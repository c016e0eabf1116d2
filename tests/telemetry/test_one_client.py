"""The warning about a proxy in front that is not trusted."""

from __future__ import annotations

import pytest

from proxyguard.core.address import Address
from proxyguard.telemetry.one_client import REPEAT_WINDOWS, WINDOW_REQUESTS, OneClientWatch

PROXY, PUBLIC = Address.parse("10.0.0.1"), Address.parse("8.8.8.8")


def feed(watch: OneClientWatch, main: Address, others: int) -> None:
    for number in range(WINDOW_REQUESTS):
        watch.observe(Address.parse(f"192.0.2.{number % 200 + 1}") if 0 < number <= others else main)


def test_one_private_address_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING", "proxyguard.telemetry.one_client")  # `range`, which another test may run here, turns it down
    watch = OneClientWatch()
    for _ in range(REPEAT_WINDOWS):
        feed(watch, PROXY, others=20)
    assert watch.suspected == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "trust.proxies" in caplog.text


@pytest.mark.parametrize(("main", "others"), [(PROXY, 200), (PUBLIC, 0)])
def test_shared_or_public_addresses_are_not_suspected(main: Address, others: int) -> None:
    watch = OneClientWatch()
    feed(watch, main, others)
    assert watch.suspected == 0


def test_the_suspicion_ends_when_the_proxy_is_trusted() -> None:
    watch = OneClientWatch()
    feed(watch, PROXY, 0)
    feed(watch, PROXY, 500)
    assert watch.suspected == 0
