"""When a rule ends: a day, or a time with its zone, from a node to Unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from proxyguard.core.problems import Fault, quoted
from proxyguard.core.yaml.kinds import Kind, plain
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_scalar

_EXPIRES_HINT: Final = "a day, at whose beginning (00:00 UTC) the rule ends, or a time with its zone: 2026-07-01T18:00Z"

_MOMENT_HINT: Final = "a day, which means its beginning (00:00 UTC), or a time with its zone: 2026-07-08T18:00Z"

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2})?(?:[Zz]|[+-]\d{2}:\d{2})?", re.ASCII)


def _moment(node: Node, subject: str) -> float:
    """In Unix seconds."""
    hint = _EXPIRES_HINT if subject == "expires" else _MOMENT_HINT
    text = read_scalar(node, subject, "a day or a time", hint)
    try:
        if _DAY.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
        if _TIME.fullmatch(text):
            return _zoned(datetime.fromisoformat(text.upper()), subject)
    except (ValueError, OverflowError):
        raise Fault(f"{subject} has a day or an hour that does not exist: {quoted(text)}", hint) from None
    raise Fault(f"{subject} must be a day or a time, not {quoted(text)}", hint)


def _zoned(moment: datetime, subject: str) -> float:
    if moment.tzinfo is not None:
        return moment.timestamp()
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    raise Fault(f"{subject} has no time zone", f"did you mean {text}Z (UTC)? or with an offset: {text}+02:00")


MOMENT: Final = Kind(plain(_moment), "day or time", {"type": "string"})
