"""A shared store in a process of its own, for tests that stop it: `python -m tests.contracts.store_process SOCKET`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from proxyguard.instance.process import loop_factory
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.shared_server import SharedStoreServer


async def main() -> None:
    server = SharedStoreServer(Path(sys.argv[1]), MemoryStore(keys=10_000, bans=5000))
    await server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(), loop_factory=loop_factory())
