"""What the held bodies of a worker share: how much may be held, and the file."""

from __future__ import annotations

from collections.abc import Callable

from proxyguard.adapters.mitmproxy.buffering.budget import Budget
from proxyguard.adapters.mitmproxy.buffering.spool_file import SpoolFile
from proxyguard.core.settings import BufferBudget


class Buffers:
    """One per worker."""

    __slots__ = ("disk", "file", "memory")

    def __init__(self, budget: BufferBudget, clock: Callable[[], float], on_bound: Callable[[str], None]) -> None:
        self.memory = Budget(budget.memory_bytes, budget.memory_per_network_bytes)
        self.disk = Budget(budget.disk_bytes, budget.disk_per_network_bytes)
        self.file = SpoolFile(budget.directory, budget.disk_bytes, clock, on_bound)
