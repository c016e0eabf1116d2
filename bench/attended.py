"""One proxyguard under test, with steady visitors whose waiting is measured while something else goes on beside them.

The proxy has a core for itself where there are two. Shared by the benches that ask what a crowd or an attack does to others.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Final, NamedTuple

from bench.end_to_end import LOAD_CORE, PROXY_CORE, READER, pinned
from tests.end_to_end.processes import RULES, Proxyguard, Running, free_port, wait_until

VISITORS: Final = 20
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


class Work(NamedTuple):
    """What a process did in a while: seconds of CPU, seconds of the clock."""

    cpu: float
    wall: float


def visit(url: str, seconds: float, rate: int) -> Waits:
    """`rate` requests a second in all over VISITORS connections, for whole seconds. Raises RuntimeError when one failed."""
    with tempfile.NamedTemporaryFile(suffix=".log") as log:
        options = [option for name, value in READER.items() for option in ("-H", f"{name}: {value}")]
        command = (
            "h2load", "--h1", "-t1", f"-c{VISITORS}", f"--rps={rate / VISITORS:g}", f"-D{seconds:g}",
            f"--log-file={log.name}",
        )  # fmt: skip
        Running.start(pinned(LOAD_CORE, *command, *options, url), Path(log.name).with_suffix(".out")).process.wait()
        Path(log.name).with_suffix(".out").unlink()
        rows = [line.split() for line in Path(log.name).read_text().splitlines()]
    times = [int(row[2]) / 1000 for row in rows if row[1] == "200"]
    if len(times) < max(len(rows), rate * seconds / 2):  # fewer than asked for come of long waits, which are measured
        raise RuntimeError(f"only {len(times)} of {rate * seconds:g} visits to {url} were served: {rows[:3]}")
    cuts = quantiles(times, n=100)
    return Waits(cuts[49], cuts[98])


def visits(url: str, seconds: float, rate: int, times: int) -> Waits:
    """The medians of several measurements."""
    found = [visit(url, seconds, rate) for _ in range(times)]
    return Waits(median(waits.p50 for waits in found), median(waits.p99 for waits in found))


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
    chain, key = folder / "chain.pem", folder / "key.pem"
    certificate = f"certificate: {{chain: {chain}, key: {key}}}\n" if tls else ""
    (here / "proxyguard.yaml").write_text(certificate + settings)
    command = pinned(
        PROXY_CORE, sys.executable, "-m", "proxyguard", "run", "--config", here / "proxyguard.yaml",
        "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin_port}", "--upstream", upstream,
        "--rules", rules, "--audit", here / "audit.jsonl",
    )  # fmt: skip
    guard = Proxyguard.start(command, here / "proxyguard.log")
    guard.port, guard.admin_port, guard.audit = port, admin_port, here / "audit.jsonl"
    guard.scheme, guard.authority = ("https", chain) if tls else ("http", None)
    try:
        guard.wait_for(guard.ready, "readiness")
        yield guard
    finally:
        guard.end(seconds=45)


def beside(url: str, control: str, seconds: float, rate: int, times: int) -> tuple[Waits, Waits]:
    """Medians at `url` and at `control`, measured in turns, so that what else the machine does reaches both alike."""
    found = [(visit(url, seconds, rate), visit(control, seconds, rate)) for _ in range(times)]
    first, second = zip(*found, strict=True)
    return (
        Waits(median(waits.p50 for waits in first), median(waits.p99 for waits in first)),
        Waits(median(waits.p50 for waits in second), median(waits.p99 for waits in second)),
    )


def cpu_seconds(running: Running) -> float:
    """What a process, its children and all their threads have taken so far, to the nanosecond."""
    total = 0
    for pid in running.family():
        for thread in Path(f"/proc/{pid}/task").iterdir():
            total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9


@contextlib.contextmanager
def work_of(running: Running) -> Iterator[list[Work]]:
    """What a process does during a block, as the one entry of the list."""
    found: list[Work] = []
    cpu, wall = cpu_seconds(running), time.monotonic()
    yield found
    found.append(Work(cpu_seconds(running) - cpu, time.monotonic() - wall))


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
    wait_until(lambda: gauge(guard, name) <= at_most, seconds, f"{name} at most {at_most:g}")
    return time.monotonic() - began


def load_average() -> float:
    """Of the last minute, to judge figures by: what else the machine did."""
    return os.getloadavg()[0]
