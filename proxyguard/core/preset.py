"""The presets of the bundled rules: how much they do without being told rule by rule."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RulesPreset(StrEnum):
    """From what hardly acts to what may hurt a few people."""

    RELAXED = "relaxed"
    """Refuses declared AI crawlers for training and what no person does; the rest only records."""
    STANDARD = "standard"
    """In force from the first day; people do not notice it."""
    STRICT = "strict"
    """For a site that is being harvested: a few people behind proxies that take fields away are refused too."""


DEFAULT_PRESET: Final = RulesPreset.STANDARD
