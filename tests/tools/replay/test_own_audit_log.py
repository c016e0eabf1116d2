"""Our own audit log as a log to replay: what its fields let rules judge, and which of its records are no requests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxyguard.limits.limit import CountKind
from proxyguard.tools.replay.formats.audit import make_audit
from proxyguard.tools.replay.formats.format_type import LogSample
from proxyguard.tools.replay.logged_request import LogFormat, NoRequest, NotAnEntry

OLD: dict[str, Any] = {
    "time": 1783339200.5, "reference": "r", "client": "192.0.2.1", "method": "GET", "host": "a.example", "path": "/a",
    "rule": "no-curl", "action": "reject", "status": 403, "shadow": [], "fault": "",
}  # fmt: skip
NEW = OLD | {
    "http_version": "2", "user_agent": "curl/8.5.0", "referer_host": "news.example", "bytes_sent": 7, "bytes_received": 0,
    "upstream_milliseconds": 250.0, "upstream": "",
}  # fmt: skip


def lines(*records: dict[str, Any]) -> list[bytes]:
    return [json.dumps(record).encode() for record in records]


def log(*records: dict[str, Any]) -> LogFormat:
    found = make_audit(LogSample(lines(*records)))
    assert found is not None
    return found


def test_user_agent_version_bytes_and_time_are_read() -> None:
    found = log(NEW)
    [line] = lines(NEW)
    request = found.parse(line)
    assert dict(request.headers)[b"User-Agent"] == b"curl/8.5.0"
    assert (request.version, request.referer, request.bytes_sent, request.upstream_seconds) == (b"2", True, 7, 0.25)
    assert found.knowledge.headers == frozenset({"user-agent", "host"})
    assert {CountKind.BYTES, CountKind.UPSTREAM_SECONDS} <= found.knowledge.costs


def test_records_of_before_leave_the_user_agent_unknown_rather_than_absent() -> None:
    assert log(OLD, NEW).knowledge.headers == frozenset({"host"})
    assert log(OLD, NEW).knowledge.costs == {CountKind.STATUSES}


def test_a_client_without_a_user_agent_has_none() -> None:
    [line] = lines(NEW | {"user_agent": ""})
    assert b"User-Agent" not in dict(log(NEW).parse(line).headers)


def test_what_no_rule_was_asked_about_is_no_request() -> None:
    [line] = lines(NEW | {"rule": "", "fault": "host-unknown"})
    with pytest.raises(NoRequest):
        log(NEW).parse(line)


def test_a_sum_of_faults_is_named_by_its_fault() -> None:
    found = log(NEW)
    [line] = lines({"time": 1783339200.5, "kind": "summed", "rule": "", "fault": "version", "action": "reject", "count": 366})
    with pytest.raises(NotAnEntry):
        found.parse(line)
    assert found.notes() == ["366 more refusals were summed up in the audit log and have no line each: version 366"]
