"""Run mutmut in a copy of the tree and print what was killed, per module. Exit code 1 below the bar.

Run: `python -m tests.mutants [--fresh] [--report] [--show] [AREA ...]`. Needs mutmut. A run that was stopped goes on where it
was; functions that changed, and mutants that survived, are tried again.
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
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.paths import ROOT

COPIES: Final = ROOT / "build" / "mutants"
"""A copy of the tree for each area: mutmut knows one set of tests at a time."""

BUNDLED: Final = "proxyguard/policy/bundled"
"""A link to the bundled rules."""

EQUIVALENT: Final = Path(__file__).with_name("equivalent.txt")
BAR_PERCENT: Final = 95.0

MAX_MEMORY_BYTES: Final = 4 << 30
"""Of one process. A mutant may append for ever, and is stopped for its time only after many seconds."""


class Area(NamedTuple):
    """Modules, and the tests that are to notice when one of them is broken: a few seconds of them, for each mutant."""

    modules: tuple[str, ...]
    tests: tuple[str, ...]


AREAS: Final[Mapping[str, Area]] = {
    "core": Area(("core/address.py",), ("core/test_address.py", "policy/compile/test_keys.py")),
    "http": Area(
        (
            "http/forwarded.py",
            "http/http1/chunked.py",
            "http/http1/fields.py",
            "http/http1/request_head.py",
            "http/http1/request_parser.py",
            "http/http1/target.py",
        ),
        ("http/test_forwarded.py", "http/http1", "http/http2/test_request_fields.py"),
    ),
    "limits": Area(
        ("limits/gcra.py", "limits/stores/bans.py"),
        (
            "contracts/test_memory_store.py",
            "contracts/test_shared_store.py",
            "limits/stores/test_ban_news.py",
            "limits/stores/test_bans.py",
            "limits/stores/test_memory.py",
            "limits/stores/test_shared.py",
            "limits/stores/test_snapshot.py",
            "limits/test_gcra.py",
        ),
    ),
    "policy": Area(
        ("policy/compile/compile.py", "policy/compile/conditions.py", "policy/engine.py"),
        (
            "policy/actions",
            "policy/compile",
            "policy/explain",
            "policy/fields",
            "policy/test_announced.py",
            "policy/test_classes.py",
            "policy/test_engine.py",
            "policy/test_engine_property.py",
            "policy/test_given.py",
            "policy/test_outside.py",
            "policy/test_owed.py",
            "policy/test_refusals.py",
            "policy/testing",
        ),
    ),
    "restrictions": Area(("restrictions/monitor.py",), ("instance/test_restriction_controller.py", "restrictions")),
}

LEFT_OUT: Final = ("http/http1/test_differential.py", "policy/parse", "policy/schema")
"""Of those tests: what starts a server, or looks at rule files and not at what comes of them."""

CONFIGURATION: Final = """
[tool.mutmut]
source_paths = ["proxyguard"]
only_mutate = {modules}
also_copy = ["rules", "docs", "bench"]
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = {options}
type_check_command = {types}
timeout_multiplier = 5.0
timeout_constant = 2.0
use_git_change_detection = false
on_dependency_change = "ignore"
"""
"""A mutant is killed for its time when it takes two seconds and the tests of its function, five times over."""

_STATUS: Final = {0: "survived", 33: "survived", 5: "survived", 37: "typed", None: "left", 2: "left"}
"""mutmut's exit codes; 33 and 5: no test reaches the function; 37: mypy refuses it. All others, time-outs too, are kills."""


class Change(NamedTuple):
    """What a mutant does: the lines that it takes out of a function and those that it puts there, stripped."""

    place: str
    out: tuple[str, ...]
    into: tuple[str, ...]


class Mutant(NamedTuple):
    """One mutant, and what became of it: killed, typed (mypy refuses it), survived or left (not tried yet)."""

    area: str
    path: str
    name: str
    status: str


def copy_tree(area: str) -> None:
    """Bring an area's copy up to date. What mutmut keeps in it, under `mutants/`, stays."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    names = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    copy = COPIES / area
    copy.mkdir(parents=True, exist_ok=True)
    for old in copy.rglob("*"):
        name = old.relative_to(copy).as_posix()
        if old.is_file() and name not in names and not name.startswith(("mutants/", ".hypothesis/")):
            old.unlink()
    for name in names:
        source, target = ROOT / name, copy / name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    with (copy / "pyproject.toml").open("a") as file:
        file.write(configuration(AREAS[area]))
    for place in (copy, copy / "mutants"):  # mutmut copies no links to folders
        link = place / BUNDLED
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to((ROOT / BUNDLED).readlink())
    # mutmut brings sources up to date by itself, and other files only when they are not there.
    for stale in ("tests", "rules", "docs", "pyproject.toml"):
        shutil.rmtree(copy / "mutants" / stale, ignore_errors=True)
        (copy / "mutants" / stale).unlink(missing_ok=True)


def configuration(area: Area) -> str:
    """mutmut's, as it stands in pyproject.toml: lists of texts look alike in JSON and TOML."""
    options = ["-m", "not slow", "-W", "ignore", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "faulthandler_timeout=0"]
    modules = [f"proxyguard/{each}" for each in area.modules]
    types = ["mypy", "--output", "json", "--follow-imports", "silent", "--no-warn-unused-ignores", "--allow-untyped-decorators"]
    return CONFIGURATION.format(
        modules=json.dumps(modules),
        types=json.dumps([*types, *modules]),
        tests=json.dumps([f"tests/{each}" for each in area.tests]),
        options=json.dumps([*options, *(f"--ignore=tests/{each}" for each in LEFT_OUT)]),
    )


