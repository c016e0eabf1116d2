"""From nodes to values: each function reads one kind of value, and raises a Fault that says what it is instead.

`subject` is what the message calls the value, such as `rate` or `bounds.head_timeout`. Whoever reads a mapping or a list catches
the faults of its parts and reports each at its node (`Kind.read`, `read_each`), so that one run finds them all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from collections.abc import Mapping as MappingOf
from typing import Any, Final

from proxyguard.core.problems import Fault, Report, folded, listed, name_hint, quoted
from proxyguard.core.units import DURATION_HINT, SIZE_HINT, UNIT_SECONDS, duration_text, parse_duration, parse_size, size_text
from proxyguard.core.yaml.nodes import Mapping, MappingEntry, Node, Scalar, Sequence, describe

MAX_NAME_CHARACTERS: Final = 64
"""Names become metric labels and log fields."""

_ENDLESS: Final = 1_000_000
"""A bound from here on is there for the machine; naming it would help nobody."""

NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_INTEGER: Final = re.compile(r"[-+]?\d{1,18}", re.ASCII)
_NUMBER: Final = re.compile(r"[-+]?\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_GUESS: Final = re.compile(r"did you mean '(\w+)'\?")
_BARE: Final = re.compile(r"\d{1,3}(\.\d{1,6})?", re.ASCII)
_RATE: Final = re.compile(r"\d+/[a-z0-9]+", re.ASCII)
"""An example of a rate in a hint gives way to what the operator wrote."""
_NOT_IN_A_NAME: Final = re.compile(r"[^a-z0-9]+")


class NodeFault(Fault):
    """A fault of another node than the one that the reader was given."""

    def __init__(self, node: Node, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.node = node


class Reported(Fault):
    """There is no value, and the report says why already."""

    def __init__(self) -> None:
        super().__init__("")


def report_fault(report: Report, node: Node, fault: Fault) -> None:
    """Add a fault at its own node, or at the one that was read."""
    if not isinstance(fault, Reported):
        complain(report, fault.node if isinstance(fault, NodeFault) else node, fault.message, fault.hint)


def read_or_report[T](node: Node, report: Report, read: Callable[..., T], *arguments: Any) -> T | None:
    """What a reader makes of a node; None when it raised a fault, which is then in the report."""
    try:
        return read(node, *arguments)
    except Fault as fault:
        report_fault(report, node, fault)
        return None


def read_each[P: (Node, MappingEntry), T](parts: Iterable[P], report: Report, read: Callable[[P], T]) -> tuple[T, ...]:
    """Read every part of a list or a mapping and report every fault, that of an entry at its value.

    Raises Reported when there was one.
    """
    values = []
    is_sound = True
    for part in parts:
        try:
            values.append(read(part))
        except Fault as fault:
            report_fault(report, part.value if isinstance(part, MappingEntry) else part, fault)
            is_sound = False
    if not is_sound:
        raise Reported
    return tuple(values)


def complain(report: Report, node: Node, message: str, hint: str = "") -> None:
    """Add a problem at a node's place."""
    report.add(node.line, node.column, message, hint)


def not_what(node: Node, subject: str, what: str) -> str:
    """`per must be a list, not 'client'`; or that there is no value at all."""
    if isinstance(node, Scalar) and node.is_null:
        return f"{subject} has no value"
    return f"{subject} must be {what}, not {describe(node)}"


def read_mapping(node: Node, subject: str, hint: str = "") -> Mapping:
    """A mapping with at least one key."""
    if isinstance(node, Mapping) and node.entries:
        return node
    raise Fault(f"{subject} is empty" if isinstance(node, Mapping) else not_what(node, subject, "a mapping"), hint)


def read_sequence(node: Node, subject: str, hint: str = "", what: str = "a list") -> Sequence:
    """A list with at least one item."""
    if isinstance(node, Sequence) and node.items:
        return node
    raise Fault(f"{subject} is empty" if isinstance(node, Sequence) else not_what(node, subject, what), hint)


def read_keys(
    mapping: Mapping, allowed: Collection[str], report: Report, subject: str, meant: MappingOf[str, str] | None = None
) -> dict[str, Node]:
    """The values by key; keys that are not allowed are reported. `meant` maps words people use to hints of their own.

    The value of a misspelt key is read as that of the key that was probably meant, so that one run finds what is wrong in it.
    """
    values: dict[str, Node] = {}
    unknown: dict[str, Node] = {}
    for entry in mapping.entries:
        name = entry.key.text
        if name in allowed:
            values[name] = entry.value
            continue
        hint = (meant or {}).get(folded(name)) or name_hint(name, allowed, "keys")
        if isinstance(entry.value, Scalar) and _RATE.fullmatch(entry.value.text):
            hint = _RATE.sub(entry.value.text, hint, count=1)
        complain(report, entry.key, f"unknown key {quoted(name)} in {subject}", hint)
        guess = _GUESS.fullmatch(hint)
        if guess and guess[1] in allowed:
            unknown[guess[1]] = entry.value
    return unknown | values if unknown else values


def read_scalar(node: Node, subject: str, what: str, hint: str = "") -> str:
    """The text of a single value that is there."""
    if isinstance(node, Scalar) and not node.is_null:
        return node.text
    raise Fault(not_what(node, subject, what), hint)


def read_text(node: Node, subject: str, longest: int, *, empty: bool = False) -> str:
    """A printable text on one line, of at most `longest` characters."""
    text = read_scalar(node, subject, "a text")
    if not text and not empty:
        raise Fault(f"{subject} is empty")
    if len(text) > longest:
        raise Fault(f"{subject} has {len(text)} characters", f"at most {longest}")
    if not text.isprintable():
        hint = "write it on one line, without control characters"
        raise Fault(f"{subject} has a line break or a control character: {quoted(text)}", hint)
    return text


