"""Metrics as plain data: families of samples, and how those of several workers become one. Knows nothing of what is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import add
from typing import Final

SECONDS_BOUNDS: Final[tuple[float, ...]] = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
"""Upper bounds of the buckets of every histogram."""

MERGED: Final[dict[str, Callable[[float, float], float]]] = {
    "campaign_alarms": max,
    "certificate_end_timestamp_seconds": min,
    "one_client_suspected": max,
    "store_bans": max,
    "store_changed_timestamp_seconds": max,
    "store_outages": max,
    "store_up": min,
    "upstream_up": min,
    "upstreams_out": max,
}
"""How the values of several workers become one, for families that each of them has as a whole: what is not here is added up.

Of a state the worst counts: a store is up when it is for all."""

GROWING: Final = frozenset({
    "account_evictions", "account_refusals", "learned_keys_refused",
    "otel_dropped", "otel_failures", "snapshot_troubles", "store_ban_evictions",
    "store_bans_warnings", "store_fallbacks", "store_keys_warnings", "store_outages", "store_overflows", "store_timeouts",
    "worker_restarts",
})  # fmt: skip
"""Counters whose names do not end in `_total`, as those of counters do in OpenMetrics: exported without a type.

What a worker that has ended counted in them stays in the sum, as with all counters."""

type Labels = tuple[tuple[str, str], ...]
type Sample = tuple[str, Labels, float]
type Family = tuple[str, str, str, list[Sample]]
"""Name, Prometheus type, help text, samples (name suffix, labels, value)."""
type Exemplar = tuple[str, str, Labels, str, float, float]
"""Family, name suffix and labels of a sample; the reference of a request that was counted in it, its value, Unix seconds."""


def kind_of_gauge(name: str) -> str:
    """The Prometheus type of a number that is read at each scrape."""
    return "unknown" if name in GROWING else "gauge"


def counters(families: Iterable[Family]) -> list[Family]:
    """Those that never fall."""
    return [family for family in families if family[1] != "gauge"]


def merge(snapshots: Iterable[list[Family]]) -> list[Family]:
    """Add up the snapshots of several workers, sample by sample; of states and times, see MERGED."""
    families: dict[str, tuple[str, str, dict[tuple[str, Labels], float]]] = {}
    for snapshot in snapshots:
        for name, kind, text, samples in snapshot:
            merged = families.setdefault(name, (kind, text, {}))[2]
            join: Callable[[float, float], float] = MERGED.get(name, add)
            for suffix, labels, value in samples:
                key = (suffix, tuple((label, content) for label, content in labels))
                known = merged.get(key)
                merged[key] = value if known is None else join(known, value)
    return [
        (name, kind, text, [(suffix, labels, value) for (suffix, labels), value in samples.items()])
        for name, (kind, text, samples) in families.items()
    ]


def newest(exemplars: Iterable[Exemplar]) -> list[Exemplar]:
    """Of several workers, the last exemplar of each sample."""
    found: dict[tuple[str, str, Labels], Exemplar] = {}
    for exemplar in exemplars:
        known = found.get(exemplar[:3])
        if known is None or known[5] < exemplar[5]:
            found[exemplar[:3]] = exemplar
    return [*found.values()]
