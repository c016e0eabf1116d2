"""Several versions of the product side by side, with the same rules, each in turn within the same seconds: what a change cost.

Runs of one version minutes apart differ by a third on a shared machine, and so do their ratios. Here all versions are up at once,
on one core, and each round measures each of them once; the medians and the ratios to the first version are what to believe.

Run: `python -m bench.beside NAME=FOLDER... [--rules FOLDER] [--seconds 2] [--rounds 10] [--json FILE]`. A folder is a tree that
`make compiled` has made (or a checkout), from which `python -m proxyguard` starts that version. Needs wrk, nginx, openssl.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.end_to_end import (
    ASSET,
    PAGE,
    READER,
    SCRIPT,
    STYLE_READER,
    Contender,
    envoy,
    make_certificate,
    measure,
    nginx,
    ours,
    wrk,
)
from tests.end_to_end.processes import RULES

type Found = dict[tuple[str, str], Contender]
"""By kind and version."""

KINDS: Final = (
    ("forwards", False, ASSET, STYLE_READER),
    ("forwards and records", False, PAGE, READER),
    ("rejects", False, PAGE, SCRIPT),
    ("forwards over TLS", True, ASSET, STYLE_READER),
)
"""What is measured of each: its name, whether over TLS, what is asked for and by whom."""


def python_of(tree: Path) -> list[str | Path]:
    """What starts Python in a tree: its own, where it has one beside it."""
    own = tree.parent.parent / ".venv/bin/python"
    return ["env", f"--chdir={tree}", own if own.exists() else sys.executable]


def contenders(stack: contextlib.ExitStack, folder: Path, trees: dict[str, Path], rules: Path) -> Found:
    """Every version with every kind, and Envoy, by kind and name."""
    upstream = stack.enter_context(nginx(folder))
    found: Found = {}
    for name, tree in trees.items():
        start = partial(ours, folder, upstream, name=name, python=python_of(tree), rules=rules)
        up = {tls: stack.enter_context(start(tls=tls)) for tls in (False, True)}
        for kind, tls, path, headers in KINDS:
            url, process = up[tls]
            found[kind, name] = Contender(f"{name} {kind}", url + path, headers, process)
    beside = stack.enter_context(envoy(folder, upstream))
    if beside is not None:
        found["forwards", "Envoy"] = Contender("Envoy forwards", beside[0] + ASSET, STYLE_READER, beside[1])
    return found


def run(trees: dict[str, Path], rules: Path, seconds: int, rounds: int) -> Found:
    """All rounds."""
    with tempfile.TemporaryDirectory() as at, contextlib.ExitStack() as stack:
        folder = Path(at)
        make_certificate(folder)
        found = contenders(stack, folder, trees, rules)
        for one in found.values():
            wrk(one.url, one.headers, 1)
        for _ in range(rounds):
            for kind in dict.fromkeys(kind for kind, _ in found):
                for (its, _), one in found.items():
                    if its == kind:
                        measure(one, seconds)
    return found


def against(found: Found, kind: str, name: str, first: str) -> float:
    """Requests per second of CPU, as a ratio to the first version: the median of the ratios of each round."""
    pairs = zip(found[kind, first].cpu, found[kind, name].cpu, strict=True)
    return median(before / after for before, after in pairs)


def main() -> None:
    """Measure, and show what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--rules", type=Path, default=RULES, help="rules that every version understands")
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    trees = {name: Path(tree).resolve() for name, _, tree in (each.partition("=") for each in options.trees)}
    first = next(iter(trees))
    found = run(trees, options.rules.resolve(), options.seconds, options.rounds)
    table = Table("version", "requests/s", "CPU s / 10,000", f"per CPU, times {first}", title="Keep-alive, medians of all rounds")
    rows = {}
    for (kind, name), one in found.items():
        ratio = against(found, kind, name, first)
        table.add_row(one.name, f"{one.rate:,.0f}", f"{one.cost:.2f}", f"{ratio:.2f}")
        rows[one.name] = {"requests_per_second": one.rate, "cpu_of_10000": one.cost, "times_first": ratio}
    Console(width=100).print(table)
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
