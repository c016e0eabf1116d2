"""What an item of a site is: which paths disclose one, and which part of the request says which one. A value only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SEGMENT: Final = "path_segment"
QUERY: Final = "query"
PATH: Final = "path"


@dataclass(frozen=True, slots=True)
class ItemFamily:
    """One kind of item. `paths` are globs; the item is told by path segment `segment` (from 1), by query parameter `parameter`,
    or, without either, by the whole path."""

    name: str
    paths: tuple[bytes, ...]
    segment: int = 0
    parameter: str = ""
