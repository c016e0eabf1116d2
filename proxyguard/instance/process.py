"""Set-up that every proxyguard process shares: log, event loop, signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NoReturn

from proxyguard.core.printable import LINES_AND_TABS, printable
from proxyguard.instance.signals import SIGNALS, WITHOUT_MEANING

logger = logging.getLogger(__name__)


class _Formatter(logging.Formatter):
    """Escapes what strangers may have chosen and a terminal would act on; reports keep their lines."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record), LINES_AND_TABS)


def configure_logging() -> None:
    """Operational messages: one line each on standard error, UTC."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = _Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("mitmproxy").setLevel(logging.ERROR)
    logging.getLogger("tornado").setLevel(logging.ERROR)  # below: what callers of the admin port do wrong, a line for each


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loop where it is installed; PROXYGUARD_LOOP=asyncio chooses the standard one."""
    if os.environ.get("PROXYGUARD_LOOP") == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415 - absent on platforms without a wheel
    except ImportError:
        return None
    return uvloop.new_event_loop


class StopRequests:
    """How often this process was asked to stop: the first time ends accepting, the second time ends the drain."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.hurried = asyncio.Event()

    def add(self) -> None:
        """One more."""
        if self.asked.is_set():
            self.hurried.set()
        self.asked.set()


class LoopSignals:
    """The signals of this process, as calls in its event loop. They stay in force until the process ends."""

    def __init__(self) -> None:
        """Log those without a meaning, from now on."""
        SIGNALS.install()
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[None]] = set()
        self.on(WITHOUT_MEANING, _log_ignored)

    def on(self, numbers: Iterable[int], callback: Callable[[int], object]) -> None:
        """Call back in the event loop; at once for a signal that came before and was remembered."""
        SIGNALS.handle(numbers, lambda number: self._loop.call_soon_threadsafe(callback, number))

    def run_on(self, number: int, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine at each such signal."""

        def start(_number: int) -> None:
            task = self._loop.create_task(job())
            self._running.add(task)
            task.add_done_callback(self._running.discard)

        self.on((number,), start)


def _log_ignored(number: int) -> None:
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    logger.info("%s is ignored", name)


def end_process() -> NoReturn:
    """End with status 0, now: what had to be finished is. A thread that a stalled disk holds keeps nothing up."""
    SIGNALS.end()
    logging.shutdown()
    os._exit(0)
