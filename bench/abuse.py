"""What steady visitors notice while others misbehave: slow heads, bodies and readers, floods, idle sockets, huge heads, resets.

Each attack is bounded and goes to loopback only. Visitors' waiting is measured in turns of a few seconds, in the same minute: at
the attacked instance, and at one that nobody attacks while the attackers stand still. So a ratio of 1 means that the attack is
not felt at all, and other work on the machine reaches both sides alike.

A ratio is to say something about the proxy, not about the attackers' own work. So where there are two cores the instances have
one for themselves, and visitors, site and attackers share the other, of which the attackers get only what nobody else wants
(SCHED_IDLE). What cannot be kept apart is shown: `kept waiting` is how long the attacked process wanted a core that others had;
above a few hundredths the machine is too busy for the ratio to mean much. `CPU` is what attack and visitors cost the attacked,
`deeds` are the attacks a second that were really made.

Held to: p99 at most 1.5 times that of the other instance, memory back within 10 %, no traceback, no internal error, nobody left
over.

Run: `python -m bench.abuse [--only NAME] [--json FILE] [--check]`. Needs slowhttptest, h2load, chrt, nginx, openssl. Takes about
six minutes, and needs a machine that does little else.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.attended import (
    Waits,
    Work,
    gauge,
    instance,
    load_average,
    settled_memory,
    stay_with_the_load,
    visit,
    visits,
    wait_for_gauge,
    work_of,
)
from bench.crowd import Crowd
from bench.end_to_end import LOAD_CORE, make_certificate, nginx, pinned
from tests.end_to_end.processes import Proxyguard

MIB: Final = 1024 * 1024
RATE: Final = 500
SECONDS: Final = 2.5
TURNS: Final = 6
RUN_UP_SECONDS: Final = 1.5
"""Between the begin of an attack and of the measurement."""

RESUME_SECONDS: Final = 0.5
"""The same for one that stood still meanwhile."""

MAX_RATIO: Final = 1.5
MAX_RISE: Final = 0.1

SETTINGS: Final = "bounds: {connections: 14000, connections_per_network: 3000}\n"


@dataclass
class Attack:
    """One that goes on."""

    stopped: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext
    """Nobody does anything for the time of a block."""
    deeds: int | None = None
    """How often it was done, once it has ended, if that is counted."""


type Attacker = Callable[[Proxyguard], contextlib.AbstractContextManager[Attack]]


@dataclass
class Endured:
    """What one attack came to."""

    name: str
    before: Waits
    without: Waits
    """At the instance beside it, while the attackers stand still."""
    meanwhile: Waits
    memory_before: int
    memory_at_most: int
    memory_after: int
    connections_left: float
    cpu_share: float
    """Of a core, while attacked and visited."""
    kept_waiting_share: float
    """Of the time while attacked: how long threads wanted a core that others had."""
    deeds_a_second: float | None
    load_average: float

    @property
    def ratio(self) -> float:
        return self.meanwhile.p99 / self.without.p99

    @property
    def rise(self) -> float:
        return self.memory_after / self.memory_before - 1


@contextlib.contextmanager
def program(*command: str, counts: bool = False) -> Iterator[Attack]:
    """A program that attacks until the block ends, with what is left of its core. `counts`: it says how often at the end of
    its standard input."""
    idle = ["chrt", "--idle", "0"] if shutil.which("chrt") else ["nice", "-n", "19"]
    with subprocess.Popen(
        [str(part) for part in (*idle, *pinned(LOAD_CORE, *command))],
        stdin=subprocess.PIPE if counts else subprocess.DEVNULL,
        stdout=subprocess.PIPE if counts else subprocess.DEVNULL,
        stderr=None if counts else subprocess.DEVNULL,
        text=True,
    ) as process:
        attack = Attack(lambda: standing_still(process))
        try:
            yield attack
            if process.poll() not in (None, 0):
                raise RuntimeError(f"{command[0]} ended with {process.returncode}")
            if counts:
                attack.deeds = int(process.communicate(timeout=30)[0])
        finally:
            process.kill()


@contextlib.contextmanager
def standing_still(process: subprocess.Popen[str]) -> Iterator[None]:
    """Whoever is connected stays so."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)
    time.sleep(RESUME_SECONDS)


def slow(kind: str, *more: str) -> Attacker:
    """slowhttptest with 1,000 connections, from one address."""
    return lambda guard: program(
        "slowhttptest", kind, "-c", "1000", "-r", "1000", "-l", "120", "-i", "1", "-p", "3", "-u",
        f"{guard.url}/profiles/1", *more,
    )  # fmt: skip


@contextlib.contextmanager
def flood(guard: Proxyguard) -> Iterator[Attack]:
    """h2load, HTTP/2, ten streams on each of 32 connections, at 640 requests a second.

    Its clients begin one after the other, and anew after each pause: otherwise all 32 ask at the same moment, again and again.
    """
    command = (
        "h2load", "-r1", "--rate-period=7ms", "-c32", "-m10", "--rps=20", "-n100000",
        "-H", "user-agent: python-requests/2.32.3", f"{guard.url}/profiles/1",
    )  # fmt: skip
    with contextlib.ExitStack() as stack:

        @contextlib.contextmanager
        def gone() -> Iterator[None]:
            stack.close()
            yield
            stack.enter_context(program(*command))
            time.sleep(RUN_UP_SECONDS)

        stack.enter_context(program(*command))
        yield Attack(gone)


