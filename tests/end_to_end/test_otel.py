"""OpenTelemetry through real processes: a collector gets spans and metrics, and the site the trace's context."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.collector import attributes, collector
from tests.end_to_end.processes import proxyguard, wait_until
from tests.end_to_end.raw_upstream import raw_upstream

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
PARENT: Final = f"00-{TRACE}-b7ad6b7169203331-00"
BROWSER: Final = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """One rule, so that it starts soon."""
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "one.yaml").write_text(
        "name: one\nrules:\n  - {name: no-library, when: {user_agent: {prefix: python}}, action: reject}\n"
    )
    return folder


@pytest.mark.parametrize("workers", [1, 2])
def test_spans_and_metrics_arrive_and_the_site_gets_the_context(tmp_path: Path, rules: Path, workers: int) -> None:
    with collector() as there, raw_upstream() as site:
        otel = f"otel: {{endpoint: '{there.endpoint}', traces: 1, metrics_every: 1s}}\nworkers: {workers}\n"
        with proxyguard(tmp_path, site.url, rules=rules, settings=otel) as guard:
            for number in range(4):
                guard.get(f"/posts/{number}?secret=geheim", headers={**BROWSER, "Traceparent": PARENT, "Tracestate": "a=1"})
            refused = guard.get("/profiles/1", headers={"User-Agent": "python-requests/2.32"})
            assert refused.status_code == 403
            wait_until(lambda: len(there.spans) >= 5, "the spans arrive")
            wait_until(lambda: there.value("proxyguard_requests_total") >= 5, "the metrics arrive")
            assert "proxyguard_otel_dropped 0.0" in guard.admin("/metrics")
    context = re.compile(rf"00-{TRACE}-([0-9a-f]{{16}})-01")
    sent = {match[1] for each in site.whole if (match := context.fullmatch(each.field(b"traceparent")[0].decode()))}
    passed = [span for span in there.spans if attributes(span)["proxyguard.action"] == "pass"]
    assert {span.span_id.hex() for span in passed} == sent
    assert {span.trace_id.hex() for span in passed} == {TRACE}
    assert {attributes(span)["http.route"] for span in passed} == {"/posts/*"}
    assert all(each.field(b"tracestate") == [b"a=1"] for each in site.whole)
    [stopped] = [span for span in there.spans if attributes(span)["http.response.status_code"] == 403]
    assert attributes(stopped)["proxyguard.reference"] == refused.headers["X-Proxyguard-Reference"]
    assert "geheim" not in repr(there.spans)


def test_a_collector_that_is_away_costs_no_request(tmp_path: Path, rules: Path) -> None:
    with raw_upstream() as site:
        otel = "otel: {endpoint: 'http://127.0.0.1:9', traces: 1, metrics_every: 1s}\n"
        with proxyguard(tmp_path, site.url, rules=rules, settings=otel) as guard:
            assert [guard.get("/", headers=BROWSER).status_code for _ in range(5)] == [200] * 5
            wait_until(
                lambda: not re.search(r"^proxyguard_otel_failures 0", guard.admin("/metrics"), re.MULTILINE), "it is counted"
            )
            assert guard.get("/", headers=BROWSER).status_code == 200
        assert guard.said().count("does not take spans and metrics") == 1
