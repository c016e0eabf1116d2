"""From nodes to values: each function reads one kind of value, and reports what it is instead of returning it.

`subject` is what the message calls the value, such as `rate` or `bounds.head_timeout`. Every function returns None exactly
when it has added a problem to the report, so that a reader goes on and finds the next one.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from collections.abc import Mapping as MappingOf
from typing import Final

from proxyguard.core.problems import Report, folded, listed, name_hint, quoted
from proxyguard.core.units import DURATION_HINT, SIZE_HINT, duration_text, parse_duration, parse_size, size_text
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar, Sequence, describe

MAX_NAME_CHARACTERS: Final = 64
"""Names become metric labels and log fields."""

_ENDLESS: Final = 1_000_000
"""A bound from here on is there for the machine; naming it would help nobody."""

NAME: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)
_INTEGER: Final = re.compile(r"[-+]?\d{1,18}", re.ASCII)
_NUMBER: Final = re.compile(r"[-+]?\d{1,15}(?:\.\d{1,15})?", re.ASCII)
_GUESS: Final = re.compile(r"did you mean '(\w+)'\?")
_NOT_IN_A_NAME: Final = re.compile(r"[^a-z0-9]+")


def complain(report: Report, node: Node, message: str, hint: str = "") -> None:
    """Add a problem at a node's place."""
    report.add(node.line, node.column, message, hint)


def not_what(node: Node, subject: str, what: str) -> str:
    """`per must be a list, not 'client'`; or that there is no value at all."""
    if isinstance(node, Scalar) and node.is_null:
        return f"{subject} has no value"
    return f"{subject} must be {what}, not {describe(node)}"


def read_mapping(node: Node, report: Report, subject: str, hint: str = "") -> Mapping | None:
    """A mapping with at least one key."""
    if isinstance(node, Mapping) and node.entries:
        return node
    message = f"{subject} is empty" if isinstance(node, Mapping) else not_what(node, subject, "a mapping")
    complain(report, node, message, hint)
    return None


def read_sequence(node: Node, report: Report, subject: str, hint: str = "") -> Sequence | None:
    """A list with at least one item."""
    if isinstance(node, Sequence) and node.items:
        return node
    message = f"{subject} is empty" if isinstance(node, Sequence) else not_what(node, subject, "a list")
    complain(report, node, message, hint)
    return None


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
        complain(report, entry.key, f"unknown key {quoted(name)} in {subject}", hint)
        guess = _GUESS.fullmatch(hint)
        if guess and guess[1] in allowed:
            unknown[guess[1]] = entry.value
    return unknown | values if unknown else values


def read_scalar(node: Node, report: Report, subject: str, what: str, hint: str = "") -> Scalar | None:
    """A single value that is there."""
    if isinstance(node, Scalar) and not node.is_null:
        return node
    complain(report, node, not_what(node, subject, what), hint)
    return None


def read_text(node: Node, report: Report, subject: str, longest: int, *, empty: bool = False) -> str | None:
    """A printable text on one line, of at most `longest` characters."""
    scalar = read_scalar(node, report, subject, "a text")
    if scalar is None:
        return None
    text = scalar.text
    if not text and not empty:
        complain(report, node, f"{subject} is empty")
        return None
    if len(text) > longest:
        complain(report, node, f"{subject} has {len(text)} characters", f"at most {longest}")
        return None
    if text.isprintable():
        return text
    hint = "write it on one line, without control characters"
    complain(report, node, f"{subject} has a line break or a control character: {quoted(text)}", hint)
    return None


def read_prose(node: Node, report: Report, subject: str, longest: int) -> str | None:
    """A text for people; line breaks become spaces."""
    scalar = read_scalar(node, report, subject, "a text")
    if scalar is None:
        return None
    joined = Scalar(node.line, node.column, " ".join(scalar.text.split()), plain=False)
    return read_text(joined, report, subject, longest)


def read_name(node: Node, report: Report, subject: str) -> str | None:
    """A kebab-case name: lower-case ASCII letters, digits and single hyphens."""
    hint = "lower-case letters, digits and hyphens: sign-up-flood"
    scalar = read_scalar(node, report, f"the name of {subject}", "a text", hint)
    if scalar is None:
        return None
    name = scalar.text
    if not name:
        complain(report, node, f"the name of {subject} is empty", hint)
        return None
    if NAME.fullmatch(name) and len(name) <= MAX_NAME_CHARACTERS:
        return name
    if len(name) > MAX_NAME_CHARACTERS:
        complain(report, node, f"the name of {subject} has {len(name)} characters", f"at most {MAX_NAME_CHARACTERS}")
        return None
    better = _NOT_IN_A_NAME.sub("-", name.lower()).strip("-")
    hint = "lower-case letters, digits and single hyphens" + (f", such as {quoted(better)}" if better else "")
    complain(report, node, f"the name of {subject} is not in kebab-case: {quoted(name)}", hint)
    return None


