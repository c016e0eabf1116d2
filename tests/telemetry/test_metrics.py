"""Metrics: exposition, bounds, adding up workers."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from proxyguard.telemetry.metrics import MAX_SERIES, LastMinute, Metrics, exposition, merge


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_counts_come_out_in_the_prometheus_format() -> None:
    metrics = Metrics()
    metrics.requests = 3
    metrics.decided("no-curl", "reject", "enforce")
    metrics.check_seconds.observe(0.0002)
    metrics.gauge("store_keys", "Counters held.", lambda: 7.0)
    seen = samples(exposition(metrics.snapshot()))
    assert seen[("proxyguard_requests_total", ())] == 3
    assert seen[("proxyguard_decisions_total", (("action", "reject"), ("mode", "enforce"), ("rule", "no-curl")))] == 1
    assert seen[("proxyguard_check_seconds_bucket", (("le", "0.0001"),))] == 0
    assert seen[("proxyguard_check_seconds_bucket", (("le", "0.00025"),))] == 1
    assert seen[("proxyguard_check_seconds_bucket", (("le", "+Inf"),))] == 1
    assert seen[("proxyguard_store_keys", ())] == 7


def test_snapshots_of_workers_add_up() -> None:
    one, two = Metrics(), Metrics()
    one.requests, two.requests = 3, 4
    for metrics in (one, two):
        metrics.decided("a", "pass", "enforce")
        metrics.request_seconds.observe(0.02)
    seen = samples(exposition(merge([one.snapshot(), two.snapshot()])))
    assert seen[("proxyguard_requests_total", ())] == 7
    assert seen[("proxyguard_decisions_total", (("action", "pass"), ("mode", "enforce"), ("rule", "a")))] == 2
    assert seen[("proxyguard_request_seconds_bucket", (("le", "0.025"),))] == 2


def test_the_number_of_series_is_bounded() -> None:
    metrics = Metrics()
    for number in range(MAX_SERIES + 50):
        metrics.decided(f"rule-{number}", "reject", "enforce")
    assert len(metrics.decisions) == MAX_SERIES + 1
    assert metrics.decisions["other", "reject", "enforce"] == 50


def test_of_a_state_that_each_worker_has_the_worst_counts() -> None:
    one, two, three = Metrics(), Metrics(), Metrics()
    for metrics, up, out, keys in ((one, 1.0, 0.0, 3.0), (two, 1.0, 2.0, 4.0), (three, 0.0, 1.0, 5.0)):
        metrics.gauge("store_up", "1 while it answers.", lambda up=up: up)  # type: ignore[misc]  # bound to this turn
        metrics.gauge("upstreams_out", "Left out.", lambda out=out: out)  # type: ignore[misc]  # bound to this turn
        metrics.gauge("accounts", "Known.", lambda keys=keys: keys)  # type: ignore[misc]  # bound to this turn
    seen = samples(exposition(merge([one.snapshot(), two.snapshot()])))
    assert (seen["proxyguard_store_up", ()], seen["proxyguard_upstreams_out", ()], seen["proxyguard_accounts", ()]) == (1, 2, 7)
    seen = samples(exposition(merge([one.snapshot(), two.snapshot(), three.snapshot()])))
    assert (seen["proxyguard_store_up", ()], seen["proxyguard_upstreams_out", ()]) == (0, 2)


def test_what_happened_within_the_last_minute_is_counted_to_the_second() -> None:
    recent = LastMinute()
    for now in (1000.2, 1000.9, 1030.0, 1059.9):
        recent.add(now)
    assert [recent.total(now) for now in (1059.9, 1060.0, 1089.9, 1090.0, 1119.0, 5000.0)] == [4, 2, 2, 1, 0, 0]
    recent.add(5000.5)
    assert recent.total(5000.6) == 1
