"""Sends spans and metrics to a collector, by OTLP over HTTP: the one module that imports OpenTelemetry, which is an extra.

A thread sends, so that a collector that is slow or away delays no request. What waits is bounded; what finds no room, or cannot
be sent, is dropped and counted. Headers, such as a token, come from OTEL_EXPORTER_OTLP_HEADERS, as everywhere.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from time import monotonic, time
from typing import Any, Final

from proxyguard import __version__
from proxyguard.telemetry.metric_families import SECONDS_BOUNDS, Family
from proxyguard.telemetry.otel.tracer import SpanFacts

MAX_WAITING: Final = 4096
"""Spans that may wait: about 6 MiB."""

BATCH: Final = 512

GATHER_SECONDS: Final = 1.0
"""Between looks at what waits."""

SEND_SECONDS: Final = 5.0
"""What a collector may take for an answer, tries included."""

REST_SECONDS: Final = 10.0
"""After a failure nothing is sent for so long."""

NANO: Final = 1_000_000_000

NO_EXTREMES: Final[Any] = (None, None)
"""Least and greatest value, which our histograms do not know and the protocol may leave out."""

logger = logging.getLogger(__name__)


class OtelExporter:
    """What waits for the collector, and the thread that sends it. Raises ImportError without the extra `otel`."""

    def __init__(self, endpoint: str, clock: Callable[[], float] = monotonic) -> None:
        """`endpoint` is the collector's address, such as `http://127.0.0.1:4318`, to which `/v1/traces` is added."""
        self._clock = clock
        self._wire = _Wire(endpoint.rstrip("/"))
        self._endpoint = endpoint
        self._spans: deque[SpanFacts] = deque()
        self._metrics: tuple[float, list[Family]] | None = None
        self._began = time()
        self._wake = threading.Event()
        self._closing = False
        self._trouble = False
        self._rests_until = 0.0
        self._without_room = 0
        """Spans dropped by `add`, whose thread alone writes it; `_not_sent` is the sending thread's."""
        self._not_sent = 0
        self.failures = 0
        self._thread = threading.Thread(target=self._run, name="otel", daemon=True)
        self._thread.start()

    def add(self, span: SpanFacts) -> None:
        """Queue one span; never blocks. Called from one thread."""
        if len(self._spans) >= MAX_WAITING:
            self._without_room += 1
        else:
            self._spans.append(span)

    @property
    def dropped(self) -> int:
        """Spans that found no room or could not be sent."""
        return self._without_room + self._not_sent

    def waiting(self) -> int:
        """Spans that wait to be sent."""
        return len(self._spans)

    def measure(self, families: list[Family]) -> None:
        """Send these metrics next; those before that were not sent yet are forgotten, as these hold them."""
        self._metrics = (time(), families)

    def close(self, seconds: float = 2.0) -> None:
        """Send what waits, for at most so long, and stop."""
        self._closing = True
        self._wake.set()
        self._thread.join(seconds)
        self._wire.shutdown()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(GATHER_SECONDS)
            if self._closing or self._clock() >= self._rests_until:
                self._send()

    def _send(self) -> None:
        """Send what waits, metrics first; the first failure ends it."""
        metrics, self._metrics = self._metrics, None
        if metrics is not None and not self._sent(self._wire.send_metrics(self._began, *metrics), 0):
            return
        while self._spans:
            batch = [self._spans.popleft() for _ in range(min(BATCH, len(self._spans)))]
            if not self._sent(self._wire.send_spans(batch), len(batch)):
                return

    def _sent(self, why_not: str, spans: int) -> bool:
        """Count how a try ended; returns whether it went well. The log says when the collector is lost, and when it is back."""
        if why_not:
            self.failures += 1
            self._not_sent += spans
            self._rests_until = self._clock() + REST_SECONDS
            if not self._trouble:
                logger.error("otel: %s does not take spans and metrics: %s; requests go on", self._endpoint, why_not)
        elif self._trouble:
            logger.info("otel: %s takes spans and metrics again; %d spans were dropped so far", self._endpoint, self.dropped)
        self._trouble = bool(why_not)
        return not why_not


