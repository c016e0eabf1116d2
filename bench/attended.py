"""One proxyguard under test, with steady visitors whose waiting is measured while something else goes on beside them.

The proxy has a core for itself where there are two. Shared by the benches that ask what a crowd or an attack does to others.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Final, NamedTuple

from bench.end_to_end import LOAD_CORE, PROXY_CORE, READER, pinned
from bench.front import certificate_lines, front_options, read_answer, spaced
from tests.end_to_end.processes import RULES, Proxyguard, Running, wait_until
from tests.ports import free_port

VISITORS: Final = 20
TIMEOUT_SECONDS: Final = 10.0
ASSET: Final = "/static/site.css"

HOLDING: Final = """\
name: held
rules:
  - name: held-on-request
    why: The bench asks to be held.
    when: {user_agent: {word: heldbot}}
    action: {tarpit: {hold: 10m}}
"""


class Waits(NamedTuple):
    """How long steady visitors waited, in milliseconds."""

    p50: float
    p99: float
    worst: float

    @classmethod
    def of(cls, found: Sequence[Waits]) -> Waits:
        """Several measurements in one: medians, so that one that something else spoilt does not count, and the worst of all."""
        return cls(median(one.p50 for one in found), median(one.p99 for one in found), max(one.worst for one in found))


class Work(NamedTuple):
    """What a process did in a while, in seconds: of CPU, of waiting for a core that others had, of the clock."""

    cpu: float
    kept_waiting: float
    wall: float


def visit(guard: Proxyguard, seconds: float, rate: int) -> Waits:
    """`rate` requests a second, evenly spaced, over VISITORS connections in turn. Raises RuntimeError when one fails."""
    fields = {"Host": "localhost", "Connection": "keep-alive", **READER}  # as every browser; over TLS its lack is worth points
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    request = f"GET {ASSET} HTTP/1.1\r\n{head}\r\n".encode()
    with contextlib.ExitStack() as stack:
        visitors = [stack.enter_context(visitor(guard)) for _ in range(VISITORS)]
        for each in visitors:
            each.sendall(request)
            read_answer(each)
        times = spaced(visitors, request, rate, seconds)
    cuts = quantiles(times, n=100)
    return Waits(cuts[49], cuts[98], max(times))


@contextlib.contextmanager
def visitor(guard: Proxyguard) -> Iterator[socket.socket]:
    """A connection of HTTP/1.1, over TLS where the instance speaks it."""
    with socket.create_connection(("127.0.0.1", guard.port), timeout=TIMEOUT_SECONDS) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if guard.authority is None:
            yield plain
        else:
            trust = ssl.create_default_context(cafile=guard.authority)
            with trust.wrap_socket(plain, server_hostname="localhost") as connection:
                yield connection


def visits(guard: Proxyguard, seconds: float, rate: int, times: int) -> Waits:
    """Several measurements."""
    return Waits.of([visit(guard, seconds, rate) for _ in range(times)])


def stay_with_the_load() -> None:
    """Keep this process, which is the visitors, off the core that the instances have, where there are two."""
    if (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {int(LOAD_CORE)})


@contextlib.contextmanager
def instance(folder: Path, upstream: str, settings: str, *, tls: bool = False) -> Iterator[Proxyguard]:
    """proxyguard with the bundled rules, one that holds whoever asks for it, and further lines of settings.

    TLS takes `chain.pem` and `key.pem` of the folder. Audit in a file, metrics on.
    """
    port, admin_port = free_port(), free_port()
    here = Path(tempfile.mkdtemp(dir=folder))
    rules = here / "rules"
    shutil.copytree(RULES, rules)
    (rules / "99-held.yaml").write_text(HOLDING)
    config, audit = here / "proxyguard.yaml", here / "audit.jsonl"
    config.write_text((certificate_lines(folder) if tls else "") + settings)
    options = front_options(config, port, admin_port, upstream, audit, rules)
    command = pinned(PROXY_CORE, sys.executable, "-m", "proxyguard", *options)
    guard = Proxyguard.start(command, here / "proxyguard.log")
    guard.port, guard.admin_port, guard.audit = port, admin_port, audit
    guard.scheme, guard.authority = ("https", folder / "chain.pem") if tls else ("http", None)
    try:
        guard.wait_for(guard.ready, "readiness")
        yield guard
    finally:
        guard.end(seconds=45)


def beside(guard: Proxyguard, control: Proxyguard, seconds: float, rate: int, times: int) -> tuple[Waits, Waits]:
    """At an instance and at another one, measured in turns, so that what else the machine does reaches both alike."""
    found = [(visit(guard, seconds, rate), visit(control, seconds, rate)) for _ in range(times)]
    first, second = zip(*found, strict=True)
    return Waits.of(first), Waits.of(second)


def scheduled_seconds(running: Running) -> tuple[float, float]:
    """What a process, its children and all their threads have had so far of a core, and have waited for one that others had."""
    had = waited = 0
    for pid in running.family():
        for thread in Path(f"/proc/{pid}/task").iterdir():
            run, delay, _ = (thread / "schedstat").read_text().split()
            had += int(run)
            waited += int(delay)
    return had / 1e9, waited / 1e9


@contextlib.contextmanager
def work_of(running: Running) -> Iterator[list[Work]]:
    """What a process does during a block, as one more entry of the list."""
    found: list[Work] = []
    cpu, waited = scheduled_seconds(running)
    wall = time.monotonic()
    yield found
    cpu_after, waited_after = scheduled_seconds(running)
    found.append(Work(cpu_after - cpu, waited_after - waited, time.monotonic() - wall))


def gauge(guard: Proxyguard, name: str) -> float:
    """The sum of a metric over its labels; 0 when it has not been counted yet. `name` without the prefix."""
    rows = (line.rpartition(" ") for line in guard.admin("/metrics").splitlines() if not line.startswith("#"))
    return sum(float(value) for label, _, value in rows if label.partition("{")[0] == f"proxyguard_{name}")


def settled_memory(guard: Proxyguard, seconds: float = 10.0) -> int:
    """Resident bytes once they stay as they are for a second, or after some time."""
    ends = time.monotonic() + seconds
    last = guard.memory_bytes()
    while time.monotonic() < ends:
        time.sleep(1.0)
        now = guard.memory_bytes()
        if abs(now - last) < 64 * 1024:
            return now
        last = now
    return last


def wait_for_gauge(guard: Proxyguard, name: str, at_most: float, seconds: float) -> float:
    """How long a gauge took to fall; asks every few milliseconds. Raises TimeoutError."""
    began = time.monotonic()
    wait_until(lambda: gauge(guard, name) <= at_most, f"{name} at most {at_most:g}", within=seconds)
    return time.monotonic() - began


def load_average() -> float:
    """Of the last minute, to judge figures by: what else the machine did."""
    return os.getloadavg()[0]
