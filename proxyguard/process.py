"""What every proxyguard process sets up the same way: its log and its event loop."""

from __future__ import annotations

import logging
import os
import sys
import time
from asyncio import AbstractEventLoop
from collections.abc import Callable


def configure_logging() -> None:
    """Operational messages: one line each on standard error, UTC."""
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("mitmproxy").setLevel(logging.ERROR)


def loop_factory() -> Callable[[], AbstractEventLoop] | None:
    """uvloop's loop where it is installed; PROXYGUARD_LOOP=asyncio chooses the standard one."""
    if os.environ.get("PROXYGUARD_LOOP") == "asyncio":
        return None
    try:
        import uvloop  # noqa: PLC0415 - absent on platforms without a wheel
    except ImportError:
        return None
    return uvloop.new_event_loop
