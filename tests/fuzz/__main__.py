"""Fuzz every target for a bounded time, each in a process of its own; what breaks a promise is kept as a file in `.fuzz/`.

Run: `python -m tests.fuzz [--seconds 60] [TARGET ...]`. Needs atheris. Exit code 1 when something was found.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

LONGEST_INPUT: Final = 4096
TIMEOUT_SECONDS: Final = 5
MAX_MEMORY_MB: Final = 1500
FOUND: Final = Path(".fuzz")

_TARGET: Final = "--target"


def fuzz(name: str, options: list[str]) -> None:
    """Fuzz in this process, which ends with it."""
    import atheris  # noqa: PLC0415 - what is imported under it is instrumented: only in a process that fuzzes

    with atheris.instrument_imports(include=["proxyguard"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - the same
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()


def run(name: str, seeds: list[bytes], seconds: int) -> bool:
    """Fuzz one target in a process of its own; whether nothing was found."""
    FOUND.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        done = subprocess.run(
            [
                sys.executable, "-m", "tests.fuzz", _TARGET, name, corpus, f"-max_total_time={seconds}",
                f"-max_len={LONGEST_INPUT}", f"-timeout={TIMEOUT_SECONDS}", f"-rss_limit_mb={MAX_MEMORY_MB}",
                f"-artifact_prefix={FOUND}/{name}-", "-print_final_stats=1",
            ],
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    executions = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    covered = re.findall(r"cov: (\d+)", done.stderr)
    print(
        f"{name}: {int(executions[1]) if executions else 0:,} executions, {covered[-1] if covered else 0} edges covered",
        flush=True,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if not line.startswith("INFO: ")]
        print(done.stdout[-4000:], *said, sep="\n")
    return not done.returncode


def main() -> int:
    """See the module."""
    if sys.argv[1:2] == [_TARGET]:
        fuzz(sys.argv[2], sys.argv[3:])
    from tests.fuzz.targets import TARGETS, seeds  # noqa: PLC0415 - not in a process that fuzzes, see above

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=int, default=60, help="in all (default 60)")
    options = parser.parse_args()
    wanted: list[str] = options.targets or [*TARGETS]
    unknown = [name for name in wanted if name not in TARGETS]
    if unknown:
        parser.error(f"no target is named {unknown[0]!r}: there are {', '.join(TARGETS)}")
    each = max(1, options.seconds // len(wanted))
    failed = [name for name in wanted if not run(name, seeds(name), each)]
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
