"""The stores outside this process, each with its server in a process of its own, to be stopped, killed and started again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxyguard.core.decision import Reject
from proxyguard.core.settings import Counting
from proxyguard.limits.stores.nodes import StoreUrl
from proxyguard.limits.stores.remote import RemoteStore, Transport
from proxyguard.limits.stores.shared import SharedTransport
from proxyguard.limits.stores.store import BanTerms
from proxyguard.limits.stores.valkey import ValkeyTransport
from tests.contracts.servers import valkey

HOUR = BanTerms(3600.0, Reject())
COUNTING = Counting(keys=10_000, bans=5000)
BUSY_SECONDS = 2.0
"""A time-out for a busy machine: only the tests of time-outs have short ones."""


@asynccontextmanager
async def started(transport: Transport, **options: Any) -> AsyncIterator[tuple[RemoteStore, list[str]]]:
    """A store at the end of a transport, running, and what it says of its state."""
    said: list[str] = []
    options.setdefault("timeout_seconds", BUSY_SECONDS)
    store = RemoteStore(transport, COUNTING, on_state=lambda up, why: said.append(f"{'up' if up else 'down'}: {why}"), **options)
    await store.start()
    yield store, said
    await store.stop()


@contextmanager
def store_process(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server for the workers of a machine."""
    process = subprocess.Popen([sys.executable, "-m", "tests.contracts.store_process", str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@dataclass(frozen=True, slots=True)
class Rig:
    """One kind of store: how its server is run at a Unix socket, and how an instance is started there."""

    name: str
    serving: Callable[[Path], AbstractContextManager[subprocess.Popen[bytes]]]
    transport: Callable[[Path], Transport]

    def instance(self, path: Path, **options: Any) -> AbstractAsyncContextManager[tuple[RemoteStore, list[str]]]:
        """A store at a socket, running, and what it says of its state."""
        return started(self.transport(path), **options)


RIGS = (
    Rig("workers", store_process, SharedTransport),
    Rig("valkey", valkey, lambda path: ValkeyTransport(StoreUrl.parse(f"unix://{path}"))),
)
