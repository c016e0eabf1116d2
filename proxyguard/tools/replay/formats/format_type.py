"""What a format of access logs is to the registry: its name, what the reference says of it, and how a reader is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from proxyguard.tools.replay.formats.field_map import FieldMap
from proxyguard.tools.replay.formats.json_objects import read_object
from proxyguard.tools.replay.logged_request import LineError, LogFormat


@dataclass(frozen=True)
class LogSample:
    """The first lines of a log and what the operator said about it."""

    lines: Sequence[bytes]
    """Those that are looked at."""
    directives: Sequence[bytes] = ()
    """Lines from the very beginning that begin with #: W3C logs name their fields there."""
    forwarded: bool = False
    """The client is the last address of X-Forwarded-For, where the format has it."""
    named: bool = False
    """The operator named the format."""
    fields: FieldMap = field(default_factory=FieldMap)
    """Fields that the operator named."""

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects among the lines."""
        return list(_objects(self.lines))


def _objects(lines: Sequence[bytes]) -> list[dict[str, Any]]:
    found = []
    for line in lines:
        if line.lstrip()[:1] == b"{":
            try:
                found.append(read_object(line))
            except LineError:
                continue
    return found


Make = Callable[[LogSample], LogFormat | None]
"""Makes the reader of a log that begins with the sample; None when no log of this format begins like it."""


class FormatType(NamedTuple):
    """A row of the registry."""

    name: str
    """For `--format`."""
    log: str
    """Whose log it is."""
    tells: str
    """What it tells beside client, method, path, query, status and bytes sent."""
    make: Make
    takes_fields: bool = False
    """Whether `--fields` can name its fields."""
