"""Run mutmut in a copy of the tree and print what was killed, per module. Exit code 1 below the bar.

Run: `python -m tests.mutants [--fresh] [--report] [--show] [PATTERN ...]`. Needs mutmut. A run that was stopped goes on where it
was; functions that changed, and mutants that survived, are tried again. PATTERN narrows the run to mutants whose name fits, such
as `proxyguard.limits.gcra.*`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.paths import ROOT

COPY: Final = ROOT / "build" / "mutants"
EQUIVALENT: Final = Path(__file__).with_name("equivalent.txt")
BAR_PERCENT: Final = 95.0

MAX_MEMORY_BYTES: Final = 4 << 30
"""Of one process. A mutant may append for ever, and is stopped for its time only after many seconds."""

_STATUS: Final = {0: "survived", 33: "survived", 5: "survived", None: "left", 2: "left"}
"""mutmut's exit codes; 33 and 5: no test reaches the function. All others, time-outs among them, are kills."""


class Change(NamedTuple):
    """What a mutant does: the lines that it takes out of a function and those that it puts there, stripped."""

    place: str
    out: tuple[str, ...]
    into: tuple[str, ...]


class Mutant(NamedTuple):
    """One mutant, and what became of it: killed, survived or left (not tried yet)."""

    path: str
    name: str
    status: str


def copy_tree() -> None:
    """Bring the copy up to date. What mutmut keeps in it, under `mutants/`, stays."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    names = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    COPY.mkdir(parents=True, exist_ok=True)
    for old in COPY.rglob("*"):
        name = old.relative_to(COPY).as_posix()
        if old.is_file() and name not in names and not name.startswith(("mutants/", ".hypothesis/")):
            old.unlink()
    for name in names:
        source, target = ROOT / name, COPY / name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    # mutmut brings sources up to date by itself, and tests only when they are not there.
    for stale in (COPY / "mutants" / "tests", COPY / "mutants" / "rules", COPY / "mutants" / "docs"):
        shutil.rmtree(stale, ignore_errors=True)


def results() -> Iterator[tuple[Path, dict[str, Any]]]:
    """mutmut's own record of each module that it mutated."""
    for path in sorted((COPY / "mutants" / "proxyguard").rglob("*.py.meta")):
        yield path, json.loads(path.read_text())


def forget_survivors() -> None:
    """Have mutants that survived tried again: a test may have come for them."""
    for path, record in results():
        codes = record["exit_code_by_key"]
        record["exit_code_by_key"] = {
            name: None if _STATUS.get(code) == "survived" else code for name, code in codes.items()
        }
        path.write_text(json.dumps(record))


def run(patterns: Sequence[str], workers: int) -> None:
    """Run mutmut to its end. Its examples are the same each time; nothing is written outside of the copy."""
    environment = os.environ | {"CI": "true", "PYTHONPATH": ""}
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(workers), *patterns]
    subprocess.run(command, cwd=COPY, env=environment, check=True)


def mutants() -> list[Mutant]:
    return [
        Mutant(path.relative_to(COPY / "mutants").as_posix().removesuffix(".meta"), name, _STATUS.get(code, "killed"))
        for path, record in results()
        for name, code in record["exit_code_by_key"].items()
    ]


def function_of(name: str) -> str:
    """The function that a mutant is of: `…x_charge__mutmut_3` is of `charge`, `…xǁTableǁget__mutmut_1` of `Table.get`."""
    stem = re.sub(r"__mutmut_\d+$", "", name.rpartition(".")[2])
    return ".".join(stem.split("ǁ")[1:]) if stem.startswith("xǁ") else stem.removeprefix("x_")


