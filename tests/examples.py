"""How many random examples property tests take: all with `ALL_EXAMPLES` set, else a third, and a tenth on the compiled build."""

from __future__ import annotations

import os
from typing import Final

from proxyguard.core.build_info import BUILD_KIND

ALL: Final = bool(os.environ.get("ALL_EXAMPLES"))


def examples(number: int) -> int:
    """So many of `number`: `make test` is run after each change, `make test-long` before one is done.

    The compiled build is asked a few of the same questions: what they find of the source is found before it is compiled.
    """
    return number if ALL else number // (10 if BUILD_KIND == "compiled" else 3)
