"""The way to a collector without its libraries: told before a start, with what to do."""

from __future__ import annotations

import sys

import pytest

from proxyguard.core.process_settings import Otel
from proxyguard.core.settings import Settings
from proxyguard.instance.collector import OTEL_FAMILIES, open_exporter
from proxyguard.instance.preflight.extras import extras, is_installed
from proxyguard.telemetry.metrics import Metrics

ASKED = Otel(endpoint="http://127.0.0.1:4318")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without the extra."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)


@pytest.mark.usefixtures("bare")
def test_without_the_libraries_a_start_says_what_to_install() -> None:
    [concern] = extras(Settings(otel=ASKED))
    assert (concern.key, concern.hint) == ("otel.endpoint", "pip install 'proxyguard[otel]'")
    with pytest.raises(OSError, match=r"otel\.endpoint needs libraries of OpenTelemetry: pip install 'proxyguard\[otel\]'"):
        open_exporter(ASKED, Metrics())
    assert not is_installed("opentelemetry.exporter.otlp.proto.http")


@pytest.mark.usefixtures("bare")
def test_whoever_asks_for_nothing_needs_nothing() -> None:
    counts = Metrics()
    assert [*extras(Settings())] == []
    assert open_exporter(Otel(), counts) is None
    assert not OTEL_FAMILIES & set(counts.gauges)


def test_with_them_all_is_well_and_counted() -> None:
    counts = Metrics()
    assert [*extras(Settings(otel=ASKED))] == []
    exporter = open_exporter(ASKED, counts)
    assert exporter is not None
    exporter.close()
    assert set(counts.gauges) >= OTEL_FAMILIES
