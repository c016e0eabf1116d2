"""Milliseconds of a processor for the worst requests of 8 KB: read, looked at, counted and decided.

The requests and the rules are those of tests/policy/test_cost.py: the bundled rules, and others that count and ban by values
that the client chose. Each request is served many times, with everything that is derived from it made anew; the least time is
what it costs, as more is something else on the machine. Run: `python -m bench.worst [--rounds 40]`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from proxyguard.core.build_info import BUILD_KIND
from proxyguard.limits.stores.memory import MemoryStore
from tests.policy.test_cost import BYTES, compiled, raw, serve, worst

READINGS = ("php", "rails", "iis")
SHOWN = 5


def main() -> int:
    """Print the dearest requests for sites that read as each of READINGS; a plain request beside them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="default 40")
    rounds: int = parser.parse_args().rounds
    requests = {"GET /": raw("/"), **dict(worst(BYTES))}
    print(f"{len(requests) - 1} requests of 8 KB, {BUILD_KIND} build, milliseconds")
    for reading in READINGS:
        with tempfile.TemporaryDirectory() as folder:
            policy = compiled(reading, Path(folder))
        store = MemoryStore(keys=10_000, bans=100)
        least: dict[str, float] = {}
        for _ in range(rounds):
            for name, request in requests.items():
                began = perf_counter()
                serve(policy, store, request)
                least[name] = min(perf_counter() - began, least.get(name, 1.0))
        plain = least.pop("GET /")
        print(f"paths: {reading}   GET / {plain * 1000:.2f}")
        for name in sorted(least, key=lambda each: -least[each])[:SHOWN]:
            print(f"  {least[name] * 1000:5.2f}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
