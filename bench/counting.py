"""What counting costs: microseconds a charge, memory a key, the longest pause, a remote store's time.

`python bench/counting.py [charge|memory|pause|shared|valkey]`

Without an argument it runs all parts, each in a process of its own, and prints one line a figure.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import socket
import subprocess
import sys
import tempfile
from array import array
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, thread_time, time

import uvloop

from proxyguard.decision import Reject
from proxyguard.limits.limit import KeyKind, KeyPart, Limit
from proxyguard.limits.memory import MemoryStore
from proxyguard.limits.remote import RemoteStore
from proxyguard.limits.resp import ValkeyUrl
from proxyguard.limits.shared import SharedStore
from proxyguard.limits.store import BanTerms, Charge, Outcome
from proxyguard.limits.valkey import ValkeyStore
from proxyguard.settings import Counting
from tests.contracts import servers

CLIENT = (KeyPart(KeyKind.CLIENT),)
PER_HOUR = Limit(100, 3600.0, 100, CLIENT)
SITE = Limit(1_000_000, 60.0, 1_000_000, CLIENT)
NOW = 1_700_000_000.0
MILLION = 1_000_000
RATE = 2000
REQUESTS = 4000


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def key(number: int) -> str:
    return f"pages-per-client|10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def charge_cost() -> None:
    """A charge of one and of four limits, for 10,000 clients that are all known, and for new ones."""
    store = MemoryStore()
    one = [[Charge(key(n), PER_HOUR)] for n in range(10_000)]
    four = [
        [Charge(f"{name}{key(n)}", limit) for name, limit in zip("abcd", (PER_HOUR,) * 3 + (SITE,), strict=True)]
        for n in range(10_000)
    ]
    bans = ["192.0.2.1"]
    store.ban("198.51.100.1", "rule", "", BanTerms(3600.0, Reject()), NOW)
    for name, batches, limits in (("one", one, 1), ("four", four, 4)):
        for round_name in ("new", "known"):
            times = []
            for turn in range(1 if round_name == "new" else 5):
                started = perf_counter()
                for batch in batches:
                    store.charge(batch, bans, NOW + turn)
                times.append(perf_counter() - started)
            each = median(times) / len(batches) * 1e6
            print(
                f"memory store, {name} limit(s), {round_name} keys: {each:.2f} us a call, {each / limits:.2f} us a limit"
            )


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
    """The longest single call while a million keys arrive, end together, and as many more arrive in a full table."""
    gc.collect()
    gc.freeze()  # as a worker does when it starts
    store = MemoryStore()
    for phase, offset, now in (
        ("fill", 0, NOW),
        ("all ended, refill", MILLION, NOW + 7200.0),
        ("full", 2 * MILLION, NOW + 7200.0),
    ):
        longest, started_all = array("d"), perf_counter()
        for number in range(offset, offset + MILLION):
            batch = [Charge(f"{number:x}|{key(number)}", PER_HOUR)]
            started = thread_time()  # the thread's own time: being preempted by another process is no pause of ours
            store.charge(batch, (), now)
            longest.append(thread_time() - started)
        each = (perf_counter() - started_all) / MILLION * 1e6
        ordered = sorted(longest)
        print(
            f"memory store, {phase}: longest call {ordered[-1] * 1e3:.2f} ms, p99.99 {ordered[-100] * 1e6:.0f} us,"
            f" {each:.2f} us a new key, {store.stats().overflows} overflows"
        )


async def remote(store: RemoteStore, name: str) -> None:
    """Requests of four limits each, back to back and 2,000 a second: our own CPU, and what a request waits."""
    await store.start()
    limits = [Limit(MILLION, 60.0, MILLION, CLIENT) for _ in range(4)]
    waits = array("d")

    async def request(number: int) -> None:
        started = perf_counter()
        batch = [
            Charge(f"{name}~abcdef|10.0.0.{number & 255}", limit) for name, limit in zip("abcd", limits, strict=True)
        ]
        outcome = store.charge(batch, ("client:10.0.0.1",), time())
        if not isinstance(outcome, Outcome):
            await outcome
        waits.append(perf_counter() - started)

    async def paced(of_a_kind: int) -> float:
        """CPU microseconds a request, everything in this process included, without the loop that paces."""
        waits_before, begun = len(waits), process_time()
        next_tick = perf_counter()
        while len(waits) - waits_before < REQUESTS:
            await asyncio.gather(*(request(number) for number in range(of_a_kind)))
            next_tick += of_a_kind / RATE
            await asyncio.sleep(max(0.0, next_tick - perf_counter()))
        return (process_time() - begun) / REQUESTS * 1e6

    async def idle(of_a_kind: int) -> float:
        begun, next_tick = process_time(), perf_counter()
        for _ in range(REQUESTS // of_a_kind):
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(of_a_kind)))
            next_tick += of_a_kind / RATE
            await asyncio.sleep(max(0.0, next_tick - perf_counter()))
        return (process_time() - begun) / REQUESTS * 1e6

    begun = process_time()
    for number in range(REQUESTS):
        await request(number)
    print(
        f"{name}, 4 limits, one request after the other: {(process_time() - begun) / REQUESTS * 1e6:.0f} us of our CPU each"
    )
    for of_a_kind in (1, 8, 32):
        del waits[:]
        cost = await paced(of_a_kind) - await idle(of_a_kind)
        ordered = sorted(waits)
        print(
            f"{name}, 4 limits, {RATE} requests/s in groups of {of_a_kind}: {cost:.0f} us of our CPU a request,"
            f" wait p50 {ordered[len(ordered) // 2] * 1e3:.2f} ms, p99 {ordered[len(ordered) * 99 // 100] * 1e3:.2f} ms,"
            f" {store.fallback.answers} fallbacks"
        )
    await store.stop()


def shared() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s"
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.limits.store_process", str(path)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(remote(SharedStore(path, Counting()), "shared by workers"))
        process.kill()
        process.wait()


def valkey() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, port = Path(folder) / "s", free_port()
        with servers.valkey(path, "--port", str(port)), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            url = ValkeyUrl.parse(f"redis://127.0.0.1:{port}")
            runner.run(remote(ValkeyStore(url, Counting()), "Valkey on loopback"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


PARTS: dict[str, Callable[[], None]] = {
    "shared": shared,
    "valkey": valkey,
    "charge": charge_cost,
    "memory": memory,
    "pause": pause,
}


def main() -> None:
    if len(sys.argv) > 1:
        PARTS[sys.argv[1]]()
        return
    for part in PARTS:
        subprocess.run([sys.executable, __file__, part], check=True)


if __name__ == "__main__":
    main()
