"""Reads and tests rules in a process of its own, so that ten thousand rules delay no request; hands the policy back in pieces.

A policy is pickled by the rule set, and large rule sets by the hundred rules: unpickling one piece holds the interpreter for
well under a millisecond. The pipe is between a process and its own child; nobody else can write to it.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Any, Final

from proxyguard.decision import Mode, weakest
from proxyguard.policy.given import Plain, with_given
from proxyguard.policy.model import Policy, Rule, RuleSet
from proxyguard.problems import Problem
from proxyguard.reload import Loaded, RulesRejected, load_tested

PIECE_RULES: Final = 100

TIMEOUT_SECONDS: Final = 300.0
"""The largest policy that the language's bounds allow reads in well under a minute."""

NICE: Final = 10
"""Reading rules is less urgent than any request: on a small machine both want the same core."""

type Piece = tuple[str, object]


def pieces(loaded: Loaded) -> list[bytes]:
    """A loaded policy as separately pickled pieces."""
    return [pickle.dumps(piece, pickle.HIGHEST_PROTOCOL) for piece in _pieces(loaded)]


def _pieces(loaded: Loaded) -> Iterator[Piece]:
    yield "files", loaded.files
    yield "digest", loaded.policy.digest
    for rule_set in loaded.policy.rule_sets:
        yield "rule-set", replace(rule_set, rules=(), tests=())
        for start in range(0, len(rule_set.rules), PIECE_RULES):
            yield "rules", rule_set.rules[start : start + PIECE_RULES]


def rest(parts: list[bytes], names: Collection[str]) -> list[bytes]:
    """The pieces of the same policy with the rules of these names in shadow. For a thread: it lets others run."""
    rested = []
    for part in parts:
        kind, value = pickle.loads(part)  # noqa: S301 - written by our own child
        if kind == "rules" and any(rule.name in names for rule in value):
            rules: tuple[Rule, ...] = value
            calmed = tuple(
                replace(rule, mode=weakest(rule.mode, Mode.SHADOW)) if rule.name in names else rule for rule in rules
            )
            rested.append(pickle.dumps((kind, calmed), pickle.HIGHEST_PROTOCOL))
        else:
            rested.append(part)
        sleep(0)
    return rested


def join(parts: list[bytes]) -> Loaded:
    """Put pieces together again (without the rule files' tests, which have run). For a thread: it lets others run."""
    files: tuple[Path, ...] = ()
    digest = ""
    rule_sets: list[RuleSet] = []
    rules: list[list[Rule]] = []
    given: tuple[Plain, ...] = ()
    for part in parts:
        kind, value = pickle.loads(part)  # noqa: S301 - written by our own child
        match kind:
            case "files":
                files = value
            case "digest":
                digest = value
            case "rule-set":
                rule_sets.append(value)
                rules.append([])
            case "given":
                given = value
            case _:
                rules[-1].extend(value)
        sleep(0)
    whole = tuple(replace(rule_set, rules=tuple(own)) for rule_set, own in zip(rule_sets, rules, strict=True))
    policy = Policy(whole, digest)
    return Loaded(with_given(policy, given) if given else policy, files)


def given_piece(given: Sequence[Plain]) -> bytes:
    """Restrictions that commands gave, as a piece to come after those of the files."""
    return pickle.dumps(("given", tuple(given)), pickle.HIGHEST_PROTOCOL)


async def load_elsewhere(rules: Path) -> list[bytes]:
    """Read and test a rules directory in a child process; the policy's pieces. Raises RulesRejected."""
    problems, files, parts = await answer_of_child("proxyguard.builder", rules, str(rules))
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
        raise _rejected(rules, f"the process that reads the rules cannot be started: {error.strerror}") from error
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
            raise _rejected(rules, f"reading the rules took more than {TIMEOUT_SECONDS:.0f} s") from None
    if child.returncode != 0:
        raise _rejected(rules, f"the process that reads the rules ended with {child.returncode}")
    return pickle.loads(output)  # noqa: S301 - written by our own child


def _rejected(rules: Path, message: str) -> RulesRejected:
    return RulesRejected((Problem(str(rules), 0, 0, message),))


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
