"""Memory of all that one process remembers of items and of those who read them, filled to its bounds by a swarm.

Run: `python -m bench.remembered [--check]`. Takes half a minute. What limits count is in the store: see `bench.tracked`.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from proxyguard.core.address import Address, Prefixes
from proxyguard.core.jar import FRESH, Jar
from proxyguard.core.jar_settings import Items, JarCookie
from proxyguard.core.number64 import Number64
from proxyguard.core.request import Request
from proxyguard.guard.acquaintances import DAY_SECONDS, EARLIER_DAYS, Acquaintances
from proxyguard.guard.disclosure import MOST_RECENT, RECENT_SECONDS, Disclosure
from proxyguard.guard.jars import BOUNDS, Jars
from proxyguard.limits.daily import MAX_KEYS, DailyUse
from proxyguard.limits.heat import GENERATIONS
from proxyguard.limits.recent import TURNS
from proxyguard.limits.sightings import MOST_WAITING, Sightings, Subject

MIB: Final = 1024 * 1024
MOST_MIB: Final = 32.0
SECRET: Final = b"s" * 32
CLIENTS_A_DAY: Final = 5_000
"""More change nothing: the filters have their size from the start."""


def request(number: int) -> Request:
    """A request of a client in a network of its own."""
    client = Address.parse(f"{number >> 16 & 0x3F | 0x20:x}00:{number & 0xFFFF:x}:1::1")
    return Request(client, b"GET", b"https", b"a.example", b"/profiles/%d" % number, ())


def fill_items() -> object:
    """What was read in three half-lives, and within the last half hour."""
    items, random = Items(), Random(1)
    disclosure = Disclosure(items)
    for generation in range(GENERATIONS):
        for _ in range(4 * MOST_RECENT):
            number = Number64.of(random.getrandbits(64))
            disclosure._heat.add(number, generation * items.half_life_seconds)  # noqa: SLF001 - alone
    for turn in range(TURNS + 1):
        for _ in range(MOST_RECENT):
            number = Number64.of(random.getrandbits(64))
            disclosure._recent.add(number, turn * RECENT_SECONDS / TURNS)  # noqa: SLF001 - as above
    return disclosure


def fill_visitors() -> object:
    """A week of days."""
    visitors = Acquaintances(SECRET, Prefixes(), float)
    for day in range(EARLIER_DAYS + 1):
        for number in range(CLIENTS_A_DAY):
            visitors.observe(request(day * CLIENTS_A_DAY + number), (20_000 + day) * DAY_SECONDS)
    return visitors


def fill_jars() -> object:
    """Clients that were sent for a jar, for as many pages as are remembered; fresh jars with an asset; jars that were read."""
    jars, random = Jars(JarCookie(), SECRET, Prefixes(), float), Random(2)
    for number in range(BOUNDS.asked):
        for page in range(3):
            one = request(number)
            one.target = b"/profiles/%d" % page
            jars.ask(one, 0.0)
    for _ in range(BOUNDS.assets):
        jars.saw_asset(Jar(f"{random.getrandbits(72):018x}", (FRESH,)), 0.0)
    for number in range(BOUNDS.kept):
        one = request(number)
        [(_, field)] = jars.cookie(one, 0.0)
        jars.read(Request(one.client, b"GET", b"https", b"a.example", b"/", ((b"cookie", field.partition(b";")[0]),)), 0.0)
    return jars


def fill_learned() -> object:
    """Keys near a limit that learns, with a week each."""
    daily = DailyUse()
    for day in range(EARLIER_DAYS):
        daily.turn(day * DAY_SECONDS, day * DAY_SECONDS)
        for number in range(MAX_KEYS):
            key = f"rare-items-of-network~a1b2c3|network:{number >> 8:x}:{number & 255:x}::/48"
            daily.observe("rare-items-of-network", key, f"n{number >> 6}", 300.0 + number, 1.0)
    return daily


def fill_sightings() -> object:
    """What waits to be told to other processes."""
    sightings = Sightings(SECRET)
    for subject in Subject:
        for number in range(MOST_WAITING):
            sightings.tell(subject, (1 << 63) + number)
    return sightings


TABLES: Final[tuple[tuple[str, Callable[[], object]], ...]] = (
    ("items: reads, and the last half hour", fill_items),
    ("visitors of a week", fill_visitors),
    ("jars: who was sent, assets, signatures", fill_jars),
    ("what limits learned, by key", fill_learned),
    ("what waits to be told", fill_sightings),
)


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; 1 with `--check` when it is too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help=f"exit with 1 above {MOST_MIB:.0f} MiB")
    arguments = parser.parse_args(words)
    total = 0.0
    for name, fill in TABLES:
        gc.collect()
        tracemalloc.start()
        kept = fill()
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] / MIB
        tracemalloc.stop()
        del kept
        total += taken
        print(f"{name:<42} {taken:>6.1f} MiB")
    print(f"{'together, of one process':<42} {total:>6.1f} MiB")
    return int(arguments.check and total > MOST_MIB)


if __name__ == "__main__":
    sys.exit(main())
