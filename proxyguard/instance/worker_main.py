"""Entry point of a worker process: takes its assignment from a file and its listening sockets from the supervisor.

The supervisor holds the other end of standard input; when that closes, the supervisor is gone and the worker drains.
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
from pathlib import Path

from proxyguard.instance.assignment import Assignment
from proxyguard.instance.policy_transfer import join, read_parts
from proxyguard.instance.process import LoopSignals, configure_logging, end_process, loop_factory
from proxyguard.instance.signals import RELOAD, REOPEN, SIGNALS
from proxyguard.instance.worker import Worker
from proxyguard.instance.worker_process import farewell_path
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.stores.remote import RemoteStore
from proxyguard.limits.stores.shared import SharedTransport

logger = logging.getLogger(__name__)


async def serve(assignment: Assignment, control: Path, sockets: tuple[socket.socket, ...], ready: int) -> None:
    """Carry traffic until SIGTERM or until the supervisor is gone. Writes one byte to `ready` once it listens."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = LoopSignals()
    signals.on((signal.SIGTERM,), lambda _: stop.set())
    loop.add_reader(sys.stdin.fileno(), stop.set)
    loaded = join(read_parts(assignment.policy))
    settings = assignment.settings
    choice = settings.store
    transport = SharedTransport(assignment.store)
    store = RemoteStore(transport, settings.counting, timeout_seconds=choice.timeout_seconds, on_down=choice.on_down)
    if settings.store.url is not None:
        from proxyguard.limits.stores.open import valkey_store  # noqa: PLC0415 - brings SQLite, which no other worker needs

        store = valkey_store(settings)
    await store.start()
    worker = Worker(settings, loaded, assignment.secrets, store, admin=None, control=control, sockets=sockets)
    worker.counts.show(store.gauges())
    worker.share_nonces(assignment.store.with_name("nonces"))
    for name, arguments in json.loads(assignment.standing.read_bytes()).items():
        await worker.broadcast(name, arguments)
    await worker.start()
    os.write(ready, b"1")
    os.close(ready)
    signals.run_on(REOPEN, worker.reopen_logs)
    await stop.wait()
    loop.remove_reader(sys.stdin.fileno())
    await worker.stop()
    await _say_farewell(worker, control)
    await store.stop()
    end_process()


async def _say_farewell(worker: Worker, control: Path) -> None:
    """Leave the last snapshot to the supervisor: what was counted since it last asked would be missing for good."""
    [snapshot] = await worker.broadcast("snapshot", {})
    path = farewell_path(control)
    fresh = path.with_suffix(".new")
    try:
        fresh.write_text(json.dumps(snapshot))
        fresh.replace(path)
    except OSError as error:  # a full disk, or the supervisor took its folder with it
        logger.info("%s: %s", path, error.strerror)


def main() -> None:
    """Run `python -m proxyguard.instance.worker_main ASSIGNMENT CONTROL READY_FD LISTENING_FD…`."""
    assignment_path, control, ready, *listening = sys.argv[1:]
    SIGNALS.handle((signal.SIGINT, signal.SIGQUIT, RELOAD), lambda _: None)  # a terminal sends these to all processes
    SIGNALS.install()
    configure_logging()
    assignment: Assignment = pickle.loads(Path(assignment_path).read_bytes())  # noqa: S301 - written by our parent, mode 0600
    CLOCK.share(assignment.clock)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        sockets = tuple(socket.socket(fileno=int(each)) for each in listening)
        runner.run(serve(assignment, Path(control), sockets, int(ready)))


if __name__ == "__main__":
    main()
