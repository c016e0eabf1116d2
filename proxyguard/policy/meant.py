"""Words that people write where the rule language has another one, and the hint that each gets. They stand in `meant.toml`."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files


def meant(place: str) -> dict[str, str]:
    """Hints by word, as `folded` makes it, for a place such as `rule` or `mode`."""
    return {word: hint for hint, words in _places()[place].items() for word in words}


@cache
def _places() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((files("proxyguard.policy") / "meant.toml").read_text("utf-8"))
