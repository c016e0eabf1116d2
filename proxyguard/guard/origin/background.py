"""One thread with an event loop of its own, for what no request may wait for: DNS and fetches.

Answers of strangers are read there, so that one that takes long to read delays no request. Started by the first task.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final

STOP_SECONDS: Final = 2.0


class Background:
    """Runs coroutines beside the requests. `submit` may be called from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        """Run something to its end. Its errors stay in the future."""
        with self._starting:
            if self._loop is None:
                self._loop = asyncio.SelectorEventLoop()  # not uvloop: dnspython is tested on asyncio's own
                self._thread = threading.Thread(target=self._loop.run_forever, name="origin", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Give up what is under way."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return
        self._loop = self._thread = None
        with contextlib.suppress(Exception):
            asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(STOP_SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_SECONDS)
        if not thread.is_alive():
            loop.close()


async def _cancel_all() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