@contextlib.contextmanager
def idle(guard: Proxyguard) -> Iterator[Attack]:
    """5,000 connections from many addresses that never say a word."""
    with Crowd.of(guard.port, 5000, "nothing"):
        yield Attack()


def repeated(deed: str) -> Attacker:
    """A deed of `bench.assailant`, twenty times a second."""
    return lambda guard: program(
        sys.executable, "-m", "bench.assailant", deed, str(guard.port),
        *(("--authority", str(guard.authority)) if guard.authority else ()), counts=True,
    )  # fmt: skip


ATTACKS: Final[dict[str, tuple[bool, Attacker]]] = {
    "slow heads": (False, slow("-H")),
    "slow bodies": (False, slow("-B", "-s", "100000")),
    "slow readers": (False, slow("-X", "-k", "10", "-w", "1", "-y", "64", "-n", "1", "-z", "16")),
    "5,000 idle sockets": (False, idle),
    "heads of 1 MB": (False, repeated("huge-head")),
    "h2load, refused": (True, flood),
    "rapid reset": (True, repeated("rapid-reset")),
}
"""Name, whether over TLS, the attack."""


def endure(guard: Proxyguard, other: Proxyguard, name: str, attacker: Attacker) -> Endured:
    """One attack beside steady visitors; nobody attacks the other."""
    for each in (guard, other):
        visit(each, 1.0, RATE)
    quiet = visits(guard, SECONDS, RATE, 2)
    before = settled_memory(guard)
    guard.forget_peak_memory()
    meanwhile: list[Waits] = []
    without: list[Waits] = []
    works: list[Work] = []
    began = time.monotonic()
    rested = 0.0
    with attacker(guard) as attack:
        time.sleep(RUN_UP_SECONDS)
        for _ in range(TURNS):
            with work_of(guard) as work:
                meanwhile.append(visit(guard, SECONDS, RATE))
            works += work
            stopped = time.monotonic()
            with attack.stopped():
                without.append(visit(other, SECONDS, RATE))
                rested += time.monotonic() - stopped
        attacked_seconds = time.monotonic() - began - rested
    load = load_average()
    with contextlib.suppress(TimeoutError):
        wait_for_gauge(guard, "connections", 0, 20.0)
    left = gauge(guard, "connections")
    visit(guard, 1.0, RATE)  # memory is given back when connections come and go
    after = settled_memory(guard)
    if gauge(guard, "internal_errors_total") or "Traceback" in guard.said():
        raise RuntimeError(f"{name}: {guard.said()}")
    if attack.deeds == 0:
        raise RuntimeError(f"{name}: nothing was done")
    wall = sum(work.wall for work in works)
    return Endured(
        name, quiet, Waits.of(without), Waits.of(meanwhile), before, guard.peak_memory_bytes(), after, left,
        sum(work.cpu for work in works) / wall, sum(work.kept_waiting for work in works) / wall,
        None if attack.deeds is None else attack.deeds / attacked_seconds, load,
    )  # fmt: skip


def show(found: list[Endured]) -> list[str]:
    """A table; gives what was missed."""
    table = Table(
        "attack", "p99 before", "beside it", "meanwhile", "ratio", "worst", "memory before", "at most", "after", "left over",
        "CPU", "kept waiting", "deeds", "load",
        title=f"Visitors at {RATE} requests a second while others attack",
    )  # fmt: skip
    missed: list[str] = []
    for one in found:
        table.add_row(
            one.name, *(f"{waits.p99:.2f} ms" for waits in (one.before, one.without, one.meanwhile)), f"{one.ratio:.2f}",
            f"{one.without.worst:.0f} → {one.meanwhile.worst:.0f} ms",
            *(f"{size / MIB:.1f} MiB" for size in (one.memory_before, one.memory_at_most, one.memory_after)),
            f"{one.connections_left:g}", f"{one.cpu_share:.0%}", f"{one.kept_waiting_share:.1%}",
            "-" if one.deeds_a_second is None else f"{one.deeds_a_second:.0f}/s", f"{one.load_average:.1f}",
        )  # fmt: skip
        if one.ratio > MAX_RATIO:
            missed.append(f"{one.name}: p99 times {one.ratio:.2f}, more than {MAX_RATIO:g}")
        if one.rise > MAX_RISE:
            missed.append(f"{one.name}: memory {one.rise:+.0%} afterwards")
        if one.connections_left:
            missed.append(f"{one.name}: {one.connections_left:g} connections left over")
    Console(width=180).print(table)
    return missed


def main() -> int:
    """Attack, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=ATTACKS, help="one attack")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    options = parser.parse_args()
    stay_with_the_load()
    found: list[Endured] = []
    with tempfile.TemporaryDirectory(prefix="proxyguard-abuse-") as folder_name:
        folder = Path(folder_name)
        make_certificate(folder)
        with nginx(folder) as upstream:
            for name, (tls, attacker) in ATTACKS.items():
                if options.only in (None, name):
                    with (
                        instance(folder, upstream, SETTINGS, tls=tls) as guard,
                        instance(folder, upstream, SETTINGS, tls=tls) as other,
                    ):
                        found.append(endure(guard, other, name, attacker))
                    print(f"{name}: p99 times {found[-1].ratio:.2f}", flush=True)
    missed = show(found)
    for one in missed:
        print(f"missed: {one}")
    if options.json:
        attacks = [asdict(one) | {"ratio": one.ratio, "rise": one.rise} for one in found]
        options.json.write_text(json.dumps({"attacks": attacks, "missed": missed}, indent=2) + "\n")
    return int(options.check and bool(missed))


if __name__ == "__main__":
    sys.exit(main())
