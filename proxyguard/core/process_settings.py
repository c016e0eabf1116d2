"""Settings about the processes of an instance: when a worker is replaced, and where traces and metrics are sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycle:
    """When a worker of several is replaced by a fresh one; None: never. The old one finishes its requests."""

    age_seconds: float | None = None
    memory_bytes: int | None = None
    """Resident memory, looked at every few seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Otel:
    """OpenTelemetry: what is sent to which collector."""

    endpoint: str | None = None
    """Where it takes OTLP over HTTP, such as `http://127.0.0.1:4318`; None: no request is looked at for it."""
    traces: float = 0.0
    """The share (0 to 1) of requests that a span is made of."""
    metrics_seconds: float | None = 30.0
    """Between two times that metrics are sent; None: never."""
