"""Long work in a thread beside the event loop, such as compiling ten thousand rules, that yields to requests."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from select import select
from typing import Final

SWITCH_SECONDS: Final = 0.0001
"""How long the thread may keep the interpreter while requests wait."""

YIELD_SECONDS: Final = 0.0002
"""The thread's pause after each step of about a millisecond, in which waiting requests run."""


def yield_control() -> None:
    """Let the event loop run, between two steps of long work."""
    select((), (), (), YIELD_SECONDS)  # as sleep, which libfaketime breaks


class _Interpreter:
    """How many threads the interpreter is shared with, and how soon it switched before the first of them."""

    __slots__ = ("switch_seconds", "working")

    def __init__(self) -> None:
        self.working = 0
        self.switch_seconds = 0.0


_interpreter: Final = _Interpreter()


@contextlib.contextmanager
def working_thread() -> Iterator[None]:
    """While a thread works beside the event loop: it yields soon, and the garbage collector does not walk what it makes.

    Several may overlap. To be entered and left in the event loop's thread.
    """
    if not _interpreter.working:
        _interpreter.switch_seconds = sys.getswitchinterval()
        gc.disable()
        sys.setswitchinterval(SWITCH_SECONDS)
    _interpreter.working += 1
    try:
        yield
    finally:
        _interpreter.working -= 1
        if not _interpreter.working:
            sys.setswitchinterval(_interpreter.switch_seconds)
            gc.freeze()
            gc.enable()
