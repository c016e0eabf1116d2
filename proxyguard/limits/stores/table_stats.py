"""The fill of a memory store's tables, and the metrics that show it."""

from __future__ import annotations

from typing import Final, NamedTuple


class StoreStats(NamedTuple):
    """The fill of the tables, and what found them full since the start."""

    keys: int
    key_capacity: int
    bans: int
    ban_capacity: int
    overflows: int
    """Charges whose key found its table full."""
    ban_evictions: int
    """Bans that gave way to others before their end."""
    sketches: int
    sketch_capacity: int
    under_way: int
    """Counters of requests under way."""
    logs: int
    log_capacity: int
    long_logs: int
    long_log_capacity: int


GAUGES: Final[dict[str, str]] = {
    "store_keys": "Counters in use.",
    "store_key_capacity": "Counters there is room for.",
    "store_bans": "Bans remembered.",
    "store_ban_capacity": "Bans there is room for.",
    "store_overflows": "Charges whose key found the table of counters full.",
    "store_ban_evictions": "Bans that gave way to others before their end, because their table was full.",
    "store_sketches": "Counters of distinct values in use.",
    "store_sketch_capacity": "Counters of distinct values there is room for.",
    "store_under_way": "Counters of requests under way.",
    "store_logs": "Sliding logs in use.",
    "store_log_capacity": "Sliding logs there is room for.",
    "store_long_logs": "Sliding logs of limits above 64 in use.",
    "store_long_log_capacity": "Sliding logs of limits above 64 there is room for.",
}
"""Metric names by field of StoreStats."""
