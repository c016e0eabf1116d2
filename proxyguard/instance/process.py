"""Set-up that every proxyguard process shares: log, event loop, signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from proxyguard.core.printable import LINES_AND_TABS, printable


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


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loop where it is installed; PROXYGUARD_LOOP=asyncio chooses the standard one."""
    if os.environ.get("PROXYGUARD_LOOP") == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415 - absent on platforms without a wheel
    except ImportError:
        return None
    return uvloop.new_event_loop


async def until_signal(on_hangup: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Wait for SIGTERM or SIGINT; run `on_hangup` at each SIGHUP."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    def hang_up() -> None:
        task = loop.create_task(on_hangup())
        running.add(task)
        task.add_done_callback(running.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    await stop.wait()
