"""What process 1 of a container owes to the others: it passes signals on, and waits for orphans that end.

The instance then runs as its child, so that nobody else waits for the instance's own children.
"""

from __future__ import annotations

import contextlib
import os
import signal

from proxyguard.instance.signals import CAUGHT


def split_off() -> None:
    """Go on in a child if this is process 1; the parent ends when the child does, with its exit status.

    Signals are held back in the child until it catches them.
    """
    if os.getpid() != 1:
        return
    waited_for = {*CAUGHT, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as a parent may leave it, it would hide how the child ended
    child = os.fork()
    if child:
        _serve_as_init(child, waited_for)
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)  # a terminal's Ctrl-C then comes once, from the parent
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def _serve_as_init(child: int, waited_for: set[int]) -> None:
    while True:
        _reap(child)  # first those that ended before anybody listened
        number = signal.sigwait(waited_for)
        if number != signal.SIGCHLD:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)


def _reap(child: int) -> None:
    """Wait for all that have ended. Ends the process when the child is among them."""
    with contextlib.suppress(ChildProcessError):
        while True:
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == 0:
                return
            if ended == child:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)