def changes(survivors: Sequence[Mutant]) -> dict[str, Change]:
    """What each of some mutants does, asked of mutmut, in the copy."""
    from mutmut.mutation.diff_apply import (  # noqa: PLC0415 - installed by `make mutants` alone
        get_diff_for_mutant,
    )

    os.chdir(COPY)
    found = {}
    for mutant in survivors:
        lines = get_diff_for_mutant(mutant.name, path=mutant.path).splitlines()[2:]
        out = tuple(line[1:].strip() for line in lines if line.startswith("-"))
        into = tuple(line[1:].strip() for line in lines if line.startswith("+"))
        found[mutant.name] = Change(f"{mutant.path} {function_of(mutant.name)}", out, into)
    return found


def read_equivalent(text: str) -> dict[Change, str]:
    """Blocks of `# reason`, `path function`, `- line`, `+ line`, divided by empty lines. Raises ValueError."""
    listed = {}
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = block.splitlines()
        reason = " ".join(line[1:].strip() for line in lines if line.startswith("#"))
        places = [line for line in lines if not line.startswith(("#", "-", "+"))]
        out = tuple(line[1:].strip() for line in lines if line.startswith("-"))
        into = tuple(line[1:].strip() for line in lines if line.startswith("+"))
        if not places and not out and not into:
            continue  # a heading
        if len(places) != 1 or not reason or not out + into:
            raise ValueError(f"{EQUIVALENT.name}: a reason, a place and a change are wanted:\n{block}")
        listed[Change(places[0], out, into)] = reason
    return listed


def report(
    tried: Sequence[Mutant], made: Mapping[str, Change], equivalent: Mapping[Change, str], *, show: bool
) -> float:
    """Print the table, the survivors, and what the list of equivalents no longer needs; the share killed in percent."""
    same = {name for name, change in made.items() if change in equivalent}
    print(f"{'module':<52}{'mutants':>8}{'killed':>8}{'equal':>7}{'survived':>10}{'left':>6}{'killed %':>10}")
    rows: dict[str, Counter[str]] = {}
    for mutant in tried:
        kind = "equal" if mutant.name in same else mutant.status
        rows.setdefault(mutant.path, Counter())[kind] += 1
    rows["in all"] = sum(rows.values(), Counter())
    for path, row in rows.items():
        print(
            f"{path:<52}{row.total():>8}{row['killed']:>8}{row['equal']:>7}{row['survived']:>10}{row['left']:>6}"
            f"{share_killed(row):>9.1f}%"
        )
    for mutant in tried:
        if show and mutant.name in made and mutant.name not in same:
            change = made[mutant.name]
            print("", f"# {mutant.name}", change.place, sep="\n")
            print(*(f"- {line}" for line in change.out), *(f"+ {line}" for line in change.into), sep="\n")
    for change in equivalent.keys() - set(made.values()):
        print(f"{EQUIVALENT.name}: no mutant that survived does this (any more): {change.place} {change.into}")
    return share_killed(rows["in all"])


def share_killed(row: Counter[str]) -> float:
    """In percent of those that were tried and do change something."""
    return 100.0 * row["killed"] / ((row["killed"] + row["survived"]) or 1)


def main() -> int:
    """Parse the command line, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="names of mutants (default: all)")
    parser.add_argument("--fresh", action="store_true", help="forget earlier runs")
    parser.add_argument("--report", action="store_true", help="only print what earlier runs found")
    parser.add_argument("--show", action="store_true", help="print each survivor as it would stand in equivalent.txt")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 4), help="mutants tried at once")
    options = parser.parse_args()
    if options.fresh:
        shutil.rmtree(COPY, ignore_errors=True)
    if not options.report:
        copy_tree()
        forget_survivors()
        run(options.patterns, options.workers)
    tried = [
        mutant
        for mutant in mutants()
        if not options.patterns or any(fnmatch(mutant.name, pattern) for pattern in options.patterns)
    ]
    made = changes([mutant for mutant in tried if mutant.status == "survived"])
    killed = report(tried, made, read_equivalent(EQUIVALENT.read_text()), show=options.show)
    return int(killed < BAR_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
