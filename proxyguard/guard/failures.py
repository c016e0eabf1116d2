"""What is decided when a check fails, or the store that it needs is down."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import FAILURE_RULE, PASS, STORE_RULE, Decision, Reject
from proxyguard.telemetry.audit_sums import CLIENT_GONE

FAILED_OPEN: Final = Decision(action=PASS, rule=FAILURE_RULE, reason="the check failed; failure mode open")

FAILED_CLOSED: Final = Decision(
    action=Reject(status=503, retry_after_seconds=5.0), rule=FAILURE_RULE, reason="the check failed; failure mode closed"
)

STORE_DOWN: Final = Decision(
    action=Reject(status=503, retry_after_seconds=5.0), rule=STORE_RULE, reason="the store is down, and store.on_down is closed"
)

OF_THE_SITE: Final = frozenset({"", CLIENT_GONE})
"""Faults after which the status is still the one that the upstream sent."""

MALFORMED: Final = "client-malformed"
"""What the faults of a request's body count as: `bad_requests` has each by its name."""
