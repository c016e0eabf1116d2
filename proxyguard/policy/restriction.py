"""The tags by which rules know that a temporary restriction is on, and how far shedding load has come.

`expand` makes rules that ask for them; whoever knows which restrictions are on gives them to the engine.
"""

from __future__ import annotations

from typing import Final

from proxyguard.policy.model import Restriction

RESTRICTION_MARK: Final = "restriction:"
"""Tags that begin so say which restrictions are on. No rule can attach one: names have no colon."""

SUSPECTED: Final = "suspected"
"""The step of shedding load that is about a score, not about a class."""


def tag_of(name: str, step: int = 0) -> str:
    """The tag that says that a restriction is on; with a step, that shedding load has come so far (1 is the first)."""
    return f"{RESTRICTION_MARK}{name}/{step}" if step else f"{RESTRICTION_MARK}{name}"


def tags_of(restriction: Restriction, step: int | None = None) -> frozenset[str]:
    """All tags of a restriction that is on and has come so far (None: all the way)."""
    reached = restriction.steps if step is None else step
    return frozenset((tag_of(restriction.name), *(tag_of(restriction.name, each + 1) for each in range(reached))))
