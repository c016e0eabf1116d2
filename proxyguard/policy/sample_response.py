"""What the site answers in a test of a rule file. A value only."""

from __future__ import annotations

from typing import NamedTuple


class SampleResponse(NamedTuple):
    """What the site answers to a request of a test, when that is forwarded."""

    status: int = 200
    bytes_sent: int = 0
    upstream_seconds: float = 0.0
