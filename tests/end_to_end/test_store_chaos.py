"""A real Valkey or Redis that is paused, slow, asleep, killed and started again, under load, with the default time-out.

No request waits longer than the time-out and some slack; what is declared holds meanwhile; then the instances count together
again by themselves, and no ban that was acknowledged is lost.
"""

from __future__ import annotations

import http.client
import itertools
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

from proxyguard.instance.control import client as control
from proxyguard.instance.control.socket_file import control_folder
from proxyguard.telemetry.metric_families import SECONDS_BOUNDS
from tests.contracts.servers import command, valkey
from tests.end_to_end.members import visit
from tests.end_to_end.processes import Proxyguard, proxyguard, wait_until
from tests.end_to_end.slow_relay import Relay, slow_relay

pytestmark = pytest.mark.alone

RULES = """
name: shared
rules:
  - {name: load, when: {query.load: present}, limit: {rate: 10000000/hour, per: [site]}, action: reject}
  - {name: exact, when: {query.exact: present}, limit: {rate: 6/hour, per: [client]}, action: reject}
"""

TIMEOUT_SECONDS = 0.05
"""The default of `store.timeout`, which is not set here."""

SLACK_SECONDS = 0.05
"""For what is not the store's: a turn of the event loop, the upstream's part of what a client sees, and two cores for seven
processes. On top comes how late this very process was woken meanwhile, for the machine may be running other tests."""

HOPS = 4
"""Processes that a request runs through, client, instance, store and upstream: each may be woken that late."""

CLIENTS = 4
"""On each instance; each asks a hundred times a second or a little less."""

FAULT_SECONDS = 1.2
SETTLED_SECONDS = 0.4
"""After so long into a fault every worker knows of it."""

BACK_SECONDS = 10.0


class Sample(NamedTuple):
    """One request: when it was answered, what it got, and how long that took."""

    at: float
    status: int
    seconds: float


class Load:
    """Clients that ask all the time, and how late this process is woken meanwhile."""

    def __init__(self, pair: tuple[Proxyguard, Proxyguard]) -> None:
        self.samples: list[Sample] = []
        self.late: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(guard,)) for guard in pair * CLIENTS]
        self._threads.append(threading.Thread(target=self._watch_clock))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, guard: Proxyguard) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", guard.port, timeout=20)
        while not self._stop.wait(0.01):
            began = time.monotonic()
            connection.request("GET", "/?load=1")
            response = connection.getresponse()
            response.read()
            now = time.monotonic()
            self.samples.append(Sample(now, response.status, now - began))
        connection.close()

    def _watch_clock(self) -> None:
        before = time.monotonic()
        while not self._stop.wait(0.001):
            now = time.monotonic()
            self.late.append((now, now - before - 0.001))
            before = now

    def between(self, since: float, until: float) -> list[Sample]:
        return [sample for sample in self.samples if since <= sample.at < until]

    def stall(self, since: float, until: float) -> float:
        """How much later than asked for this process was woken at worst."""
        return max(late for at, late in self.late if since <= at < until)


