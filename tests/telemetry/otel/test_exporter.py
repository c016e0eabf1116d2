"""Spans and metrics on their way to a collector that is there, slow, away, or says no."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count

import pytest

from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.otel import exporter as module
from proxyguard.telemetry.otel.exporter import MAX_WAITING, OtelExporter
from proxyguard.telemetry.otel.tracer import SpanFacts
from tests.collector import attributes, collector


def span(number: int = 1) -> SpanFacts:
    facts: dict[str, str | int | float] = {"proxyguard.rule": "no-curl", "http.response.status_code": 403}
    return SpanFacts(7, number, 3, 1000.0, 1000.5, "GET", facts, failed=False)


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_SECONDS", 0.02)


def test_spans_arrive_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20x")
    with collector() as there:
        exporter = OtelExporter(there.endpoint + "/")
        exporter.add(span(9))
        wait_until(lambda: bool(there.spans))
        exporter.close()
    [got] = there.spans
    assert (int.from_bytes(got.trace_id), int.from_bytes(got.span_id), int.from_bytes(got.parent_span_id)) == (7, 9, 3)
    assert (got.trace_state, got.name, got.kind) == ("", "GET", 2)
    assert (got.start_time_unix_nano, got.end_time_unix_nano) == (1_000_000_000_000, 1_000_500_000_000)
    assert attributes(got) == {"proxyguard.rule": "no-curl", "http.response.status_code": 403}
    assert there.resources[0]["service.name"] == "proxyguard"
    assert there.headers[0]["authorization"] == "Bearer x"


def test_metrics_arrive_with_their_types_and_buckets() -> None:
    counts = Metrics()
    counts.requests = 12
    counts.decided("no-curl", "reject", "enforce")
    counts.check_seconds.observe(0.0004)
    counts.check_seconds.observe(99.0)
    counts.gauge("store_overflows", "Overflows.", lambda: 4.0)
    counts.gauge("one_client_suspected", "A truth.", lambda: True)
    with collector() as there:
        exporter = OtelExporter(there.endpoint)
        exporter.measure(counts.snapshot())
        wait_until(lambda: bool(there.metrics))
        exporter.close()
    assert there.value("proxyguard_requests_total") == 12
    assert there.metrics["proxyguard_requests_total"].sum.is_monotonic
    assert there.metrics["proxyguard_store_overflows"].sum.is_monotonic
    assert there.metrics["proxyguard_connections"].HasField("gauge")
    [point] = there.metrics["proxyguard_decisions_total"].sum.data_points
    assert {pair.key: pair.value.string_value for pair in point.attributes} == {
        "rule": "no-curl",
        "action": "reject",
        "mode": "enforce",
    }
    [times] = there.metrics["proxyguard_check_seconds"].histogram.data_points
    assert (times.count, sum(times.bucket_counts), len(times.bucket_counts)) == (2, 2, len(times.explicit_bounds) + 1)
    assert (times.bucket_counts[2], times.bucket_counts[-1]) == (1, 1)


def test_a_collector_that_takes_its_time_holds_up_nothing_and_what_waits_is_bounded() -> None:
    with collector() as there:
        there.held = threading.Event()
        exporter = OtelExporter(there.endpoint)
        exporter.add(span())
        wait_until(lambda: there.tries == 1)
        began = time.thread_time()
        for number in range(MAX_WAITING + 500):
            exporter.add(span(number + 2))
        assert time.thread_time() - began < 2.0
        assert (exporter.waiting(), exporter.dropped) == (MAX_WAITING, 500)
        there.held.set()
        wait_until(lambda: len(there.spans) == MAX_WAITING + 1)
        exporter.close()
    assert exporter.failures == 0


def test_a_collector_that_is_away_costs_spans_and_two_lines_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = count(0.0, module.REST_SECONDS + 1)  # every look is after a rest
    with collector() as there:
        there.status = 400
        exporter = OtelExporter(there.endpoint, lambda: next(clock))
        for number in range(3):
            exporter.add(span(number + 1))
            exporter.measure(Metrics().snapshot())
            wait_until(lambda number=number: exporter.failures > number)  # type: ignore[misc]  # bound to this turn
        there.status = 200
        exporter.add(span(50))
        wait_until(lambda: any(int.from_bytes(each.span_id) == 50 for each in there.spans))
        wait_until(lambda: len(caplog.records) >= 2)
        exporter.close()
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2, lines
    assert f"otel: {there.endpoint} does not take spans and metrics" in lines[0]
    assert "takes spans and metrics again" in lines[1]


def test_after_a_failure_nothing_is_tried_for_a_while() -> None:
    with collector() as there:
        there.status = 403
        exporter = OtelExporter(there.endpoint, lambda: 0.0)
        for number in range(2000):
            exporter.add(span(number + 1))
        wait_until(lambda: exporter.failures > 0)
        tries = there.tries
        time.sleep(0.1)
        assert there.tries == tries == 1
        assert (exporter.dropped, exporter.waiting()) == (module.BATCH, 2000 - module.BATCH)
        exporter.close()


def test_it_ends_soon_though_nobody_answers() -> None:
    with collector() as there:
        there.held = threading.Event()
        exporter = OtelExporter(there.endpoint)
        exporter.add(span())
        wait_until(lambda: there.tries == 1)
        began = time.monotonic()
        exporter.close(0.05)
        assert time.monotonic() - began < 4.0
        there.held.set()