def read_prose(node: Node, subject: str, longest: int) -> str:
    """A text for people; line breaks become spaces."""
    joined = " ".join(read_scalar(node, subject, "a text").split())
    return read_text(Scalar(node.line, node.column, joined, plain=False), subject, longest)


def read_name(node: Node, subject: str) -> str:
    """A kebab-case name: lower-case ASCII letters, digits and single hyphens."""
    hint = "lower-case letters, digits and hyphens: sign-up-flood"
    name = read_scalar(node, f"the name of {subject}", "a text", hint)
    if not name:
        raise Fault(f"the name of {subject} is empty", hint)
    if len(name) > MAX_NAME_CHARACTERS:
        raise Fault(f"the name of {subject} has {len(name)} characters", f"at most {MAX_NAME_CHARACTERS}")
    if not NAME.fullmatch(name):
        better = _NOT_IN_A_NAME.sub("-", name.lower()).strip("-")
        hint = "lower-case letters, digits and single hyphens" + (f", such as {quoted(better)}" if better else "")
        raise Fault(f"the name of {subject} is not in kebab-case: {quoted(name)}", hint)
    return name


def read_integer(node: Node, subject: str, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    hint = f"a whole number from {low} to {high}" if high < _ENDLESS else f"a whole number, at least {low}"
    text = read_scalar(node, subject, "a whole number", hint)
    if not _INTEGER.fullmatch(text) or _is_octal(text):
        raise Fault(f"{subject} must be a whole number, not {quoted(text)}", hint)
    value = int(text)
    if not low <= value <= high:
        raise Fault(f"{subject} is {value}", hint)
    return value


def read_number(node: Node, subject: str, low: float, high: float) -> float:
    """A number from `low` to `high`."""
    hint = f"a number from {low:.15g} to {high:.15g}" if high < _ENDLESS else "a number, such as 60"
    text = read_scalar(node, subject, "a number", hint)
    if not _NUMBER.fullmatch(text) or _is_octal(text):
        raise Fault(f"{subject} must be a number, not {quoted(text)}", hint)
    value = float(text)
    if not low <= value <= high:
        raise Fault(f"{subject} is {text}", hint)
    return value


def read_truth(node: Node, subject: str) -> bool:
    """`true` or `false`."""
    text = read_scalar(node, subject, "true or false", "true or false")
    if text not in ("true", "false"):
        guess = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
        close = guess.get(text.lower()) or (text.lower() if text.lower() in guess.values() else "")
        hint = f"did you mean {close}?" if close else "true or false"
        raise Fault(f"{subject} must be true or false, not {quoted(text)}", hint)
    return text == "true"


def read_choice(node: Node, subject: str, choices: Collection[str], meant: MappingOf[str, str] | None = None) -> str:
    """One of a few words; `meant` maps words people use to hints of their own."""
    text = read_scalar(node, subject, "one word", listed(choices))
    if text not in choices:
        hint = (meant or {}).get(folded(text)) or name_hint(text, choices, "allowed")
        raise Fault(f"{subject} cannot be {quoted(text)}", hint)
    return text


def read_duration(node: Node, subject: str, low: float, high: float, other: str = "") -> float:
    """Seconds, from `low` to `high`. `other` is a word that the caller takes too, for the hint."""
    instead = f"; or {other}" if other else ""
    text = read_scalar(node, subject, "a duration", DURATION_HINT + instead)
    try:
        seconds = parse_duration(text)
    except ValueError:
        better = _with_unit(text, low, high)
        hint = f"did you mean {better}?" if better else DURATION_HINT + instead
        raise Fault(f"{subject} must be a number and a unit, not {quoted(text)}", hint) from None
    if not low <= seconds <= high:
        raise Fault(f"{subject} is {text}", f"from {duration_text(low)} to {duration_text(high)}{instead}")
    return seconds


def percent_hint(text: str, otherwise: str, *, below: float = 100.1) -> str:
    """What a number without its sign means as a percentage below a bound: 5 is 5 %, 0.05 too; `otherwise` when it is none."""
    number = float(text) if _BARE.fullmatch(text) else 0.0
    if not 0 < number < below:
        return otherwise
    return f"did you mean {number * (100 if number < 1 else 1):.6g}%?"


def _with_unit(number: str, low: float, high: float) -> str:
    """A number with a unit that makes it a duration from `low` to `high`: seconds, else that of `low`; empty when none does.

    Whether hours or days are meant, nobody can know.
    """
    for unit in ("s", duration_text(low).lstrip("0123456789."), *UNIT_SECONDS):
        try:
            seconds = parse_duration(f"{number}{unit}")
        except ValueError:
            return ""
        if low <= seconds <= high:
            return f"{number}h or {number}d" if unit == "h" and seconds * 24 <= high else f"{number}{unit}"
    return ""


def read_size(node: Node, subject: str, low: int, high: int, other: str = "") -> int:
    """Bytes, from `low` to `high`. `other` is a word that the caller takes too, for the hint."""
    instead = f"; or {other}" if other else ""
    text = read_scalar(node, subject, "a size", SIZE_HINT + instead)
    try:
        size = parse_size(text)
    except ValueError:
        raise Fault(f"{subject} must be a size, not {quoted(text)}", SIZE_HINT + instead) from None
    if not low <= size <= high:
        raise Fault(f"{subject} is {text}", f"from {size_text(low)} to {size_text(high)}{instead}")
    return size


def _is_octal(text: str) -> bool:
    """Whether a number has a leading zero, which YAML 1.1 reads as octal and people read as decimal."""
    digits = text.lstrip("+-")
    return len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
