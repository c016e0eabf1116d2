"""Emergency mode with the bundled rules, in a running instance: a swarm is refused until the order ends, known people read on."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxyguard.instance.kept_state import KeptState
from proxyguard.limits.hourly import HOURS, HourlyUse
from proxyguard.limits.learning import Learning
from proxyguard.limits.stores.snapshot_seal import KeySeal
from tests.end_to_end.processes import Proxyguard, proxyguard, tell, told, wait_until

SECRET = "a secret of this test"
RULES = ("emergency-by-owner", "emergency-by-kind", "emergency-by-owner-and-kind")
HOME = 6
"""What these rules leave to a kind of client that nobody has seen on earlier days."""

FIREFOX = {
    "User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Connection": "keep-alive",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-User": "?1",
    "Priority": "u=0, i",
}
STYLE = FIREFOX | {
    "Accept": "text/css,*/*;q=0.1", "Sec-Fetch-Dest": "style", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin",
}  # fmt: skip


class Visitor:
    """A Firefox behind an address of its own, with one connection and a cookie."""

    def __init__(self, guard: Proxyguard, address: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", guard.port, timeout=30)
        self._fields = {"X-Forwarded-For": address, "X-Forwarded-Proto": "https"}

    def get(self, path: str, fields: dict[str, str] = FIREFOX) -> int:
        """The status of a page, after a redirect to itself if there is one."""
        status = self._ask(path, fields)
        return self._ask(path, fields) if status == 303 else status

    def _ask(self, path: str, fields: dict[str, str]) -> int:
        self._connection.putrequest("GET", path, skip_accept_encoding=True)
        for name, value in (fields | self._fields).items():
            self._connection.putheader(name, value)
        self._connection.endheaders()
        with self._connection.getresponse() as answer:
            answer.read()
            for name, value in answer.getheaders():
                if name.lower() == "set-cookie" and "pg-jar=" in value:
                    self._fields["Cookie"] = value.partition(";")[0]
            return answer.status


@pytest.fixture
def guard(tmp_path: Path, upstream: str) -> Iterator[Proxyguard]:
    snapshot = tmp_path / "counters.db"
    settings = f"workers: 2\ntrust: {{proxies: [127.0.0.1]}}\nkey_secret: {SECRET}\nstore: {{snapshot: {snapshot}}}\n"
    know_four_days(snapshot)
    with proxyguard(tmp_path, upstream, settings=settings + f"control: {tmp_path / 'control.sock'}\n") as running:
        yield running


def know_four_days(snapshot: Path) -> None:
    """What an instance has learned that nobody has read anything of."""
    learning = Learning(float)
    hours = HourlyUse()
    hours.restore([[0.0] * HOURS, [4] * HOURS, [0] * HOURS])
    learning.restore({"daily": learning.daily.as_data(), "hourly": {name: hours.as_data() for name in RULES}, "cells": {}}, 0.0)
    path = snapshot.with_name(f"{snapshot.name}.learned")
    asyncio.run(KeptState(path, {"learned": learning}, lambda: KeySeal(SECRET.encode())).save())


def within_an_hour() -> None:
    """Limits by the hour begin anew with it: a story that takes seconds does not begin just before."""
    left = 3600 - time.time() % 3600
    if left < 45:
        time.sleep(left + 1)  # nothing can be waited for: only the hour itself ends the counting


def swarm(guard: Proxyguard, network: int, first: int) -> list[int]:
    """What twenty homes get that read an item each."""
    return [Visitor(guard, f"192.{network}.{at}.7").get(f"/profiles/{first + at}") for at in range(20)]


def test_a_swarm_is_refused_while_the_order_holds_and_whoever_fetched_assets_reads_on(guard: Proxyguard, tmp_path: Path) -> None:
    within_an_hour()
    person = Visitor(guard, "198.51.100.7")
    assert person.get("/profiles/1") == 200
    assert person.get("/static/style.css", STYLE) == 200
    assert swarm(guard, 32, 100) == [200] * 20

    preview = tell(tmp_path, "emergency", "preview")
    assert preview.returncode == 0, preview.stderr
    assert "proven" in preview.stdout
    assert "emergency-by-kind" in preview.stdout
    on = tell(tmp_path, "emergency", "on", "--for", "1h", "--why", "a swarm")
    assert on.returncode == 0, on.stderr
    wait_until(lambda: bool(told(tmp_path, "status")["emergency"]), "the order holds")

    got = swarm(guard, 33, 200)
    assert got[-10:] == [429] * 10
    assert got.count(200) <= HOME * 2
    assert [person.get(f"/profiles/{at}") for at in range(300, 310)] == [200] * 10
    record = guard.wait_for_record(lambda each: each["rule"] == "emergency-by-kind" and each["action"] == "reject", "a refusal")
    assert record["status"] == 429

    assert tell(tmp_path, "emergency", "off").returncode == 0
    wait_until(lambda: not told(tmp_path, "status")["emergency"], "the order ends")
    assert swarm(guard, 34, 400) == [200] * 20


def test_it_needs_days_that_are_known(tmp_path: Path, upstream: str) -> None:
    with proxyguard(tmp_path, upstream, settings=f"control: {tmp_path / 'control.sock'}\n"):
        refused = tell(tmp_path, "emergency", "on")
        assert refused.returncode != 0
        assert "nothing is known yet" in refused.stderr
        assert not told(tmp_path, "status")["emergency"]
