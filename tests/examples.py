"""How many random examples property tests take: a third in `make test`, all of them where `ALL_EXAMPLES` is set."""

from __future__ import annotations

import os
from typing import Final

ALL: Final = bool(os.environ.get("ALL_EXAMPLES"))


def examples(number: int) -> int:
    """So many of `number`: `make test` is run after each change, `make test-long` before one is done."""
    return number if ALL else number // 3
