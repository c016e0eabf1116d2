"""A worker under the supervisor: takes its assignment from a file, its listening socket from its parent, and ends with it.

The parent holds the other end of standard input; when that closes, the parent is gone and the worker drains.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pickle
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

from proxyguard.limits.remote import RemoteStore
from proxyguard.limits.shared import SharedStore
from proxyguard.pieces import join, read_pieces
from proxyguard.process import configure_logging, loop_factory
from proxyguard.reload import Loaded
from proxyguard.settings import Settings
from proxyguard.stores import valkey_store
from proxyguard.worker import Worker

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the supervisor tells every worker, in a file that only this user can read."""

    settings: Settings
    secret: bytes
    store: Path
    pieces: Path
    restrictions: Path
    """Which are on, as the command `restrictions` says it."""


async def serve(assignment: Assignment, control: Path, sockets: tuple[socket.socket, ...], ready: int) -> None:
    """Carry traffic until SIGTERM or until the supervisor is gone. Writes one byte to `ready` once it listens."""
    loaded: Loaded = join(read_pieces(assignment.pieces))
    settings = assignment.settings
    store: RemoteStore = SharedStore(assignment.store, settings.counting)
    if settings.store.url is not None:
        store = valkey_store(settings)
    await store.start()
    worker = Worker(settings, loaded, assignment.secret, store, admin=None, control=control, sockets=sockets)
    worker.counts.show(store.gauges())
    await worker.told("restrictions", json.loads(assignment.restrictions.read_bytes()))
    await worker.start()
    os.write(ready, b"1")
    os.close(ready)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    for ignored in (signal.SIGINT, signal.SIGHUP):  # a terminal sends these to all; the supervisor passes them on
        loop.add_signal_handler(ignored, lambda: None)
    loop.add_reader(sys.stdin.fileno(), stop.set)
    await stop.wait()
    loop.remove_reader(sys.stdin.fileno())
    await worker.stop()
    await store.stop()


def main() -> None:
    """`python -m proxyguard.supervised ASSIGNMENT CONTROL READY_FD LISTENING_FD…`."""
    assignment_path, control, ready, *listening = sys.argv[1:]
    configure_logging()
    assignment: Assignment = pickle.loads(Path(assignment_path).read_bytes())  # noqa: S301 - written by our parent, mode 0600
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        sockets = tuple(socket.socket(fileno=int(each)) for each in listening)
        runner.run(serve(assignment, Path(control), sockets, int(ready)))


if __name__ == "__main__":
    main()
