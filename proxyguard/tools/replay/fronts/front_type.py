"""What a front is to the registry: its name, an example for the reference, and how its reader is made."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from proxyguard.tools.replay.logged_request import LineError

Strip = Callable[[bytes], bytes]
"""Takes the front off a line. Raises LineError when the line has none, NotAnEntry when the line goes on in the next one."""


class FrontType(NamedTuple):
    """A row of the registry. `make`: each pass over a log begins with a new reader, because some lines come in parts."""

    name: str
    writer: str
    example: str
    make: Callable[[], Strip]


def by_pattern(name: str, pattern: re.Pattern[bytes]) -> Callable[[], Strip]:
    """Makes a front that is whatever the pattern matches at the beginning."""
    find = pattern.match
    fault = f"it does not begin as lines of {name} do"

    def strip(line: bytes) -> bytes:
        found = find(line)
        if found is None:
            raise LineError(fault)
        return line[found.end() :]

    return lambda: strip
