"""What becomes of the bytes of an HTTP/1 client, and how much is done of them at once or after the last answer."""

from __future__ import annotations

from enum import Enum
from typing import Final

REQUESTS_AT_ONCE: Final = 16
"""Pipelined requests that are begun in one turn of the loop, if each is answered at once; then the others get their turn."""


class State(Enum):
    """What becomes of the client's bytes."""

    OPEN = 1
    SKIPPING = 2
    """Answered; the rest of that request's body is read and thrown away, then the next request may come."""
    LINGERING = 3
    """Answered and half-closed; all that comes is thrown away for a bounded while."""
    RELAYING = 4
    CLOSED = 5