class Store:
    """The server behind its relay, and what can happen to it."""

    def __init__(self, folder: Path, relay: Relay, ends: ExitStack) -> None:
        self.socket = folder / "valkey.sock"
        self.relay = relay
        self._ends = ends
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return self._ends.enter_context(valkey(self.socket, "--enable-debug-command", "local"))

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._process.send_signal(signal.SIGSTOP)
        yield
        self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Four times the time-out for every answer."""
        self.relay.delay(4 * TIMEOUT_SECONDS)
        yield
        self.relay.delay(0.0)

    @contextmanager
    def killed(self) -> Iterator[None]:
        self._process.kill()
        self._process.wait()
        yield
        self._process = self._start()

    @contextmanager
    def asleep(self) -> Iterator[None]:
        """As a slow script of somebody else would make it; awake between."""
        stop = threading.Event()

        def sleep() -> None:
            while not stop.wait(0.1):
                command(self.socket, "DEBUG", "SLEEP", "0.3")

        thread = threading.Thread(target=sleep)
        thread.start()
        yield
        stop.set()
        thread.join()


def tell(guard: Proxyguard, name: str, **arguments: Any) -> dict[str, Any]:
    """A command at the control socket."""
    return control.send_command(control_folder() / f"{guard.admin_port}.sock", name, arguments)


def gauge(guard: Proxyguard, name: str) -> float:
    for line in guard.admin("/metrics").splitlines():
        if line.startswith(f"proxyguard_{name} "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def checks(guard: Proxyguard) -> dict[str, float]:
    """How many checks took at most so many seconds, by bound."""
    lines = [line for line in guard.admin("/metrics").splitlines() if line.startswith("proxyguard_check_seconds_bucket")]
    return {line.split('le="')[1].split('"')[0]: float(line.split()[1]) for line in lines}


def nobody_waited(pair: tuple[Proxyguard, Proxyguard], load: Load, since: float, what: str) -> None:
    """Neither as clients see it, nor as the instances measure it."""
    until = time.monotonic()
    allowed = TIMEOUT_SECONDS + SLACK_SECONDS + HOPS * load.stall(since, until)
    waits = sorted(sample.seconds for sample in load.between(since, until))
    middle, most, longest = (waits[int(len(waits) * part)] * 1e3 for part in (0.5, 0.99, 1 - 1e-9))
    print(f"{what}: {len(waits)} requests, p50 {middle:.1f} ms, p99 {most:.1f} ms, longest {longest:.1f} ms,", end=" ")
    print(f"allowed {allowed * 1e3:.0f} ms")
    assert len(waits) > 100
    assert waits[-1] < allowed, what
    bound = str(next(each for each in SECONDS_BOUNDS if each >= allowed))
    for guard in pair:
        counted = checks(guard)
        assert counted[bound] == counted["+Inf"], (what, counted)


addresses = (f"127.5.{high}.{low}" for high, low in itertools.product(range(256), range(1, 255)))


def admitted(pair: tuple[Proxyguard, Proxyguard]) -> list[int]:
    """What a client gets who asks the instances by turns, each four times more than both may allow together."""
    address = next(addresses)
    return [visit(guard, address, "/?exact=1").status for guard in pair * 7]


TOGETHER = [200] * 6 + [429] * 8
"""Six an hour over both instances."""

APART = {"local": [200] * 12 + [429] * 2, "open": [200] * 14, "closed": [503] * 14}
"""Six an hour by each; nobody counts; nobody is served whom a limit would count."""


@pytest.fixture
def rig(folder: Path, upstream: str, request: pytest.FixtureRequest) -> Iterator[tuple[Store, Callable[[str], Proxyguard]]]:
    """The server, and how to start an instance that counts there."""
    (folder / "rules").mkdir()
    (folder / "rules" / "shared.yaml").write_text(RULES)
    with ExitStack() as ends:
        relay = ends.enter_context(slow_relay(folder, folder / "valkey.sock"))
        store = Store(folder, relay, ends)
        settings = f"store: {{url: 'unix://{relay.path}', on_down: {request.param}}}\nkey_secret: the-same-on-both\n"

        def start(name: str) -> Proxyguard:
            return ends.enter_context(proxyguard(folder / name, upstream, rules=folder / "rules", settings=settings))

        yield store, start


@pytest.mark.parametrize("rig", ["local", "open", "closed"], indirect=True)
def test_whatever_happens_to_the_server_nobody_waits_and_no_ban_is_lost(
    rig: tuple[Store, Callable[[str], Proxyguard]], request: pytest.FixtureRequest
) -> None:
    store, start = rig
    on_down: str = request.node.callspec.params["rig"]
    pair = start("one"), start("two")
    one, two = pair

    def all_up() -> bool:
        return all(gauge(guard, "store_up") == 1.0 for guard in pair)

    wait_until(all_up, "the connections", within=BACK_SECONDS)
    assert tell(one, "bans-add", key="127.9.0.1", seconds=3600.0)["saved"] is True
    wait_until(lambda: visit(two, "127.9.0.1", "/").status == 403, "the ban on the other instance", within=2)
    with Load(pair) as load:
        for fault in (store.paused, store.slow, store.killed):
            since = time.monotonic()
            with fault():
                time.sleep(SETTLED_SECONDS)
                assert admitted(pair) == APART[on_down], fault.__name__
                assert [visit(guard, "127.9.0.1", "/").status for guard in pair] == [403, 403]
                assert visit(one, next(addresses), "/").status == 200
                if fault == store.killed:
                    assert tell(one, "bans-add", key="127.9.0.2", seconds=3600.0)["saved"] is False
                    assert visit(one, "127.9.0.2", "/").status == 403
                time.sleep(max(0.0, since + FAULT_SECONDS - time.monotonic()))
                gone = load.between(since + SETTLED_SECONDS, time.monotonic())
            assert {sample.status for sample in gone} == {503 if on_down == "closed" else 200}
            wait_until(all_up, f"counting together after {fault.__name__}", within=BACK_SECONDS)
            nobody_waited(pair, load, since, f"{fault.__name__}, {on_down}")
            assert admitted(pair) == TOGETHER
        since = time.monotonic()
        with store.asleep():
            time.sleep(2 * FAULT_SECONDS)
        wait_until(all_up, "counting together after sleep", within=BACK_SECONDS)
        nobody_waited(pair, load, since, f"asleep, {on_down}")
    for address in ("127.9.0.1", "127.9.0.2"):
        wait_until(lambda address=address: visit(two, address, "/").status == 403, "all bans", within=2)  # type: ignore[misc]  # a default is how a lambda keeps a loop's value
    one.end(signal.SIGKILL)
    again = start("again")
    assert [visit(again, address, "/").status for address in ("127.9.0.1", "127.9.0.2", "127.9.0.3")] == [403, 403, 200]


@pytest.mark.parametrize("rig", ["closed"], indirect=True)
def test_a_server_that_is_slow_but_in_time_is_waited_for(rig: tuple[Store, Callable[[str], Proxyguard]]) -> None:
    store, start = rig
    guard = start("one")
    wait_until(lambda: gauge(guard, "store_up") == 1.0, "the connection", within=BACK_SECONDS)
    store.relay.delay(0.02)
    statuses = [visit(guard, "127.9.0.9", "/?exact=1").status for _ in range(8)]
    assert statuses == [200] * 6 + [429] * 2
    assert (gauge(guard, "store_outages"), gauge(guard, "store_up")) == (0.0, 1.0)
