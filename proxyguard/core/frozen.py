"""How frozen values are pickled that are compiled: they cannot be filled in after they were made."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from typing import Any


def pickle_by_fields(*kinds: type[Any]) -> None:
    """Have values of these dataclasses made anew of what their makers take."""
    for kind in kinds:
        copyreg.pickle(kind, _by_fields)


def _by_fields(value: Any) -> tuple[Callable[..., Any], tuple[object, ...]]:
    kind: Callable[..., Any] = type(value)
    taken = [each for each in fields(value) if each.init]
    named = {each.name: getattr(value, each.name) for each in taken if each.kw_only}
    return partial(kind, **named) if named else kind, tuple(getattr(value, each.name) for each in taken if not each.kw_only)
