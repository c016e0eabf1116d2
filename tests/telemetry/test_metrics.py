"""Metrics: exposition, bounds, adding up workers."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable

import msgspec
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from proxyguard.telemetry.exposition import exposition
from proxyguard.telemetry.latencies import LOOK_SECONDS, quantiles
from proxyguard.telemetry.metric_families import GROWING, Exemplar, counters, merge, newest
from proxyguard.telemetry.metrics import MAX_SERIES, LastMinute, Metrics


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
    seen = samples(exposition(metrics.snapshot())[0])
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
    seen = samples(exposition(merge([one.snapshot(), two.snapshot()]))[0])
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
    seen = samples(exposition(merge([one.snapshot(), two.snapshot()]))[0])
    assert (seen["proxyguard_store_up", ()], seen["proxyguard_upstreams_out", ()], seen["proxyguard_accounts", ()]) == (1, 2, 7)
    seen = samples(exposition(merge([one.snapshot(), two.snapshot(), three.snapshot()]))[0])
    assert (seen["proxyguard_store_up", ()], seen["proxyguard_upstreams_out", ()]) == (0, 2)


def test_what_happened_within_the_last_minute_is_counted_to_the_second() -> None:
    recent = LastMinute()
    for now in (1000.2, 1000.9, 1030.0, 1059.9):
        recent.add(now)
    assert [recent.total(now) for now in (1059.9, 1060.0, 1089.9, 1090.0, 1119.0, 5000.0)] == [4, 2, 2, 1, 0, 0]
    recent.add(5000.5)
    assert recent.total(5000.6) == 1


OPENMETRICS = "application/openmetrics-text; version=1.0.0,text/plain;q=0.5"


def openmetrics_families(text: str) -> list[Metric]:
    return [*openmetrics.text_string_to_metric_families(text)]  # type: ignore[no-untyped-call]  # as the library has it


def exemplars(metrics: Metrics, found: Iterable[Exemplar] | None = None) -> dict[tuple[str, str], tuple[str, float]]:
    """By sample and its rule or bound: the reference and the value of its exemplar, as a scraper reads them."""
    shown = metrics.exemplars() if found is None else found
    text, _ = exposition(metrics.snapshot(), shown, OPENMETRICS)
    return {
        (sample.name, sample.labels.get("rule") or sample.labels["le"]): (
            sample.exemplar.labels["reference"], sample.exemplar.value,
        )
        for family in openmetrics_families(text.decode()) for sample in family.samples if sample.exemplar
    }  # fmt: skip


def test_who_accepts_openmetrics_gets_a_reference_to_what_was_recorded_last() -> None:
    metrics = Metrics()
    for reference, seconds in (("a1", 0.00005), ("b2", 0.0004), ("c3", 0.00006)):
        metrics.decided("no-curl", "reject", "enforce")
        metrics.check_seconds.observe(seconds)
        metrics.recorded("no-curl", "reject", reference, seconds, 1_000_000.0, forwarded=False)
    metrics.decided("default", "pass", "enforce")
    metrics.request_seconds.observe(7.5)
    metrics.recorded("default", "pass", "d4", 7.5, 1_000_001.0, forwarded=True)
    assert exemplars(metrics) == {
        ("proxyguard_decisions_total", "no-curl"): ("c3", 1.0),
        ("proxyguard_decisions_total", "default"): ("d4", 1.0),
        ("proxyguard_check_seconds_bucket", "0.0001"): ("c3", 0.00006),
        ("proxyguard_check_seconds_bucket", "0.0005"): ("b2", 0.0004),
        ("proxyguard_request_seconds_bucket", "10.0"): ("d4", 7.5),
    }


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain", "text/html,application/xml"])
def test_everybody_else_gets_the_text_format_which_has_no_exemplars(accept: str) -> None:
    metrics = Metrics()
    metrics.decided("a", "reject", "enforce")
    metrics.recorded("a", "reject", "ref", 0.1, 1.0, forwarded=False)
    text, content_type = exposition(metrics.snapshot(), metrics.exemplars(), accept)
    assert content_type.startswith("text/plain; version=0.0.4")
    assert b" # {" not in text
    assert samples(text)[("proxyguard_decisions_total", (("action", "reject"), ("mode", "enforce"), ("rule", "a")))] == 1


def test_exemplars_are_bounded_as_series_are_and_of_several_workers_the_last_stays() -> None:
    metrics = Metrics()
    for number in range(MAX_SERIES + 50):
        metrics.decided(f"rule-{number}", "reject", "enforce")
        metrics.recorded(f"rule-{number}", "reject", f"r{number}", 0.001, float(number), forwarded=False)
    assert len(metrics.exemplars()) == MAX_SERIES + 1  # and that of the one bucket
    crossed = msgspec.convert(json.loads(json.dumps(metrics.exemplars()[:2])), list[Exemplar])
    later = [(*each[:3], "later", 1.0, 10_000.0) for each in crossed[:1]]
    assert newest([*later, *crossed]) == [later[0], crossed[1]]


def test_a_rule_named_like_a_histogram_mixes_up_no_exemplars() -> None:
    metrics = Metrics()
    metrics.decided("check_seconds", "reject", "enforce")
    metrics.recorded("check_seconds", "reject", "x", 0.2, 1.0, forwarded=False)
    assert exemplars(metrics) == {
        ("proxyguard_decisions_total", "check_seconds"): ("x", 1.0),
        ("proxyguard_check_seconds_bucket", "0.25"): ("x", 0.2),
    }


def test_promtool_finds_nothing_to_complain_of_but_names_that_stay() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not here")
    metrics = Metrics()
    metrics.decided("a", "reject", "enforce")
    metrics.gauge("store_overflows", "Overflows.", lambda: 1.0)
    text, _ = exposition(metrics.snapshot())
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=60)
    assert done.stderr.decode() == ""


def test_what_only_grows_stays_in_the_sum_whatever_its_name() -> None:
    metrics = Metrics()
    for name in (*GROWING, "accounts"):
        metrics.gauge(name, "Text.", lambda: 3.0)
    kept = {family[0] for family in counters(metrics.snapshot())}
    assert kept >= GROWING
    assert "accounts" not in kept
    text = exposition(metrics.snapshot(), (), OPENMETRICS)[0].decode()
    assert "# TYPE proxyguard_store_overflows unknown" in text
    assert {family.name for family in openmetrics_families(text)} >= {"proxyguard_store_overflows", "proxyguard_requests"}


def test_an_upstream_is_up_while_any_of_its_addresses_is_for_every_worker() -> None:
    one, two = Metrics(), Metrics()
    states = [
        {"upstream": "http://a", "state": "ill"},
        {"upstream": "http://a", "state": "up"},
        {"upstream": "http://b", "state": "up"},
    ]
    one.upstream_states = lambda: states
    two.upstream_states = lambda: [{"upstream": "http://b", "state": "unreachable"}]
    seen = samples(exposition(merge([one.snapshot(), two.snapshot()]))[0])
    assert seen["proxyguard_upstream_up", (("upstream", "http://a"),)] == 1
    assert seen["proxyguard_upstream_up", (("upstream", "http://b"),)] == 0


def test_quantiles_tell_a_tenth_of_a_millisecond_from_one() -> None:
    metrics = Metrics()
    for _ in range(90):
        metrics.check_seconds.observe(0.00009)
    for _ in range(10):
        metrics.check_seconds.observe(0.001)
    [found] = quantiles([metrics.latencies(1.0)]).values()
    assert found["p50"] < 0.0001
    assert 0.0005 < found["p95"] <= 0.001
    assert quantiles([Metrics().latencies(1.0)]) == {}


def test_quantiles_are_of_the_last_five_minutes_and_of_all_workers() -> None:
    one, two, now = Metrics(), Metrics(), 1_000.0
    for _ in range(100):
        one.request_seconds.observe(20.0)
    one.look(now)
    for _ in range(25):
        now += LOOK_SECONDS
        one.look(now)
    one.request_seconds.observe(0.002)
    two.request_seconds.observe(0.002)
    found = quantiles([one.latencies(now), two.latencies(now)])
    assert 0.001 < found["request_seconds"]["p99"] <= 0.0025
    assert sum(one.latencies(now)["request_seconds"]) == 1


def test_times_beyond_the_last_bound_count_as_that() -> None:
    metrics = Metrics()
    metrics.upstream_seconds.observe(400.0)
    assert quantiles([metrics.latencies(1.0)])["upstream_seconds"] == {"p50": 30.0, "p95": 30.0, "p99": 30.0}


def test_what_the_front_refuses_by_itself_is_counted() -> None:
    metrics = Metrics()
    metrics.refused("host-unknown", 421)
    seen = samples(exposition(metrics.snapshot())[0])
    assert seen["proxyguard_refusals_total", (("fault", "host-unknown"),)] == 1
    assert seen["proxyguard_responses_total", (("status", "421"),)] == 1


@pytest.mark.parametrize(
    "version", ["", "; version=abc", "; version=1.x", f"; version={'9' * 5000}", "; version=1.0.0; escaping=x"]
)
def test_whatever_version_of_openmetrics_is_asked_for_it_is_the_one_that_is_written(version: str) -> None:
    text, content_type = exposition(Metrics().snapshot(), (), f"application/openmetrics-text{version}, text/plain")
    assert content_type == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert text.endswith(b"# EOF\n")