class _Wire:
    """OTLP over HTTP."""

    def __init__(self, endpoint: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415 - an extra
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415 - an extra

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a line for each try; `_sent` logs the first
        self._traces = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces", timeout=SEND_SECONDS)
        self._numbers = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics", timeout=SEND_SECONDS)
        self._resource = Resource.create({"service.name": "proxyguard", "service.version": __version__})
        self._scope = InstrumentationScope("proxyguard", __version__)

    def send_spans(self, batch: list[SpanFacts]) -> str:
        """Send some spans; returns why it failed, empty when it did not."""
        return self._tried(lambda: self._traces.export([self._span(facts) for facts in batch]))

    def send_metrics(self, began: float, now: float, families: Iterable[Family]) -> str:
        """Send all metrics; returns why it failed, empty when it did not."""
        return self._tried(lambda: self._numbers.export(self._metrics(began, now, families)))

    def shutdown(self) -> None:
        """End a try that is under way."""
        self._traces.shutdown()  # type: ignore[no-untyped-call]  # as the library has it
        self._numbers.shutdown()

    def _tried(self, send: Callable[[], Any]) -> str:
        try:
            result = send()
        except Exception as error:  # noqa: BLE001 - whatever a library of others raises costs spans and no more
            return f"{type(error).__name__}: {error}"
        return "" if result.name == "SUCCESS" else "it does not answer, or refuses them"

    def _span(self, facts: SpanFacts) -> Any:
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 - an extra
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags  # noqa: PLC0415 - an extra

        sampled = TraceFlags(TraceFlags.SAMPLED)
        parent = SpanContext(facts.trace, facts.parent, True, sampled) if facts.parent else None  # noqa: FBT003 - it is remote
        return ReadableSpan(
            name=facts.method,
            context=SpanContext(facts.trace, facts.span, False, sampled),  # noqa: FBT003 - it is ours
            parent=parent,
            resource=self._resource,
            attributes=facts.attributes,
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR if facts.failed else StatusCode.UNSET),
            start_time=int(facts.began * NANO),
            end_time=int(facts.ended * NANO),
            instrumentation_scope=self._scope,
        )

    def _metrics(self, began: float, now: float, families: Iterable[Family]) -> Any:
        from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics  # noqa: PLC0415 - an extra

        metrics = [metric for metric in (_metric(family, int(began * NANO), int(now * NANO)) for family in families) if metric]
        scoped = ScopeMetrics(self._scope, metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scoped], "")])


def _metric(family: Family, began: int, now: int) -> Any:
    """A family as OTLP has it, under the name that Prometheus knows; None for one without samples."""
    from opentelemetry.sdk.metrics import export  # noqa: PLC0415 - an extra

    name, kind, text, samples = family
    if not samples:
        return None
    data: Any
    if kind == "histogram":
        counts = [int(value) for suffix, _, value in samples if suffix == "_bucket"]
        values = {suffix: value for suffix, _, value in samples}
        each = [count - before for count, before in zip(counts, [0, *counts], strict=False)]
        point = export.HistogramDataPoint(
            {}, began, now, int(values["_count"]), values["_sum"], each, SECONDS_BOUNDS, *NO_EXTREMES
        )
        data = export.Histogram([point], export.AggregationTemporality.CUMULATIVE)
    else:
        points = [export.NumberDataPoint(dict(labels), began, now, float(value)) for _, labels, value in samples]
        if kind == "gauge":
            data = export.Gauge(points)
        else:
            data = export.Sum(points, export.AggregationTemporality.CUMULATIVE, is_monotonic=True)
    unit = "s" if "_seconds" in name else "By" if "_bytes" in name else "1"
    return export.Metric(f"proxyguard_{name}", text, unit, data)
