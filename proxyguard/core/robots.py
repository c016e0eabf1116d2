"""What robots.txt says about one request. A plain value: `policy.robots` finds it, the guard hands it to the request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class RobotsWord(StrEnum):
    """Whether robots.txt lets a client read a path."""

    ALLOWED = "allowed"
    DISALLOWED = "disallowed"
    UNKNOWN = "unknown"
    """The file was not read (yet), or cannot be. Never counts against anybody."""


class RobotsVerdict(NamedTuple):
    """What robots.txt says of a client and a path."""

    word: RobotsWord = RobotsWord.UNKNOWN
    group: str = ""
    """The group that applies, lower case: `gptbot`, or `*`. Empty: none, or unknown."""
    crawl_delay: float | None = None
    """Seconds that the group asks to wait between two requests."""
    version: str = ""
    """Names the text of the file, so that records can say which one was broken."""
    classes: tuple[bytes, ...] = ()
    """The classes of a declared bot that asks for what is forbidden to it; empty for everybody else, people above all."""


NOT_READ = RobotsVerdict()


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotsReading:
    """Whether the robots.txt of the sites is read, and how often. Part of the settings."""

    read: bool = True
    refresh_seconds: float = 3600.0
