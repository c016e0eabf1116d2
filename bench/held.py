"""Ten thousand clients held at once by one worker: memory of each, what others wait meanwhile, what is freed when they leave.

Four crowds, each on a fresh instance: idle kept-alive connections, tarpits, tarpits over TLS, idle ones over TLS. Resident
memory is read before and after they came, not extrapolated. What visitors wait is measured in turns at the crowded instance and
at an empty one. Then what it costs us when clients open tarpits on purpose, beside what as many page views cost.

Run: `python -m bench.held [--count 10000] [--json FILE] [--check]`. Needs nginx, openssl, and that a process may open 20,000
files. Takes about four minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.attended import (
    Waits,
    beside,
    gauge,
    instance,
    load_average,
    settled_memory,
    stay_with_the_load,
    visit,
    wait_for_gauge,
    work_of,
)
from bench.crowd import Crowd
from bench.end_to_end import LOAD_CORE, make_certificate, nginx, pinned

KIB: Final = 1024
RATE: Final = 500
SECONDS: Final = 2.0
TURNS: Final = 5
WATCH_SECONDS: Final = 5.0
TRIM_SECONDS: Final = 2.5
"""Memory goes back to the system a second after a crowd has left."""

MAX_RATIO: Final = 1.2

SETTINGS: Final = """\
bounds: {connections: 14000, connections_per_network: 14000, head_timeout: 10m, idle_timeout: 10m}
tarpit: {connections: 14000, per_network: 14000, hold: 10m}
"""
"""Room for all, and time enough that nobody is let go while we measure."""

HOLD_SECONDS: Final = 30
"""As the bundled rules hold scanners."""

COSTED: Final = 3000
"""Tarpits opened, and pages seen, to compare their cost: some tenths of a second of CPU."""


@dataclass
class Crowded:
    """What holding one crowd came to."""

    name: str
    count: int
    kib_each: float
    allowed_kib: float | None
    without: Waits
    meanwhile: Waits
    cpu_share: float
    """Of a core, while held and nobody else visits."""
    seconds_to_free: float
    memory_left_kib_each: float
    load_average: float

    @property
    def ratio(self) -> float:
        return self.meanwhile.p99 / self.without.p99


CROWDS: Final = (
    ("idle kept-alive", "page", False, 20.0),
    ("tarpitted", "scan", False, 6.0),
    ("tarpitted over TLS", "scan", True, 60.0),
    ("idle kept-alive over TLS", "page", True, None),
)
"""Name, what they say, whether over TLS, and KiB that each may take."""


def held(folder: Path, upstream: str, count: int, name: str, saying: str, allowed_kib: float | None, *, tls: bool) -> Crowded:
    """Hold one crowd."""
    with instance(folder, upstream, SETTINGS, tls=tls) as guard, instance(folder, upstream, SETTINGS, tls=tls) as empty:
        for each in (guard, empty):
            visit(each, 1.0, RATE)
        before = settled_memory(guard)
        more = ["--authority", str(guard.authority)] if guard.authority else []
        with Crowd.of(guard.port, count, saying, *more) as crowd:
            here = gauge(guard, "tarpits" if saying == "scan" else "connections")
            if here < count:
                raise RuntimeError(f"{name}: only {here:g} of {count} are held")
            with_them = settled_memory(guard)
            with work_of(guard) as work:
                time.sleep(WATCH_SECONDS)
            load = load_average()
            meanwhile, without = beside(guard, empty, SECONDS, RATE, TURNS)
            if gauge(guard, "tarpits" if saying == "scan" else "connections") < count:
                raise RuntimeError(f"{name}: some left while they were watched")
            crowd.leave()
            freed = wait_for_gauge(guard, "connections", 0, 20.0)
        time.sleep(TRIM_SECONDS)
        after = settled_memory(guard)
        if gauge(guard, "internal_errors_total") or "Traceback" in guard.said():
            raise RuntimeError(f"{name}: {guard.said()}")
    return Crowded(
        name, count, (with_them - before) / count / KIB, allowed_kib, without, meanwhile,
        work[0].cpu / work[0].wall, freed, (after - before) / count / KIB, load,
    )  # fmt: skip


@dataclass
class Costs:
    """CPU seconds of ours for a thousand of each, and for holding."""

    tarpit: float
    page: float
    held_second: float
    """For a thousand clients held for one second, while as many are held as the crowd had."""

    @property
    def whole_tarpit(self) -> float:
        """Opened, and held for HOLD_SECONDS."""
        return self.tarpit + self.held_second * HOLD_SECONDS


def costs(folder: Path, upstream: str, held_share: float, count: int) -> Costs:
    """A tarpit opened, left at once and freed, beside a page view on a connection of its own."""
    with instance(folder, upstream, SETTINGS) as guard:
        each: dict[str, float] = {}
        for saying in ("page", "scan", "page", "scan"):  # the first round warms up
            with work_of(guard) as work:
                subprocess.run(
                    pinned(LOAD_CORE, sys.executable, "-m", "bench.crowd", str(guard.port), str(COSTED), saying, "--leave"),
                    check=True,
                )
                wait_for_gauge(guard, "connections", 0, 20.0)
            each[saying] = work[0].cpu / COSTED * 1000
    return Costs(each["scan"], each["page"], held_share / count * 1000)


def show(crowds: list[Crowded], cost: Costs) -> list[str]:
    """Two tables; gives what was missed."""
    missed: list[str] = []
    console = Console(width=140)
    table = Table(
        "crowd", "KiB each", "wanted", "p99 without", "p99 meanwhile", "ratio", "CPU held", "freed in", "left over", "load",
        title=f"{crowds[0].count:,} held at once by one worker; visitors at {RATE} requests a second",
    )  # fmt: skip
    for crowd in crowds:
        wanted = "-" if crowd.allowed_kib is None else f"≤ {crowd.allowed_kib:g}"
        table.add_row(
            crowd.name, f"{crowd.kib_each:.1f}", wanted, f"{crowd.without.p99:.2f} ms", f"{crowd.meanwhile.p99:.2f} ms",
            f"{crowd.ratio:.2f}", f"{crowd.cpu_share:.1%}", f"{crowd.seconds_to_free:.1f} s",
            f"{crowd.memory_left_kib_each:.1f} KiB", f"{crowd.load_average:.1f}",
        )  # fmt: skip
        if crowd.allowed_kib is not None and crowd.kib_each > crowd.allowed_kib:
            missed.append(f"{crowd.name}: {crowd.kib_each:.1f} KiB each, more than {crowd.allowed_kib:g}")
        if crowd.ratio > MAX_RATIO:
            missed.append(f"{crowd.name}: p99 times {crowd.ratio:.2f}, more than {MAX_RATIO:g}")
    console.print(table)
    table = Table("for 1,000", "CPU seconds", title="What clients cost that open tarpits on purpose")
    table.add_row("page views, each on a connection of its own", f"{cost.page:.3f}")
    table.add_row("tarpits, opened and left", f"{cost.tarpit:.3f}")
    table.add_row("clients held, each second", f"{cost.held_second:.5f}")
    table.add_row(f"tarpits, opened and held for {HOLD_SECONDS} s", f"{cost.whole_tarpit:.3f}")
    console.print(table)
    if cost.whole_tarpit >= cost.page:
        missed.append(f"a tarpit costs {cost.whole_tarpit / cost.page:.2f} times a page view")
    return missed


def main() -> int:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="clients in each crowd (default 10000)")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    options = parser.parse_args()
    stay_with_the_load()
    with tempfile.TemporaryDirectory(prefix="proxyguard-held-") as name:
        folder = Path(name)
        make_certificate(folder)
        with nginx(folder) as upstream:
            crowds = []
            for title, saying, tls, allowed in CROWDS:
                crowds.append(held(folder, upstream, options.count, title, saying, allowed, tls=tls))
                print(f"{title}: {crowds[-1].kib_each:.1f} KiB each", flush=True)
            tarpits = next(crowd for crowd in crowds if crowd.name == "tarpitted")
            cost = costs(folder, upstream, tarpits.cpu_share, options.count)
    missed = show(crowds, cost)
    for one in missed:
        print(f"missed: {one}")
    if options.json:
        figures = {
            "crowds": [asdict(crowd) | {"ratio": crowd.ratio} for crowd in crowds],
            "cpu_seconds_for_1000": asdict(cost),
            "missed": missed,
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return int(options.check and bool(missed))


if __name__ == "__main__":
    sys.exit(main())
