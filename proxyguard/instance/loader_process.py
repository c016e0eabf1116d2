"""Reads and tests rules in a child process, so that ten thousand rules delay no request.

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

from proxyguard.core.decision import Mode
from proxyguard.core.preset import RulesPreset
from proxyguard.core.problems import Problem
from proxyguard.instance.children import let_in_termination, spawn_module
from proxyguard.instance.load_rules import load_tested
from proxyguard.instance.loaded_rules import RulesRejected
from proxyguard.instance.policy_transfer import PolicyTransfer
from proxyguard.policy.parse.kept_lists import KeptLists

TIMEOUT_SECONDS: Final = 300.0
"""The largest policy that the language's bounds allow loads in well under a minute."""

NICE: Final = 10
"""Loading rules is less urgent than any request: on a small machine both want the same core."""


async def load_in_child(rules: Path, mode: Mode, preset: RulesPreset, kept: Path | None = None) -> PolicyTransfer:
    """Read and test a rules directory in a child process, for processes of this mode. Raises RulesRejected.

    `kept` is the folder of what lists held before.
    """
    more = () if kept is None else (str(kept),)
    answer = await run_child("proxyguard.instance.loader_process", rules, str(rules), str(mode), str(preset), *more)
    if isinstance(answer, PolicyTransfer):
        return answer
    raise RulesRejected(*answer)


async def run_child(module: str, rules: Path, *arguments: str) -> Any:
    """Run a module as a program in a child process; returns what it pickled to its standard output. Raises RulesRejected.

    Starting it and reading from it take milliseconds that the event loop does not have, so threads do both.
    """
    try:
        child = await asyncio.to_thread(spawn_module, module, *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    except OSError as error:
        raise RulesRejected.because(rules, f"the process that reads the rules cannot be started: {error.strerror}") from error
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


def lower_priority() -> None:
    """Yield the processor to requests: batch scheduling and a higher nice value, whatever the parent has."""
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    os.nice(NICE)


def main() -> None:
    """The child, `DIR MODE PRESET [KEPT]`: writes a PolicyTransfer, or the problems and the files, to standard output."""
    let_in_termination()
    lower_priority()
    answer: PolicyTransfer | tuple[tuple[Problem, ...], tuple[Path, ...]]
    try:
        kept = KeptLists(Path(sys.argv[4])) if len(sys.argv) > 4 else None
        answer = PolicyTransfer.of(load_tested(Path(sys.argv[1]), kept, preset=RulesPreset(sys.argv[3])), Mode(sys.argv[2]))
    except RulesRejected as error:
        answer = error.problems, error.files
    sys.stdout.buffer.write(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))


if __name__ == "__main__":
    main()
