"""Starts child processes that no signal can end before they have begun: signals are held back until the child catches them."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

from proxyguard.instance.signals import CAUGHT


def spawn_module(module: str, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start a module of this package as a program; `options` are those of Popen. Takes milliseconds: call it in a thread.

    The child must let in what it wants: by `SIGNALS.install`, or `let_in_termination`. Raises OSError.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, CAUGHT)
    try:
        return subprocess.Popen((sys.executable, "-m", module, *arguments), **options)  # noqa: S603 - a module of ours
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_in_termination() -> None:
    """In a child that lives for seconds and has nothing to finish: SIGTERM ends it, all other signals stay held back.

    So does an answer that nobody reads any more, without a word.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
