"""The way to a collector of OpenTelemetry: opened when the settings name one, with the metrics at every interval."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from proxyguard.core.process_settings import Otel
from proxyguard.telemetry.metric_families import Family
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.otel.exporter import OtelExporter

HINT: Final = "pip install 'proxyguard[otel]'"

OTEL_FAMILIES: Final = frozenset({"otel_waiting", "otel_dropped", "otel_failures"})
"""Metrics that every process which sends has: workers send spans, their supervisor metrics."""


def open_exporter(otel: Otel, counts: Metrics) -> OtelExporter | None:
    """What sends to the collector, counted in `counts`; None when none is named. Raises OSError without the extra."""
    if otel.endpoint is None:
        return None
    try:
        exporter = OtelExporter(otel.endpoint)
    except ImportError as error:
        raise OSError(f"otel.endpoint needs libraries of OpenTelemetry: {HINT}") from error
    counts.gauge("otel_waiting", "Spans that wait for the collector.", exporter.waiting)
    counts.gauge(
        "otel_dropped", "Spans that were dropped: no room, or the collector did not take them.", lambda: exporter.dropped
    )
    counts.gauge("otel_failures", "Times that the collector did not take spans or metrics.", lambda: exporter.failures)
    return exporter


async def send_metrics(otel: Otel, exporter: OtelExporter, families: Callable[[], Awaitable[list[Family]]]) -> None:
    """Hand all metrics over at every interval, until cancelled."""
    if otel.metrics_seconds is None:
        return
    while True:
        await asyncio.sleep(otel.metrics_seconds)
        exporter.measure(await families())
