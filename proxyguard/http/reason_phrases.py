"""Reason phrases of HTTP statuses, the same on every version of Python. Knows nothing of who answers what."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

_RENAMED: Final = {413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}
"""Phrases of RFC 9110 that older versions of the standard library know by their former names."""

REASONS: Final = {status.value: _RENAMED.get(status.value, status.phrase).encode("ascii") for status in HTTPStatus}


def reason_phrase(status: int) -> bytes:
    """The standard reason phrase, or an empty one."""
    return REASONS.get(status, b"")
