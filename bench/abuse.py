"""What steady visitors notice while others misbehave: slow heads, bodies and readers, floods, idle sockets, huge heads, resets.

Each attack is bounded and goes to loopback only. Visitors' waiting is measured before it, and during it in turns at the attacked
instance and at one that nobody attacks, so that what else the machine does (the attackers' own work with it) reaches both. Held
to: p99 at most 1.5 times that of the instance beside it, memory back within 10 %, no traceback, no internal error, nobody left
over. What the attack costs the attacked is the share of a core.

Run: `python -m bench.abuse [--only NAME] [--json FILE] [--check]`. Needs slowhttptest, h2load, nginx, openssl. Takes about three
minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Final

import h2.config
import h2.connection
import h2.errors
import h2.exceptions
import h2.settings
from rich.console import Console
from rich.table import Table

from bench.attended import (
    ASSET,
    Waits,
    beside,
    gauge,
    instance,
    load_average,
    settled_memory,
    visits,
    wait_for_gauge,
    work_of,
)
from bench.crowd import Crowd
from bench.end_to_end import LOAD_CORE, make_certificate, nginx, pinned
from tests.end_to_end.processes import Proxyguard

MIB: Final = 1024 * 1024
RATE: Final = 200
SECONDS: Final = 3.0
TURNS: Final = 4
RUN_UP_SECONDS: Final = 1.5
"""Between the begin of an attack and of the measurement."""

MAX_RATIO: Final = 1.5
MAX_RISE: Final = 0.1

SETTINGS: Final = "bounds: {connections: 14000, connections_per_network: 3000}\n"

type Attack = contextlib.AbstractContextManager[None]


@dataclass
class Endured:
    """What one attack came to."""

    name: str
    before: Waits
    without: Waits
    """At the instance beside it."""
    meanwhile: Waits
    memory_before: int
    memory_at_most: int
    memory_after: int
    connections_left: float
    cpu_share: float
    """Of a core, while attacked and visited."""
    load_average: float

    @property
    def ratio(self) -> float:
        return self.meanwhile.p99 / self.without.p99

    @property
    def rise(self) -> float:
        return self.memory_after / self.memory_before - 1


@contextlib.contextmanager
def program(*command: str) -> Iterator[None]:
    """A program that attacks until the block ends; it gives way to the visitors, who share its core only here."""
    with subprocess.Popen(
        ["nice", "-n", "15", *pinned(LOAD_CORE, *command)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            yield
            if process.poll() not in (None, 0):
                raise RuntimeError(f"{command[0]} ended with {process.returncode}")
        finally:
            process.kill()


def slow(kind: str, *more: str) -> Callable[[Proxyguard], Attack]:
    """slowhttptest with 1,000 connections, from one address."""
    return lambda guard: program(
        "slowhttptest", kind, "-c", "1000", "-r", "1000", "-l", "60", "-i", "1", "-p", "3", "-u",
        f"{guard.url}/profiles/1", *more,
    )  # fmt: skip


def flood(guard: Proxyguard) -> Attack:
    """h2load, HTTP/2, ten streams on each of 32 connections, at 640 requests a second."""
    return program(
        "h2load", "-c32", "-m10", "--rps=20", "-D60", "-H", "user-agent: python-requests/2.32.3",
        f"{guard.url}/profiles/1",
    )  # fmt: skip


@contextlib.contextmanager
def idle(guard: Proxyguard) -> Iterator[None]:
    """5,000 connections from many addresses that never say a word."""
    with Crowd.of(guard.port, 5000, "nothing"):
        yield


@contextlib.contextmanager
def repeated(
    deed: Callable[[Proxyguard], None], guard: Proxyguard, every_seconds: float, threads: int
) -> Iterator[None]:
    """Do something over and over in threads, until the block ends."""
    over = Event()

    def work() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                deed(guard)
            over.wait(every_seconds)

    workers = [Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        over.set()
        for worker in workers:
            worker.join()


def huge_head(guard: Proxyguard) -> None:
    """One header of 1 MB; the answer, or a close, is waited for."""
    with socket.create_connection(("127.0.0.1", guard.port), timeout=5) as connection:
        connection.sendall(b"GET /profiles/1 HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * MIB)
        connection.recv(65536)


def rapid_reset(guard: Proxyguard) -> None:
    """A connection that takes back every request at once, as fast as it can, until it is closed (CVE-2023-44487)."""
    trust = ssl.create_default_context(cafile=guard.authority)
    trust.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", guard.port), timeout=5) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        if connection.selected_alpn_protocol() != "h2":
            raise RuntimeError("no HTTP/2")
        peer = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="ascii"))
        peer.initiate_connection()
        head = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/profiles/1")]
        for _ in range(100):
            for _ in range(100):
                stream = peer.get_next_available_stream_id()
                peer.send_headers(stream, head, end_stream=True)
                peer.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
            connection.sendall(peer.data_to_send())
        raise RuntimeError("10,000 streams taken back, and the connection still stands")


ATTACKS: Final[dict[str, tuple[bool, Callable[[Proxyguard], Attack]]]] = {
    "slow heads": (False, slow("-H")),
    "slow bodies": (False, slow("-B", "-s", "100000")),
    "slow readers": (False, slow("-X", "-k", "10", "-w", "1", "-y", "64", "-n", "1", "-z", "16")),
    "5,000 idle sockets": (False, idle),
    "heads of 1 MB": (False, lambda guard: repeated(huge_head, guard, 0.05, 2)),
    "h2load, refused": (True, flood),
    "rapid reset": (True, lambda guard: repeated(rapid_reset, guard, 0.1, 2)),
}
"""Name, whether over TLS, the attack."""


def endure(guard: Proxyguard, other: Proxyguard, name: str, attack: Callable[[Proxyguard], Attack]) -> Endured:
    """One attack beside steady visitors; nobody attacks the other."""
    url, control = guard.url + ASSET, other.url + ASSET
    for each in (url, control):
        visits(each, 1.0, RATE, 1)
    quiet = visits(url, SECONDS, RATE, 2)
    before = settled_memory(guard)
    guard.forget_peak_memory()
    with attack(guard):
        time.sleep(RUN_UP_SECONDS)
        with work_of(guard) as work:
            meanwhile, without = beside(url, control, SECONDS, RATE, TURNS)
    load = load_average()
    with contextlib.suppress(TimeoutError):
        wait_for_gauge(guard, "connections", 0, 20.0)
    left = gauge(guard, "connections")
    visits(url, 1.0, RATE, 1)  # memory is given back when connections come and go
    after = settled_memory(guard)
    if gauge(guard, "internal_errors_total") or "Traceback" in guard.said():
        raise RuntimeError(f"{name}: {guard.said()}")
    share = work[0].cpu / work[0].wall
    return Endured(name, quiet, without, meanwhile, before, guard.peak_memory_bytes(), after, left, share, load)


def show(found: list[Endured]) -> list[str]:
    """A table; gives what was missed."""
    table = Table(
        "attack", "p99 before", "beside it", "p99 meanwhile", "ratio", "memory before", "at most", "after", "left over", "CPU",
        "load",
        title=f"Visitors at {RATE} requests a second while others attack",
    )  # fmt: skip
    missed: list[str] = []
    for one in found:
        table.add_row(
            one.name, f"{one.before.p99:.2f} ms", f"{one.without.p99:.2f} ms", f"{one.meanwhile.p99:.2f} ms", f"{one.ratio:.2f}",
            *(f"{size / MIB:.1f} MiB" for size in (one.memory_before, one.memory_at_most, one.memory_after)),
            f"{one.connections_left:g}", f"{one.cpu_share:.0%}", f"{one.load_average:.1f}",
        )  # fmt: skip
        if one.ratio > MAX_RATIO:
            missed.append(f"{one.name}: p99 times {one.ratio:.2f}, more than {MAX_RATIO:g}")
        if one.rise > MAX_RISE:
            missed.append(f"{one.name}: memory {one.rise:+.0%} afterwards")
        if one.connections_left:
            missed.append(f"{one.name}: {one.connections_left:g} connections left over")
    Console(width=140).print(table)
    return missed


def main() -> int:
    """Attack, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=ATTACKS, help="one attack")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    options = parser.parse_args()
    found: list[Endured] = []
    with tempfile.TemporaryDirectory(prefix="proxyguard-abuse-") as folder_name:
        folder = Path(folder_name)
        make_certificate(folder)
        with nginx(folder) as upstream:
            for name, (tls, attack) in ATTACKS.items():
                if options.only in (None, name):
                    with (
                        instance(folder, upstream, SETTINGS, tls=tls) as guard,
                        instance(folder, upstream, SETTINGS, tls=tls) as other,
                    ):
                        found.append(endure(guard, other, name, attack))
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
