"""The signals of a process, from its first line to its last. None of those that can be caught ends it by default action.

What comes before the process can act on it is remembered: a reload asked for during the start is made after it. Imports nothing
heavy, because the first thing that a process does is to call `SIGNALS.install()`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from typing import Final


def _present(*names: str) -> tuple[int, ...]:
    """Those of the named signals that this platform has."""
    return tuple(int(getattr(signal, name)) for name in names if hasattr(signal, name))


STOPPING: Final = _present("SIGTERM", "SIGINT", "SIGQUIT")
"""The first lets requests finish, the second ends that. SIGQUIT is what images made for nginx send."""

REOPEN: Final = int(signal.SIGUSR1)
RELOAD: Final = int(signal.SIGHUP)

WITHOUT_MEANING: Final = _present(
    "SIGUSR2", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGIO", "SIGPWR", "SIGSTKFLT", "SIGXCPU",
) + (tuple(range(signal.SIGRTMIN, signal.SIGRTMAX + 1)) if hasattr(signal, "SIGRTMIN") else ())  # fmt: skip
"""Ignored, with a line in the log. By default each of them ends a process."""

CAUGHT: Final = frozenset({*STOPPING, REOPEN, RELOAD, *WITHOUT_MEANING})


class CaughtSignals:
    """What this process does on each signal. Used from the main thread."""

    def __init__(self) -> None:
        self._installed = False
        self._callbacks: dict[int, Callable[[], object]] = {}
        self._remembered: set[int] = set()

    def install(self) -> None:
        """Catch them all from now on; those that the parent held back until now arrive at once."""
        if self._installed:
            return
        self._installed = True
        for number in CAUGHT:
            signal.signal(number, self._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT)

    def handle(self, numbers: Iterable[int], callback: Callable[[int], object]) -> None:
        """Call back for each of these signals, in the middle of whatever runs. One that came before calls back now."""
        for number in numbers:
            self._callbacks[number] = lambda number=number: callback(number)  # type: ignore[misc]  # a default keeps a loop's value
            if number in self._remembered:
                self._remembered.discard(number)
                self._callbacks[number]()

    def end(self) -> None:
        """Ignore them all: the process is about to end by itself."""
        for number in CAUGHT:
            signal.signal(number, signal.SIG_IGN)

    def _on_signal(self, number: int, _frame: object) -> None:
        callback = self._callbacks.get(number)
        if callback is not None:
            callback()
        elif number in STOPPING:
            os._exit(0)  # nothing has been started that would have to be stopped, and an import cannot swallow it
        else:
            self._remembered.add(number)


SIGNALS: Final = CaughtSignals()
