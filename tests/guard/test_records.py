"""Audit records: what of a request they hold, and what never."""

from __future__ import annotations

import msgspec

from proxyguard.core.address import Address
from proxyguard.core.decision import PASS_BY_DEFAULT
from proxyguard.core.request import Request
from proxyguard.guard.interfaces import Refusal, Served, Ticket
from proxyguard.guard.records import MAX_USER_AGENT, decision_record, refusal_record
from proxyguard.telemetry.audit import MAX_TEXT

SECRET = b"s3cret"


def ticket(*headers: tuple[bytes, bytes]) -> Ticket:
    request = Request(Address.parse("192.0.2.1", 7), b"GET", b"https", b"a.example", b"/a?t=" + SECRET, headers, b"2")
    return Ticket(request, PASS_BY_DEFAULT, "r1", 0.0)


def test_a_record_says_who_how_much_and_how_long_and_which_upstream_failed() -> None:
    found = ticket((b"User-Agent", b"Mozilla/5.0"), (b"Referer", b"https://u:p@News.example:8443/x?q=" + SECRET))
    record = decision_record(found, Served(504, 10, 20, 0.25, 0.5, "upstream-timeout", None, "http://192.0.2.9:80"), 9.0)
    assert (record.http_version, record.user_agent, record.referer_host) == ("2", "Mozilla/5.0", "news.example")
    assert (record.bytes_sent, record.bytes_received, record.upstream_milliseconds) == (10, 20, 250.0)
    assert (record.fault, record.upstream, record.status) == ("upstream-timeout", "http://192.0.2.9:80", 504)


def test_a_record_has_no_secret() -> None:
    found = ticket((b"Cookie", SECRET), (b"Authorization", SECRET), (b"Referer", b"/" + SECRET), (b"X-Api-Key", SECRET))
    assert SECRET not in msgspec.json.encode(decision_record(found, Served(200), 9.0))


def test_what_a_client_chose_is_cut() -> None:
    record = decision_record(ticket((b"User-Agent", b"x" * 9000), (b"Referer", b"https://" + b"y" * 9000)), Served(200), 9.0)
    assert len(record.user_agent) == MAX_USER_AGENT
    assert len(record.referer_host) <= MAX_TEXT


def test_a_refusal_without_a_check_names_no_rule() -> None:
    refusal = Refusal("r2", Address.parse("2001:db8::1", 9), 414, "target-size", b"GET", http_version=b"1.1")
    record = refusal_record(refusal, 9.0)
    assert (record.rule, record.action, record.status, record.fault) == ("", "reject", 414, "target-size")
    assert (record.client, record.port, record.method, record.host, record.path) == ("2001:db8::1", 9, "GET", "", "")
