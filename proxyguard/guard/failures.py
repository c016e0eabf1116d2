"""What is decided when a check fails, or the store that it needs is down."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import FAILURE_RULE, PASS, STORE_RULE, Decision, Reject

FAILED_OPEN: Final = Decision(action=PASS, rule=FAILURE_RULE, reason="the check failed; failure mode open")

FAILED_CLOSED: Final = Decision(
    action=Reject(status=503, retry_after_seconds=5.0), rule=FAILURE_RULE, reason="the check failed; failure mode closed"
)

STORE_DOWN: Final = Decision(
    action=Reject(status=503, retry_after_seconds=5.0), rule=STORE_RULE, reason="the store is down, and store.on_down is closed"
)
