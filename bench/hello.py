"""Microseconds a connection for what its ClientHello tells: the kind of client, and all of it, which is JA4 besides.

The hellos are those of `make fingerprints`, each client's once. Measured is the processor's time of the thread, with facts that
nobody has asked yet. Run: `python -m bench.hello`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from statistics import median, quantiles
from time import thread_time_ns
from typing import Final

from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.http.fingerprints.facts import client_kind, connection_facts, ja4_of
from tests.fingerprints.recording import recorded

ROUNDS: Final = 40

PARTS: Final[dict[str, Callable[[ConnectionFacts], object]]] = {
    "the kind of client": client_kind,
    "JA4": ja4_of,
    "all of it": lambda facts: (client_kind(facts), ja4_of(facts)),
}


def times(hellos: list[bytes], ask: Callable[[ConnectionFacts], object]) -> list[int]:
    """Nanoseconds for each hello, the least of all rounds."""
    least = [1 << 60] * len(hellos)
    for _ in range(ROUNDS):
        for at, hello in enumerate(hellos):
            facts = connection_facts(hello)
            start = thread_time_ns()
            ask(facts)
            least[at] = min(least[at], thread_time_ns() - start)
    return least


def main() -> None:
    hellos = sorted({row.request.connection.hello for row in recorded() if row.request.connection is not None} - {b""})
    gc.collect()
    gc.disable()
    floor = min(times(hellos[:10], lambda _: None))
    print(f"{len(hellos)} hellos, {median(map(len, hellos)):.0f} bytes\n{'of':<20} {'p50 us':>8} {'p99 us':>8}")
    for name, ask in PARTS.items():
        found = [each - floor for each in times(hellos, ask)]
        print(f"{name:<20} {median(found) / 1000:>8.2f} {quantiles(found, n=100)[98] / 1000:>8.2f}")


if __name__ == "__main__":
    main()
