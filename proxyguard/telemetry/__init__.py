"""Telemetry for operators: the audit log, metrics, shadow tallies."""
