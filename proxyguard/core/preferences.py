"""What an operator lets automated programs do with the content of the sites. Part of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Wish(StrEnum):
    """Whether content may be used for something."""

    YES = "yes"
    NO = "no"
    UNSAID = "unsaid"


class RobotsFile(StrEnum):
    """When the front answers for `/robots.txt`."""

    OFF = "off"
    OWN = "own"
    """Where the site has none."""
    APPEND = "append"
    """There, and with the site's own text and the preferences below it."""


class PreferenceFormat(StrEnum):
    """A way to say preferences."""

    CONTENT_SIGNAL = "content-signal"
    CONTENT_USAGE = "content-usage"
    RSL = "rsl"
    TDM = "tdm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """Preferences, and how they are said."""

    search: Wish = Wish.UNSAID
    ai_input: Wish = Wish.UNSAID
    """Answers that are made of pages while somebody asks."""
    ai_train: Wish = Wish.UNSAID
    robots_txt: RobotsFile = RobotsFile.OFF
    formats: tuple[PreferenceFormat, ...] = ()
    tdm_policy: str = ""
    """Address of the terms on which text and data may be mined."""
