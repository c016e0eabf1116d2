"""The last audit records of a process, cut and with pseudonyms, for whoever watches. Knows nothing of who that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.audit_records import Record

MAX_PATH: Final = 200
MAX_USER_AGENT: Final = 160
MAX_REASON: Final = 200
"""Characters that are shown."""

_decode: Final = msgspec.json.Decoder(Record).decode


def records_since(audit: AuditLog, mark: int, name: Callable[[str], str]) -> tuple[list[dict[str, Any]], int]:
    """The records after the first `mark`, and how many of these are no longer kept. `name` gives clients their pseudonyms."""
    fresh = audit.recorded - mark if 0 <= mark <= audit.recorded else audit.recorded
    kept = list(audit.recent)[-fresh:] if fresh else []
    return [_shown(_decode(line), name) for line in kept], fresh - len(kept) if mark else 0


def _shown(record: Record, name: Callable[[str], str]) -> dict[str, Any]:
    return {
        "time": record.time,
        "reference": record.reference,
        "client": name(record.client),
        "method": record.method[:20],
        "host": record.host[:100],
        "path": record.path[:MAX_PATH],
        "rule": record.rule,
        "action": record.action,
        "mode": str(record.mode),
        "status": record.status,
        "milliseconds": record.milliseconds,
        "reason": record.reason[:MAX_REASON],
        "user_agent": record.user_agent[:MAX_USER_AGENT],
        "fault": record.fault,
        "shadow": list(record.shadow)[:8],
    }
