"""Long work in a thread beside the event loop, such as compiling ten thousand rules: how it gives way to requests."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from time import sleep
from typing import Final

SWITCH_SECONDS: Final = 0.0001
"""How long the thread may keep the interpreter while requests wait."""

BREATH_SECONDS: Final = 0.0002
"""How long it pauses after each of its steps of about a millisecond, so that waiting requests get a clear run."""


def yield_control() -> None:
    """Let the loop run, between two steps of a long work."""
    sleep(BREATH_SECONDS)


@contextlib.contextmanager
def working_thread() -> Iterator[None]:
    """While a thread of ours works beside the loop: it gives way soon, and the collector does not walk what it makes."""
    interval = sys.getswitchinterval()
    gc.disable()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.freeze()
        gc.enable()
