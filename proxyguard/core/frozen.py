"""How frozen values are pickled that are compiled: they cannot be filled in after they were made."""

from __future__ import annotations

import copyreg
from dataclasses import fields
from typing import Any


def pickle_by_fields(*kinds: type[Any]) -> None:
    """Have values of these dataclasses made anew of what their makers take, in order."""
    for kind in kinds:
        copyreg.pickle(kind, _by_fields)


def _by_fields(value: Any) -> tuple[type[Any], tuple[object, ...]]:
    return type(value), tuple(getattr(value, each.name) for each in fields(value) if each.init)