def read_integer(node: Node, report: Report, subject: str, low: int, high: int) -> int | None:
    """A whole number from `low` to `high`."""
    hint = f"a whole number from {low} to {high}" if high < _ENDLESS else f"a whole number, at least {low}"
    scalar = read_scalar(node, report, subject, "a whole number", hint)
    if scalar is None:
        return None
    if not _INTEGER.fullmatch(scalar.text) or _is_octal(scalar.text):
        complain(report, node, f"{subject} must be a whole number, not {quoted(scalar.text)}", hint)
        return None
    value = int(scalar.text)
    if low <= value <= high:
        return value
    complain(report, node, f"{subject} is {value}", hint)
    return None


def read_number(node: Node, report: Report, subject: str, low: float, high: float) -> float | None:
    """A number from `low` to `high`."""
    hint = f"a number from {low:.15g} to {high:.15g}" if high < _ENDLESS else "a number, such as 60"
    scalar = read_scalar(node, report, subject, "a number", hint)
    if scalar is None:
        return None
    if not _NUMBER.fullmatch(scalar.text) or _is_octal(scalar.text):
        complain(report, node, f"{subject} must be a number, not {quoted(scalar.text)}", hint)
        return None
    value = float(scalar.text)
    if low <= value <= high:
        return value
    complain(report, node, f"{subject} is {scalar.text}", hint)
    return None


def read_truth(node: Node, report: Report, subject: str) -> bool | None:
    """`true` or `false`."""
    hint = "true or false"
    scalar = read_scalar(node, report, subject, "true or false", hint)
    if scalar is None:
        return None
    value = {"true": True, "false": False}.get(scalar.text)
    if value is None:
        guess = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
        close = guess.get(scalar.text.lower()) or (scalar.text.lower() if scalar.text.lower() in guess.values() else "")
        hint = f"did you mean {close}?" if close else hint
        complain(report, node, f"{subject} must be true or false, not {quoted(scalar.text)}", hint)
    return value


def read_choice(
    node: Node, report: Report, subject: str, choices: Collection[str], meant: MappingOf[str, str] | None = None
) -> str | None:
    """One of a few words; `meant` maps words people use to hints of their own."""
    scalar = read_scalar(node, report, subject, "one word", listed(choices))
    if scalar is None:
        return None
    if scalar.text in choices:
        return scalar.text
    hint = (meant or {}).get(folded(scalar.text)) or name_hint(scalar.text, choices, "allowed")
    complain(report, node, f"{subject} cannot be {quoted(scalar.text)}", hint)
    return None


def read_duration(node: Node, report: Report, subject: str, low: float, high: float, other: str = "") -> float | None:
    """Seconds, from `low` to `high`. `other` is a word that the caller takes too, for the hint."""
    instead = f"; or {other}" if other else ""
    scalar = read_scalar(node, report, subject, "a duration", DURATION_HINT + instead)
    if scalar is None:
        return None
    try:
        seconds = parse_duration(scalar.text)
    except ValueError:
        hint = f"did you mean {scalar.text}s?" if scalar.text.isdecimal() else DURATION_HINT + instead
        complain(report, node, f"{subject} must be a number and a unit, not {quoted(scalar.text)}", hint)
        return None
    if low <= seconds <= high:
        return seconds
    complain(report, node, f"{subject} is {scalar.text}", f"from {duration_text(low)} to {duration_text(high)}{instead}")
    return None


def read_size(node: Node, report: Report, subject: str, low: int, high: int, other: str = "") -> int | None:
    """Bytes, from `low` to `high`. `other` is a word that the caller takes too, for the hint."""
    instead = f"; or {other}" if other else ""
    scalar = read_scalar(node, report, subject, "a size", SIZE_HINT + instead)
    if scalar is None:
        return None
    try:
        size = parse_size(scalar.text)
    except ValueError:
        complain(report, node, f"{subject} must be a size, not {quoted(scalar.text)}", SIZE_HINT + instead)
        return None
    if low <= size <= high:
        return size
    complain(report, node, f"{subject} is {scalar.text}", f"from {size_text(low)} to {size_text(high)}{instead}")
    return None


def _is_octal(text: str) -> bool:
    """Whether a number has a leading zero, which YAML 1.1 reads as octal and people read as decimal."""
    digits = text.lstrip("+-")
    return len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