def results(area: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """mutmut's own record of each module that it mutated."""
    for path in sorted((COPIES / area / "mutants" / "proxyguard").rglob("*.py.meta")):
        yield path, json.loads(path.read_text())


def forget_survivors(area: str) -> None:
    """Have mutants that survived tried again: a test may have come for them."""
    for path, record in results(area):
        codes = record["exit_code_by_key"]
        record["exit_code_by_key"] = {name: None if _STATUS.get(code) == "survived" else code for name, code in codes.items()}
        path.write_text(json.dumps(record))


def run(area: str, workers: int) -> None:
    """Run mutmut to its end. Its examples are the same each time; nothing is written outside of the copy."""
    programs = Path(sys.executable).parent
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run(
        [str(programs / "mutmut"), "run", "--max-children", str(workers)],
        cwd=COPIES / area,
        env=os.environ | {"CI": "true", "PYTHONPATH": "", "PATH": path},
        check=True,
    )


def mutants(area: str) -> list[Mutant]:
    """All mutants of an area, in the order of its modules."""
    return [
        Mutant(
            area, path.relative_to(COPIES / area / "mutants").as_posix().removesuffix(".meta"), name, _STATUS.get(code, "killed")
        )
        for path, record in results(area)
        for name, code in record["exit_code_by_key"].items()
    ]


def function_of(name: str) -> str:
    """The function that a mutant is of: `…x_charge__mutmut_3` is of `charge`, `…xǁTableǁget__mutmut_1` of `Table.get`."""
    stem = re.sub(r"__mutmut_\d+$", "", name.rpartition(".")[2])
    return ".".join(stem.split("ǁ")[1:]) if stem.startswith("xǁ") else stem.removeprefix("x_")


def changes(survivors: Sequence[Mutant]) -> dict[str, Change]:
    """What each of some mutants does, asked of mutmut, in the copy."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant  # noqa: PLC0415 - installed by `make mutants` alone

    found = {}
    for mutant in survivors:
        os.chdir(COPIES / mutant.area)
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


def report(tried: Sequence[Mutant], made: Mapping[str, Change], equivalent: Mapping[Change, str], *, show: bool) -> float:
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
            f"{path:<46}{row.total():>8}{row['killed']:>8}{row['typed']:>7}{row['equal']:>7}{row['survived']:>10}{row['left']:>6}"
            f"{share_killed(row):>9.1f}%"
        )
    for mutant in tried:
        if show and mutant.name in made and mutant.name not in same:
            change = made[mutant.name]
            print("", f"# {mutant.name}", change.place, sep="\n")
            print(*(f"- {line}" for line in change.out), *(f"+ {line}" for line in change.into), sep="\n")
    for change in sorted(equivalent.keys() - set(made.values())):
        if change.place.split()[0] not in rows:
            continue  # of an area that was not asked for
        print(f"{EQUIVALENT.name}: no mutant that survived does this (any more): {change.place} {change.into}")
    return share_killed(rows["in all"])


def share_killed(row: Counter[str]) -> float:
    """In percent of those that were tried and do change something. What mypy refuses is killed by `make lint`."""
    killed = row["killed"] + row["typed"]
    return 100.0 * killed / ((killed + row["survived"]) or 1)


def main() -> int:
    """Parse the command line, run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("areas", nargs="*", metavar="AREA", help=f"of {', '.join(AREAS)} (default: all)")
    parser.add_argument("--fresh", action="store_true", help="forget earlier runs")
    parser.add_argument("--report", action="store_true", help="only print what earlier runs found")
    parser.add_argument("--show", action="store_true", help="print each survivor as it would stand in equivalent.txt")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 4), help="mutants tried at once")
    options = parser.parse_args()
    areas: list[str] = options.areas or [*AREAS]
    if unknown := set(areas) - AREAS.keys():
        parser.error(f"no area is named {unknown.pop()!r}: there are {', '.join(AREAS)}")
    if not options.report:
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
        for area in areas:
            if options.fresh:
                shutil.rmtree(COPIES / area, ignore_errors=True)
            copy_tree(area)
            forget_survivors(area)
            run(area, options.workers)
    tried = [mutant for area in areas for mutant in mutants(area)]
    made = changes([mutant for mutant in tried if mutant.status == "survived"])
    killed = report(tried, made, read_equivalent(EQUIVALENT.read_text()), show=options.show)
    return int(killed < BAR_PERCENT)


if __name__ == "__main__":
    sys.exit(main())
