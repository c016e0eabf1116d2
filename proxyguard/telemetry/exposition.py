"""Metrics in the form that Prometheus reads, written by prometheus-client: the text format, or OpenMetrics with exemplars for who
accepts it. Imported only by processes that are asked for it: the library brings an HTTP server and client.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as ShownExemplar

from proxyguard.telemetry.metric_families import Exemplar, Family, newest

OPENMETRICS: Final = "application/openmetrics-text"


def exposition(families: Iterable[Family], exemplars: Iterable[Exemplar] = (), accept: str = "") -> tuple[bytes, str]:
    """What a scrape that accepts such types gets, and its type; every name is prefixed with `proxyguard_`.

    Exemplars are in OpenMetrics only: the text format has no place for them. In it a counter shares its name without `_total`
    with no other family; one that would (`connections_total`) goes without a type.
    """
    is_strict = any(each.partition(";")[0].strip().lower() == OPENMETRICS for each in accept.split(","))
    encode, content_type = choose_encoder(OPENMETRICS if is_strict else "")  # it stumbles over versions that are no numbers
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(families, exemplars, strict=is_strict))
    return encode(registry), content_type


class _Families(Collector):
    def __init__(self, families: Iterable[Family], exemplars: Iterable[Exemplar], *, strict: bool) -> None:
        self._families = [*families]
        self._taken = {name for name, *_ in self._families} if strict else set()
        self._exemplars = {
            each[:3]: ShownExemplar({"reference": each[3]}, each[4], round(each[5], 3)) for each in newest(exemplars)
        }

    def collect(self) -> Iterable[Metric]:
        for name, kind, text, samples in self._families:
            full = f"proxyguard_{name}"
            if kind == "counter" and name.removesuffix("_total") in self._taken:
                metric = Metric(full, text, "unknown")
            else:
                metric = Metric(full.removesuffix("_total"), text, kind)
            for suffix, labels, value in samples:
                metric.add_sample(full + suffix, dict(labels), value, exemplar=self._exemplars.get((name, suffix, labels)))
            yield metric
