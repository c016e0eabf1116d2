"""A worker that counts a million keys: memory over empty, and that a flood of junk keys lifts no ban and stops no limit.

Over real sockets, with a real upstream: each request comes through a trusted proxy that names another client, and is counted by
ten limits. Then more clients, which nobody saw before, find the table full.

Run: `python -m bench.tracked [--keys 1000000] [--json FILE] [--check]`. Needs nginx. Takes about a minute.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from pathlib import Path
from typing import Final

from bench.attended import gauge, load_average, settled_memory, wait_for_gauge
from bench.end_to_end import nginx
from tests.end_to_end.processes import Proxyguard, proxyguard

MIB: Final = 1024 * 1024
MAX_RISE_BYTES: Final = 250 * 1000 * 1000
JUNK: Final = 20_000
"""Clients, each with LIMITS keys."""

CONNECTIONS: Final = 8
BATCH: Final = 400

SETTINGS: Final = """\
trust: {{proxies: [127.0.0.0/8]}}
counting: {{keys: {keys}}}
bounds: {{requests_per_connection: 1000000000}}
"""

LIMITS: Final = 10
"""Rules that each count every client."""

RULES: Final = """\
name: counted
rules:
  - name: trap
    why: The bench asks to be banned.
    when: {path: /trap}
    action: {ban: {for: 10h}}
""" + "".join(
    f"""\
  - name: pages-of-kind-{number}
    why: The bench counts everyone.
    limit: {{rate: {5 + number}/day, burst: {5 + number}, per: [client]}}
    action: {{reject: {{status: 429}}}}
"""
    for number in range(LIMITS)
)


def clients(first: int, count: int) -> Iterator[bytes]:
    """IPv4 addresses, each once, that are nobody's on this machine."""
    for number in range(first, first + count):
        yield b"%d.%d.%d.%d" % (20 + (number >> 24), number >> 16 & 255, number >> 8 & 255, number & 255)


def ask(guard: Proxyguard, who: Iterator[bytes], path: bytes = b"/counted") -> list[bytes]:
    """One request of each, pipelined on one connection; gives the statuses in order."""
    found: list[bytes] = []
    with guard.connect() as connection:
        for batch in batched(who, BATCH):
            connection.sendall(
                b"".join(
                    b"HEAD %b HTTP/1.1\r\nHost: x\r\nUser-Agent: b\r\nX-Forwarded-For: %b\r\n\r\n" % (path, client)
                    for client in batch
                )
            )
            wanted, answers = len(found) + len(batch), b""
            while len(found) < wanted:
                part = connection.recv(1 << 20)
                if not part:
                    raise RuntimeError(f"the connection ended after {len(found)} answers")
                *whole, answers = (answers + part).split(b"\r\n\r\n")
                found += [one[9:12] for one in whole]
    return found


def ask_all(guard: Proxyguard, first: int, count: int) -> list[bytes]:
    """One request of each of many clients, over several connections; gives the statuses in no order."""
    share = -(-count // CONNECTIONS)
    parts = [(start, min(share, first + count - start)) for start in range(first, first + count, share)]
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        return [one for found in threads.map(lambda part: ask(guard, clients(*part)), parts) for one in found]


def tell(name: str, value: object, *, holds: bool = True) -> bool:
    print(f"{name}: {value}{'' if holds else '  MISSED'}", flush=True)
    return holds


def main() -> int:
    """Count, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    options = parser.parse_args()
    keys: int = options.keys
    banned, limited = b"198.51.100.7", b"198.51.100.8"
    with tempfile.TemporaryDirectory(prefix="proxyguard-tracked-") as name:
        folder = Path(name)
        (folder / "rules").mkdir()
        (folder / "rules/counted.yaml").write_text(RULES)
        settings = SETTINGS.format(keys=keys)
        with (
            nginx(folder) as upstream,
            proxyguard(folder / "guard", upstream, rules=folder / "rules", settings=settings) as guard,
        ):
            ask(guard, clients(0, 1))
            ask(guard, iter([banned]), b"/trap")
            once = ask(guard, iter([limited] * 7))
            empty = settled_memory(guard)
            counted = ask_all(guard, 1, keys // LIMITS - 2)
            wait_for_gauge(guard, "connections", 0, 10)
            held = gauge(guard, "store_keys")
            rise = settled_memory(guard) - empty
            junk = ask_all(guard, keys, JUNK)
            after = settled_memory(guard) - empty
            still_banned = ask(guard, iter([banned]))
            again = ask(guard, iter([limited] * 2))
            evictions = gauge(guard, "ban_evictions")
    verdicts = [
        tell("keys held", f"{held:,.0f}", holds=held == keys and set(counted) == {b"200"}),
        tell("over empty", f"{rise / 1e6:.0f} MB", holds=rise <= MAX_RISE_BYTES),
        tell("over empty after the junk", f"{after / 1e6:.0f} MB", holds=after <= MAX_RISE_BYTES),
        tell("a client over its limit, before", b" ".join(once).decode(), holds=once == [b"200"] * 5 + [b"429"] * 2),
        tell("the same, after", b" ".join(again).decode(), holds=again == [b"429"] * 2),
        tell("junk that was limited", f"{junk.count(b'429') / JUNK:.0%}", holds=junk.count(b"429") > JUNK / 2),
        tell("a banned client, after", still_banned[0].decode(), holds=still_banned == [b"403"] and evictions == 0),
    ]
    print(f"load average {load_average():.1f}")
    if options.json:
        figures = {"keys": held, "bytes_over_empty": rise, "bytes_over_empty_after_junk": after, "held": all(verdicts)}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return int(options.check and not all(verdicts))


if __name__ == "__main__":
    sys.exit(main())
