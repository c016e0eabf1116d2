"""Reads and tests rules in a process of its own, so that ten thousand rules delay no request; hands the policy back in pieces.

The pipe is between a process and its own child; nobody else can write to it.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from proxyguard.core.problems import Problem
from proxyguard.instance.deploy import RulesRejected, load_tested
from proxyguard.instance.policy_transfer import pieces

TIMEOUT_SECONDS: Final = 300.0
"""The largest policy that the language's bounds allow reads in well under a minute."""

NICE: Final = 10
"""Reading rules is less urgent than any request: on a small machine both want the same core."""


async def load_elsewhere(rules: Path) -> list[bytes]:
    """Read and test a rules directory in a child process; the policy's pieces. Raises RulesRejected."""
    problems, files, parts = await answer_of_child("proxyguard.instance.loader_process", rules, str(rules))
    if problems:
        raise RulesRejected(problems, files)
    result: list[bytes] = parts
    return result


async def answer_of_child(module: str, rules: Path, *arguments: str) -> Any:
    """What a module, run as a program in a process of its own, pickles to its standard output. Raises RulesRejected.

    Threads start it and read from it: both take milliseconds that the loop does not have.
    """
    command = (sys.executable, "-m", module, *arguments)
    try:
        child = await asyncio.to_thread(
            subprocess.Popen[bytes], command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
    except OSError as error:
        raise RulesRejected.because(
            rules, f"the process that reads the rules cannot be started: {error.strerror}"
        ) from error
    try:
        return await asyncio.to_thread(_answer, child, rules)
    finally:
        if child.poll() is None:
            child.kill()  # then the thread ends too


def _answer(child: subprocess.Popen[bytes], rules: Path) -> Any:
    with child:
        try:
            output, _ = child.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            raise RulesRejected.because(rules, f"reading the rules took more than {TIMEOUT_SECONDS:.0f} s") from None
    if child.returncode != 0:
        raise RulesRejected.because(rules, f"the process that reads the rules ended with {child.returncode}")
    return pickle.loads(output)  # noqa: S301 - written by our own child


def be_patient() -> None:
    """Leave the processor to requests: as batch work, with a low priority, whatever the parent has."""
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(NICE)


def main() -> None:
    """The child: read the directory named on the command line, write problems and pieces to standard output."""
    be_patient()
    answer: tuple[tuple[Problem, ...], tuple[Path, ...], list[bytes]]
    try:
        loaded = load_tested(Path(sys.argv[1]))
        answer = ((), loaded.files, pieces(loaded))
    except RulesRejected as error:
        answer = (error.problems, error.files, [])
    sys.stdout.buffer.write(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))


if __name__ == "__main__":
    main()
