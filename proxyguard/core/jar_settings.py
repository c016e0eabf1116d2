"""The settings of cookie jars and of items.

Not compiled: workers get settings by pickle, which frozen compiled classes do not survive.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JarCookie:
    """The settings of the cookie by which a browser is known to keep cookies; rules give it."""

    name: str = "pg-jar"
    keep_seconds: float = 30 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The settings of heat: an item that was read fewer than `cold_below` times lately is cold; a read loses half of its weight
    in a half-life."""

    cold_below: float = 8.0
    half_life_seconds: float = 2 * 86_400.0
