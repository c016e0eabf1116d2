"""Findings: what one lint says about one place, and the edit that would mend it, if that is mechanical.

Plain values. Knows nothing of how anything is found or shown.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from proxyguard.policy.model import Place


class Severity(StrEnum):
    """`error` makes a check fail, `warning` does with --strict, `info` never."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Lint(NamedTuple):
    """One kind of finding. `title` is a sentence without its full stop."""

    code: str
    name: str
    severity: Severity
    title: str


class Edit(NamedTuple):
    """Replace a line of a file; `text` None deletes it."""

    file: str
    line: int
    text: str | None


class Finding(NamedTuple):
    """One finding. `also` are further lines of the same file on which a comment may ignore it, such as the rule's first.

    `severity` None means the lint's own. `rule` is the name of the rule that it is about, if it is about one.
    """

    place: Place
    code: str
    message: str
    hint: str = ""
    also: tuple[int, ...] = ()
    edits: tuple[Edit, ...] = ()
    severity: Severity | None = None
    rule: str = ""
