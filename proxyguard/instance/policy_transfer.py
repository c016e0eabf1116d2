"""Serialises a policy in small parts, so that neither sender nor receiver blocks its event loop.

A policy is pickled by the rule set, and large rule sets by the hundred rules: unpickling one part holds the interpreter for
well under a millisecond. Parts come from our own parent or child; nobody else can write to what carries them.
"""

from __future__ import annotations

import pickle
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from select import select
from typing import Any, Final, NamedTuple

from proxyguard.core.decision import Mode, weakest
from proxyguard.instance.background import yield_control
from proxyguard.instance.in_force import InForce
from proxyguard.instance.loaded_rules import LoadedRules
from proxyguard.policy.compile.teardown import dismantle
from proxyguard.policy.given import Plain, with_given
from proxyguard.policy.model import Policy, Rule, RuleSet

PART_RULES: Final = 100


class PolicyTransfer(NamedTuple):
    """A policy on its way to other processes: its parts, and a summary for those who need not join them."""

    parts: list[bytes]
    in_force: InForce

    @classmethod
    def of(cls, loaded: LoadedRules, mode: Mode) -> PolicyTransfer:
        """Serialise a policy for processes of this mode."""
        return cls(split(loaded), InForce.of(loaded, mode))


def override(
    policy: PolicyTransfer, mode: Mode, shadowed: Collection[str], given: Sequence[Plain], *, is_emergency: bool = False
) -> PolicyTransfer:
    """The same policy with the rules named in `shadowed` in shadow, with restrictions that commands gave, or in emergency mode.

    Unpickles it, so call it in a thread: it yields between steps.
    """
    parts = _changed(policy.parts, shadowed, is_emergency=is_emergency) if shadowed or is_emergency else policy.parts
    if given:
        parts = [*parts, given_part(given)]
    joined: list[Any] = [join(parts)]
    in_force = InForce.of(joined[0], mode)._replace(stale=policy.in_force.stale)
    dismantle(joined, yield_control)
    return PolicyTransfer(parts, in_force)


def split(loaded: LoadedRules) -> list[bytes]:
    """A loaded policy as separately pickled parts."""
    return [pickle.dumps(part, pickle.HIGHEST_PROTOCOL) for part in _split(loaded)]


def _split(loaded: LoadedRules) -> Iterator[tuple[str, object]]:
    yield "files", loaded.files
    yield "digest", loaded.policy.digest
    for rule_set in loaded.policy.rule_sets:
        yield "rule-set", replace(rule_set, rules=(), tests=())
        for start in range(0, len(rule_set.rules), PART_RULES):
            yield "rules", rule_set.rules[start : start + PART_RULES]


def _changed(parts: list[bytes], shadowed: Collection[str], *, is_emergency: bool) -> list[bytes]:
    changed = []
    for part in parts:
        kind, value = pickle.loads(part)  # noqa: S301 - written by our own child
        if kind == "rules" and any(rule.name in shadowed or rule.emergency for rule in value):
            rules: tuple[Rule, ...] = value
            rules = tuple(
                replace(
                    rule,
                    mode=weakest(rule.mode, Mode.SHADOW) if rule.name in shadowed else rule.mode,
                    emergency=rule.emergency and not is_emergency,
                )
                for rule in rules
            )
            part = pickle.dumps((kind, rules), pickle.HIGHEST_PROTOCOL)  # noqa: PLW2901 - most parts stay as they are
        changed.append(part)
        select((), (), (), 0)  # as sleep(0), which libfaketime breaks
    return changed


def join(parts: list[bytes]) -> LoadedRules:
    """Join parts into a policy, without the rule files' tests, which have run. Call it in a thread: it yields between parts."""
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
        select((), (), (), 0)  # as sleep(0), which libfaketime breaks
    whole = tuple(replace(rule_set, rules=tuple(own)) for rule_set, own in zip(rule_sets, rules, strict=True))
    policy = Policy(whole, digest)
    return LoadedRules(with_given(policy, given) if given else policy, files)


def given_part(given: Sequence[Plain]) -> bytes:
    """Restrictions that commands gave, as a part that comes after those of the files."""
    return pickle.dumps(("given", tuple(given)), pickle.HIGHEST_PROTOCOL)


def write_parts(path: Path, parts: list[bytes]) -> None:
    """Write parts for `read_parts`, each after its length in 8 bytes."""
    with path.open("wb") as file:
        for part in parts:
            file.write(len(part).to_bytes(8, "big") + part)


def read_parts(path: Path) -> list[bytes]:
    """Read what `write_parts` wrote."""
    data = path.read_bytes()
    parts = []
    start = 0
    while start < len(data):
        size = int.from_bytes(data[start : start + 8], "big")
        parts.append(data[start + 8 : start + 8 + size])
        start += 8 + size
    return parts
