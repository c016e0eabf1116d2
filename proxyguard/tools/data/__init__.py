"""Data that comes with proxyguard. `browsers/` holds user agents and header sets of real browsers; see NOTICE."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

USER_AGENT_FILES: Final = ("user-agents.txt", "seldom.txt")


def browser_lines(name: str) -> list[str]:
    """The lines of a file in `browsers/`, without comments."""
    text = (files(__name__) / "browsers" / name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@cache
def user_agents() -> tuple[bytes, ...]:
    """User agents of real browsers."""
    return tuple(line.encode() for name in USER_AGENT_FILES for line in browser_lines(name))
