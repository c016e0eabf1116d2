"""The bots whose identity can be proven, as rows of data: rules name them as the proven or the claimed one.

Knows nothing of how a bot proves itself: `guard.origin` reads the rows for that.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).with_name("bots.toml")


@cache
def identity_rows() -> Mapping[str, Mapping[str, Any]]:
    """A row for each bot that comes with proxyguard, by its name; see bots.toml."""
    return tomllib.loads(DATA.read_text("utf-8"))
