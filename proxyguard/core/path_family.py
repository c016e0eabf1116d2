"""What many paths have in common: `/posts/*` of `/posts/4711`, so that a list of paths stays short and names nobody.

Segments that look like words of the site stay; numbers, identifiers, addresses and long or odd segments become `*`.
"""

from __future__ import annotations

import re
from typing import Final

MAX_SEGMENTS: Final = 4
"""Of a path's family; `/…` stands for the rest."""

MAX_WORD: Final = 24
"""Characters of a segment that may be a word of the site."""

_WORD: Final = re.compile(rb"[A-Za-z][A-Za-z_.~-]{0,23}\d{0,2}", re.ASCII)
"""Letters, with at most two digits at the end: `search`, `wp-login.php`, `v2`."""

_SUFFIX: Final = re.compile(rb"\.[a-z]{1,5}\d?\Z", re.ASCII)


def path_family(path: bytes) -> str:
    """The family of a decoded path without its query."""
    segments = path.split(b"/", MAX_SEGMENTS + 2)[1 : MAX_SEGMENTS + 2]
    rest = "/…" if len(segments) > MAX_SEGMENTS else ""
    return "".join(["/" + _segment(segment) for segment in segments[:MAX_SEGMENTS]]) + rest or "/"


def _segment(segment: bytes) -> str:
    if not segment or (len(segment) <= MAX_WORD and _WORD.fullmatch(segment)):
        return segment.decode("ascii")
    suffix = _SUFFIX.search(segment[-8:])
    return "*" + suffix[0].decode("ascii") if suffix else "*"
