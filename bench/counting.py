"""What counting costs: microseconds a charge, memory a key, the longest pause, a remote store's time.

`python -m bench.counting [charge|memory|pause|snapshot|shared|valkey]`

Without an argument it runs all parts, each in a process of its own, and prints one line a figure. Times are CPU time of our
own, so that other work on the machine counts little; the least of several runs stands first, the median in brackets. Each
part begins with a fixed loop: where that takes longer than elsewhere, so does everything.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Awaitable, Callable, Sequence
from heapq import heapreplace, nlargest
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, thread_time, time

import uvloop

from proxyguard.core.decision import Reject
from proxyguard.core.settings import Counting
from proxyguard.limits.charge import Charge
from proxyguard.limits.limit import KeyKind, KeyPart, Limit
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.nodes import StoreUrl
from proxyguard.limits.stores.remote import RemoteStore
from proxyguard.limits.stores.shared import SharedTransport
from proxyguard.limits.stores.snapshot import Snapshot
from proxyguard.limits.stores.store import BanTerms, Outcome
from proxyguard.limits.stores.valkey import ValkeyTransport
from tests.contracts import servers
from tests.ports import free_port

CLIENT = (KeyPart(KeyKind.CLIENT),)
PER_HOUR = Limit(100, 3600.0, 100, CLIENT)
SITE = Limit(1_000_000, 60.0, 1_000_000, CLIENT)
NOW = 1_700_000_000.0
MILLION = 1_000_000
RATE = 2000
REQUESTS = 2000
ROUNDS = 7
TICK_SECONDS = 0.05
SNAPSHOT_SECONDS = 10.0  # three writes
NEW_KEYS_A_SECOND = 20_000


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def key(number: int) -> str:
    return f"pages-per-client|10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def said(seconds: Sequence[float], per: int = 1) -> str:
    """The least and the median, in microseconds."""
    return f"{min(seconds) / per * 1e6:.2f} us ({median(seconds) / per * 1e6:.2f})"


def calibration() -> None:
    """A loop that says how fast this machine is at the moment."""
    times = []
    for _ in range(ROUNDS):
        started, total = process_time(), 0
        for number in range(100_000):
            total += number & 7
        times.append(process_time() - started)
    print(f"calibration, 100,000 turns of a loop: {said(times, 1000)} for a thousand")


def charge_cost() -> None:
    """A charge of one and of four limits, for 10,000 clients: each new, then all known."""
    bans = ["192.0.2.1"]
    four_limits = (PER_HOUR, PER_HOUR, PER_HOUR, SITE)
    for name, limits in (("one limit", (PER_HOUR,)), ("four limits", four_limits)):
        new: list[float] = []
        known: list[float] = []
        for _ in range(ROUNDS):
            store = MemoryStore()
            store.ban("198.51.100.1", "rule", "", BanTerms(3600.0, Reject()), NOW)
            batches = [
                [Charge(f"{rule}{key(n)}", limit) for rule, limit in zip("abcd", limits, strict=False)] for n in range(10_000)
            ]
            for turn, times in enumerate((new, known, known)):
                started = process_time()
                for batch in batches:
                    store.charge(batch, bans, NOW + turn)
                times.append((process_time() - started) / len(batches))
        for what, times in (("new", new), ("known", known)):
            print(f"memory store, {name}, {what} keys: {said(times)} a call, {said(times, len(limits))} a limit")


def memory() -> None:
    """Resident memory of a full table."""
    store = MemoryStore()
    store.charge([Charge("warm", PER_HOUR)], (), NOW)
    gc.collect()
    before = resident_bytes()
    for number in range(MILLION):
        store.charge([Charge(key(number), PER_HOUR)], (), NOW)
    used = resident_bytes() - before
    print(f"memory store, {store.stats().keys} keys: {used / 2**20:.0f} MiB, {used / MILLION:.0f} bytes a key")


def pause() -> None:
    """The longest single call while a million keys arrive; end together while as many more arrive; find a full table; end
    together while nobody comes.

    CPU time of the thread: being preempted by another process is no pause of ours. Page faults and what the kernel does with
    memory given back are.
    """
    gc.collect()
    gc.freeze()  # as a worker does when it starts
    store = MemoryStore()
    store.dirty = [set() for _ in range(store.shard_count)]  # as with a snapshot
    for phase, offset, now in (
        ("fill", 0, NOW),
        ("all ended, refill", MILLION, NOW + 7200.0),
        ("full", 2 * MILLION, NOW + 7200.0),
    ):
        calls, begun = Longest(), process_time()
        for number in range(offset, offset + MILLION):
            batch = [Charge(key(number), PER_HOUR)]
            started = thread_time()
            store.charge(batch, (), now)
            calls.add(thread_time() - started)
        each = (process_time() - begun) / MILLION * 1e6
        print(f"memory store, {phase}: {calls}, {each:.2f} us a new key, {store.stats().overflows} overflows")
    calls, now = Longest(), NOW + 4 * 7200.0
    while store.stats().keys:
        started = thread_time()
        store.tidy(now)
        calls.add(thread_time() - started)
        now += TICK_SECONDS
    print(f"memory store, all ended, nobody comes: {calls}, empty after {calls.calls * TICK_SECONDS:.0f} s")


class Longest:
    """The longest of many calls, in little memory: a long list would be given back in a pause of its own."""

    def __init__(self, kept: int = MILLION // 10_000) -> None:
        self.calls = 0
        self._seconds = [0.0] * (kept + 1)

    def add(self, seconds: float) -> None:
        self.calls += 1
        if seconds > self._seconds[0]:
            heapreplace(self._seconds, seconds)

    def __str__(self) -> str:
        three = ", ".join(f"{seconds * 1e3:.2f}" for seconds in nlargest(3, self._seconds))
        return f"the longest took {three} ms, the next hundred more than {self._seconds[0] * 1e6:.0f} us"


async def kept_on_disk() -> None:
    """The longest turn of the event loop with ten new keys in each, 20,000 a second, while a thread writes them to disk."""
    gc.collect()
    gc.freeze()  # as a worker does when it starts
    store, turns, number = MemoryStore(), Longest(), 0
    with tempfile.TemporaryDirectory() as folder:
        kept = Snapshot(Path(folder) / "snapshot", store)
        await kept.start()
        begun = perf_counter()
        while (passed := perf_counter() - begun) < SNAPSHOT_SECONDS:
            started = thread_time()
            for new in range(number, number + 10):
                store.charge([Charge(key(new), PER_HOUR)], (), time())
            number += 10
            await asyncio.sleep(0)
            turns.add(thread_time() - started)
            if number > NEW_KEYS_A_SECOND * passed:
                await asyncio.sleep(0.001)
        await kept.stop()
    print(f"memory store with a snapshot, {number / SNAPSHOT_SECONDS:.0f} new keys/s: {turns}")


def snapshot() -> None:
    asyncio.run(kept_on_disk(), loop_factory=uvloop.new_event_loop)


type Ask = Callable[[int], Awaitable[object]]


async def remote(store: RemoteStore, name: str, server: int) -> None:
    """Requests of four limits each, 2,000 a second: CPU of our own and of the `server` process, and what a request waits."""
    gc.collect()
    gc.freeze()  # as a worker does when it starts
    await store.start()
    loop = asyncio.get_running_loop()
    limits = [Limit(MILLION, 60.0, MILLION, CLIENT) for _ in range(4)]
    batches = [
        [Charge(f"{rule}~abcdef|10.0.0.{n}", limit) for rule, limit in zip("abcd", limits, strict=True)] for n in range(256)
    ]
    waits = array("d")

    async def counted(number: int) -> None:
        started = perf_counter()
        outcome = store.charge(batches[number & 255], ("client:10.0.0.1",), time())
        if not isinstance(outcome, Outcome):
            await outcome
        waits.append(perf_counter() - started)

    async def uncounted(_: int) -> None:
        """The same without a store: a task, a future, a turn of the event loop."""
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future

    for of_a_kind in (1, 8, 32):
        del waits[:]
        served = cpu_seconds(server)
        with_store, without = [], []
        for _ in range(ROUNDS):
            with_store.append(await paced(counted, of_a_kind))
            without.append(await paced(uncounted, of_a_kind))
        served = (cpu_seconds(server) - served) / (ROUNDS * REQUESTS)
        ours = f"{(min(with_store) - min(without)) * 1e6:.1f} us ({(median(with_store) - median(without)) * 1e6:.1f})"
        ordered = sorted(waits)
        print(
            f"{name}, 4 limits, {RATE} requests/s in groups of {of_a_kind}: {ours} of our CPU a request,"
            f" {served * 1e6:.0f} us of the server's, wait p50 {ordered[len(ordered) // 2] * 1e3:.2f} ms,"
            f" p99 {ordered[len(ordered) * 99 // 100] * 1e3:.2f} ms, {store.fallback.answers} fallbacks"
        )
    await store.stop()


async def paced(ask: Ask, of_a_kind: int) -> float:
    """CPU seconds of this process for each of REQUESTS, so many at a time."""
    begun = process_time()
    next_tick = perf_counter()
    for first in range(0, REQUESTS, of_a_kind):
        await asyncio.gather(*(ask(first + number) for number in range(of_a_kind)))
        next_tick += of_a_kind / RATE
        await asyncio.sleep(max(0.0, next_tick - perf_counter()))
    return (process_time() - begun) / REQUESTS


def cpu_seconds(process: int) -> float:
    """CPU time that a process has used so far."""
    nanoseconds = Path(f"/proc/{process}/schedstat").read_text().split()[0]
    return int(nanoseconds) / 1e9


def shared() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        process = subprocess.Popen([sys.executable, "-m", "tests.contracts.store_process", str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(remote(RemoteStore(SharedTransport(path), Counting()), "shared by workers", process.pid))
        process.kill()
        process.wait()


def valkey() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, port = Path(folder) / "s", free_port()
        with servers.valkey(path, "--port", str(port)) as process:
            url = StoreUrl.parse(f"redis://127.0.0.1:{port}")
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(remote(RemoteStore(ValkeyTransport(url), Counting()), "Valkey on loopback", process.pid))


PARTS: dict[str, Callable[[], None]] = {
    "shared": shared,
    "valkey": valkey,
    "charge": charge_cost,
    "memory": memory,
    "pause": pause,
    "snapshot": snapshot,
}


def main() -> None:
    if len(sys.argv) > 1:
        calibration()
        PARTS[sys.argv[1]]()
        return
    for part in PARTS:
        subprocess.run([sys.executable, "-m", "bench.counting", part], check=True)


if __name__ == "__main__":
    main()
