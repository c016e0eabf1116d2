"""A collector of OpenTelemetry: takes OTLP over HTTP on a port of the loopback interface, and keeps what it got."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """What came. `status` is what it answers with; `held` makes it wait for an event first."""

    def __init__(self) -> None:
        self.status = 200
        self.held: threading.Event | None = None
        self.tries = 0
        self.headers: list[dict[str, str]] = []
        self.resources: list[dict[str, str]] = []
        self.spans: list[Any] = []
        self.metrics: dict[str, Any] = {}
        self.endpoint = ""

    def take(self, path: str, body: bytes) -> None:
        """Read one message as the protocol has it."""
        if path == "/v1/traces":
            for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append({pair.key: pair.value.string_value for pair in each.resource.attributes})
                self.spans += [span for scope in each.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            for found in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.metrics |= {metric.name: metric for scope in found.scope_metrics for metric in scope.metrics}
        else:
            raise AssertionError(path)

    def value(self, name: str) -> float:
        """The one value of a counter or gauge; 0 before it came."""
        metric = self.metrics.get(name)
        if metric is None:
            return 0.0
        [point] = (metric.sum if metric.HasField("sum") else metric.gauge).data_points
        return float(point.as_double or point.as_int)


def attributes(span: Any) -> dict[str, Any]:
    """A span's attributes as plain values."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    """Run one."""
    keeps = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            keeps.tries += 1
            keeps.headers.append({name.lower(): value for name, value in self.headers.items()})
            if keeps.held is not None:
                keeps.held.wait(30)
            if keeps.status == 200:
                keeps.take(self.path, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(keeps.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    keeps.endpoint = f"http://127.0.0.1:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    serving.start()
    try:
        yield keeps
    finally:
        server.shutdown()
        server.server_close()
