"""A store with a snapshot in a process of its own, for tests that kill it: `python -m tests.limits.stores.ban_process FILE`.

Bans and counts until it is killed; a line says which ban is on disk.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from time import time

from proxyguard.core.decision import Reject
from proxyguard.limits.charge import Charge
from proxyguard.limits.limit import KeyKind, KeyPart, Limit
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.snapshot import Snapshot
from proxyguard.limits.stores.store import BanTerms

A_DAY = Limit(1000, 86_400.0, 1000, (KeyPart(KeyKind.CLIENT),))


async def main() -> None:
    store = MemoryStore()
    snapshot = Snapshot(Path(sys.argv[1]), store)
    await snapshot.start()
    number = 0
    while True:
        store.ban(f"client:{number}", "rule", "", BanTerms(3600.0, Reject()), time())
        store.charge([Charge(f"rule|{number}", A_DAY, 500.0)], (), time())
        if await snapshot.saved():
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
        number += 1


if __name__ == "__main__":
    asyncio.run(main())
