"""Settings that need libraries which are not installed by default."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from proxyguard.core.settings import Settings
from proxyguard.instance.preflight.concern import Concern


def extras(settings: Settings) -> Iterator[Concern]:
    """The collector of OpenTelemetry without its libraries."""
    if settings.otel.endpoint is not None and not is_installed("opentelemetry.exporter.otlp.proto.http"):
        yield Concern("otel.endpoint", "otel.endpoint needs the libraries of OpenTelemetry", "pip install 'proxyguard[otel]'")


def is_installed(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return find_spec(module) is not None
    except ImportError:
        return False
