"""A policy in pieces: how one process hands it to another, through a pipe or a file, and holds neither up.

A policy is pickled by the rule set, and large rule sets by the hundred rules: unpickling one piece holds the interpreter for
well under a millisecond. Pieces come from our own parent or child; nobody else can write to what carries them.
"""

from __future__ import annotations

import pickle
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import Final

from proxyguard.core.decision import Mode, weakest
from proxyguard.instance.deploy import Loaded
from proxyguard.policy.given import Plain, with_given
from proxyguard.policy.model import Policy, Rule, RuleSet

PIECE_RULES: Final = 100

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


def write_pieces(path: Path, parts: list[bytes]) -> None:
    """Write pieces for `read_pieces`, each after its length in 8 bytes."""
    with path.open("wb") as file:
        for part in parts:
            file.write(len(part).to_bytes(8, "big") + part)


def read_pieces(path: Path) -> list[bytes]:
    """Read what `write_pieces` wrote."""
    data = path.read_bytes()
    parts = []
    start = 0
    while start < len(data):
        size = int.from_bytes(data[start : start + 8], "big")
        parts.append(data[start + 8 : start + 8 + size])
        start += 8 + size
    return parts
