"""Classes of clients that nobody is of, mostly as the classes before them take every client: PG006."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from proxyguard.policy.model import AllOf, ClientClass, Not
from proxyguard.tools.lint.findings import Finding
from proxyguard.tools.lint.logic import contradiction, implies, normal
from proxyguard.tools.lint.view import PolicyView


def classes(view: PolicyView) -> Iterator[Finding]:
    """PG006."""
    every = [each for rule_set in view.policy.rule_sets for each in rule_set.classes]
    for at, each in enumerate(every):
        reason = _reason(each, every[:at])
        if reason is not None:
            yield Finding(each.place, "PG006", f"nobody is of the class '{each.name}': {reason[0]}", reason[1])


_NARROWER_FIRST: Final = "a request is of the first class whose condition holds: put the narrower class first"
_ALTERNATIVES: Final = "values of one field that are alternatives go into one list; conditions that are go below any:"


def _reason(each: ClientClass, earlier: Sequence[ClientClass]) -> tuple[str, str] | None:
    """Why nobody is of a class, and what to do about it; None when somebody may be."""
    when = normal(each.when)
    wide = next((other for other in earlier if implies(when, normal(other.when))), None)
    if wide is not None:
        return f"'{wide.name}' (line {wide.place.line}) takes every client that it is for before it", _NARROWER_FIRST
    if contradiction(when) is not None:
        return "its condition can hold for no request", _ALTERNATIVES
    left = normal(AllOf((each.when, *(Not(other.when) for other in earlier))))
    if contradiction(left) is not None:
        return "the classes before it take every client that it is for", _NARROWER_FIRST
    return None
