"""OpenTelemetry: the trace context that passes through, spans of requests, and their way to a collector with the metrics."""
