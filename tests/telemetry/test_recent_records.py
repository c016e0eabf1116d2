"""What the live feed is told: what is new, bounded, with pseudonyms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from proxyguard.telemetry.audit import MAX_RECENT, AuditLog
from proxyguard.telemetry.audit_records import Record
from proxyguard.telemetry.recent_records import MAX_PATH, records_since


def record(number: int, **more: Any) -> Record:
    values: dict[str, Any] = {
        "time": float(number), "reference": f"r{number}", "client": "192.0.2.7", "port": 4711, "method": "GET", "host": "h",
        "path": "/", "rule": "x", "action": "reject", "mode": "enforce", "score": 0.0, "status": 403, "milliseconds": 0.1,
    }  # fmt: skip
    return Record(**{**values, **more})


def name(client: str) -> str:
    return f"<{client[-1]}>"


def test_only_what_is_new_and_what_was_missed(tmp_path: Path) -> None:
    audit = AuditLog(str(tmp_path / "audit.jsonl"), lambda _: None)
    assert records_since(audit, 0, name) == ([], 0)
    for number in range(3):
        audit.write(record(number))
    found, missed = records_since(audit, 1, name)
    assert ([each["reference"] for each in found], missed) == (["r1", "r2"], 0)
    assert records_since(audit, 3, name) == ([], 0)
    for number in range(3, MAX_RECENT + 13):
        audit.write(record(number))
    found, missed = records_since(audit, 3, name)
    assert (len(found), missed, found[-1]["reference"]) == (MAX_RECENT, 10, f"r{MAX_RECENT + 12}")
    assert len(records_since(audit, 10**9, name)[0]) == MAX_RECENT, "a mark of before a restart"
    audit.close()


def test_no_address_no_port_and_no_more_of_a_text_than_is_shown(tmp_path: Path) -> None:
    audit = AuditLog(str(tmp_path / "audit.jsonl"), lambda _: None)
    audit.write(record(1, path="/" + "a" * 1000, user_agent="b" * 256, reason="c" * 500))
    [[shown], _] = records_since(audit, 0, name)
    assert "192.0.2.7" not in str(shown)
    assert "port" not in shown
    assert (len(shown["path"]), len(shown["user_agent"]), len(shown["reason"])) == (MAX_PATH, 160, 200)
    audit.close()
