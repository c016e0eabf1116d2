"""Audit records: what of a request they hold, and what never."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec

from proxyguard.core.address import Address
from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.core.decision import PASS_BY_DEFAULT, Decision, Delay, Reject, ShadowHit
from proxyguard.core.origin import Origin
from proxyguard.core.printable import printable_json
from proxyguard.core.privacy import Privacy, PrivacyPreset
from proxyguard.core.request import Request
from proxyguard.core.robots import RobotsVerdict, RobotsWord
from proxyguard.guard.interfaces import Refusal, Served, Ticket
from proxyguard.guard.records import DecisionLines, Recorder, refusal_record
from proxyguard.telemetry.audit import MAX_WAITING, AuditLog
from proxyguard.telemetry.audit_records import MAX_TEXT, Record
from proxyguard.telemetry.audit_sums import RefusalSums
from proxyguard.telemetry.discretion import MAX_USER_AGENT, Discretion

SECRET = b"s3cret"

FULL = Discretion(Privacy(preset=PrivacyPreset.FULL), b"key")


def ticket(*headers: tuple[bytes, bytes]) -> Ticket:
    request = Request(Address.parse("192.0.2.1", 7), b"GET", b"https", b"a.example", b"/a?t=" + SECRET, headers, b"2")
    return Ticket(request, PASS_BY_DEFAULT, "r1", 0.0)


def decision_record(ticket: Ticket, served: Served, time: float, discretion: Discretion) -> Record:
    """What the line of a decision says. It is the line that msgspec makes of that, whether its texts are at hand or not."""
    lines = DecisionLines(discretion)
    line = lines.line(ticket, served, time)
    record = msgspec.json.decode(line, type=Record, strict=True)
    assert line == lines.line(ticket, served, time) == printable_json(msgspec.json.encode(record))
    return record


def test_a_record_says_who_how_much_and_how_long_and_which_upstream_failed() -> None:
    found = ticket((b"User-Agent", b"Mozilla/5.0"), (b"Referer", b"https://u:p@News.example:8443/x?q=" + SECRET))
    record = decision_record(found, Served(504, 10, 20, 0.25, 0.5, "upstream-timeout", None, "http://192.0.2.9:80"), 9.0, FULL)
    assert (record.http_version, record.user_agent, record.referer_host) == ("2", "Mozilla/5.0", "news.example")
    assert (record.bytes_sent, record.bytes_received, record.upstream_milliseconds) == (10, 20, 250.0)
    assert (record.fault, record.upstream, record.status) == ("upstream-timeout", "http://192.0.2.9:80", 504)


def test_every_value_of_a_record_is_in_its_place() -> None:
    hits = (ShadowHit("s1", "reject"), ShadowHit("s2", "tarpit"))
    decision = Decision(Delay(1.0), "a-rule", "a reason", 2.5, frozenset(("b", "a", "class:x")), shadow=hits)
    asked = ticket((b"User-Agent", b"Bot/1"), (b"Referer", b"https://news.example/")).request
    found = Ticket(asked, decision, "r1", 0.0, class_="c")
    found.request.origin = Origin("DE", 64500, "owner", claim="googlebot", verified=False)
    found.request.robots = RobotsVerdict(RobotsWord.DISALLOWED, "*", version="v1", classes=(b"search",))
    found.request.connection = facts = ConnectionFacts()
    facts.ja4, facts.kind, facts.http2 = b"t13d", b"chrome", b"1:2"
    served = Served(200, 10, 20, 0.25, 0.5, "a-fault", None, "http://192.0.2.9:80")
    assert decision_record(found, served, 9.0, FULL) == Record(
        time=9.0, reference="r1", client="192.0.2.1", port=7, network="192.0.2.0/24", method="GET", host="a.example", path="/a",
        rule="a-rule", action="delay", mode="shadow", score=2.5, status=200, milliseconds=500.0, reason="a reason", class_="c",
        tags=("a", "b"), shadow=("reject by s1", "tarpit by s2"), fault="a-fault", http_version="2", user_agent="Bot/1",
        referer_host="news.example", bytes_sent=10, bytes_received=20, upstream_milliseconds=250.0,
        upstream="http://192.0.2.9:80", country="DE", asn=64500, identity="googlebot", verified=False, ja4="t13d",
        client_kind="chrome", http2="1:2", robots="*", robots_version="v1",
    )  # fmt: skip


def test_a_record_has_no_secret() -> None:
    found = ticket((b"Cookie", SECRET), (b"Authorization", SECRET), (b"Referer", b"/" + SECRET), (b"X-Api-Key", SECRET))
    assert SECRET not in msgspec.json.encode(decision_record(found, Served(200), 9.0, FULL))


def test_what_a_client_chose_is_cut() -> None:
    record = decision_record(
        ticket((b"User-Agent", b"x" * 9000), (b"Referer", b"https://" + b"y" * 9000)), Served(200), 9.0, FULL
    )
    assert len(record.user_agent) == MAX_USER_AGENT
    assert len(record.referer_host) <= MAX_TEXT


def test_a_refusal_without_a_check_names_no_rule() -> None:
    refusal = Refusal("r2", Address.parse("2001:db8::1", 9), 414, "target-size", b"GET", http_version=b"1.1")
    record = refusal_record(refusal, 9.0, FULL)
    assert (record.rule, record.action, record.status, record.fault) == ("", "reject", 414, "target-size")
    assert (record.client, record.port, record.method, record.host, record.path) == ("2001:db8::1", 9, "GET", "", "")


def test_under_standard_a_record_names_nobody_but_tells_clients_apart_for_a_day() -> None:
    standard = Discretion(Privacy(), b"key")
    headers = ((b"User-Agent", b"Bot (erika@example.com)"), (b"Referer", b"https://203.0.113.8/x"))
    first = decision_record(ticket(*headers), Served(200), 9.0, standard)
    assert (first.client, first.port, first.network) == (standard.pseudonyms.name("192.0.2.1", 9.0), None, "192.0.2.0/24")
    assert (first.user_agent, first.referer_host) == ("Bot ([e-mail])", "[address]")
    assert decision_record(ticket(), Served(200), 10.0, standard).client == first.client
    assert decision_record(ticket(), Served(200), 9.0 + 86_400, standard).client != first.client
    assert standard.find(first.client) == "192.0.2.1"
    assert standard.forget("192.0.2.1") == 2
    assert standard.find(first.client) is None


def test_under_strict_there_is_no_network_and_of_a_path_the_family() -> None:
    strict = Discretion(Privacy(preset=PrivacyPreset.STRICT), b"key")
    request = Request(Address.parse("2001:db8::1"), b"GET", b"https", b"a.example", b"/posts/4711/erika99x", (), b"2")
    record = decision_record(Ticket(request, PASS_BY_DEFAULT, "r1", 0.0), Served(200), 9.0, strict)
    assert (record.network, record.path) == ("", "/posts/*/*")
    assert strict.family("/users/erika") == strict.family("/users/*") == "/users/*"


def test_what_redaction_makes_of_a_text_is_no_longer_than_what_is_kept_of_one() -> None:
    long, standard = "ﷺ".encode() * 300 + b" a@b", Discretion(Privacy(), b"key")
    for text in (standard.path(b"/" + long), standard.host(long), standard.agent(b"a@b " * 64), standard.family("/ﷺ a@b" * 90)):
        assert len(text) <= MAX_TEXT


def test_a_method_that_nobody_knows_is_cut_and_redacted() -> None:
    refusal = Refusal("r2", Address.parse("192.0.2.1"), 405, "method", b"erika@example.com")
    assert refusal_record(refusal, 9.0, Discretion(Privacy(), b"key")).method == "[e-mail]"


def test_what_a_flood_has_beyond_its_bound_is_summed_and_no_record_is_made_of_it(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    audit = AuditLog(str(path), lambda count: None, RefusalSums(20, lambda: None, lambda: 100.0))
    recorder = Recorder(audit, FULL)
    refused = Ticket(ticket().request, Decision(Reject(), rule="no-curl"), "r1", 0.0)
    decided = [recorder.decision(refused, Served(403), 9.0) for _ in range(100)]
    for _ in range(100):
        recorder.refusal(Refusal("r2", Address.parse("192.0.2.1"), 414, "target-size", b"GET"), 9.0)
    assert decided == [True] * 20 + [False] * 80
    assert recorder.decision(ticket(), Served(200), 9.0), "who passes is no part of a flood"
    audit.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    sums = {(line["rule"], line.get("fault", "")): line["count"] for line in lines if line.get("kind") == "summed"}
    assert sums == {("no-curl", ""): 80, ("", "target-size"): 90}
    assert len(lines) == audit.recorded + len(sums) == 20 + 10 + 1 + 2


def test_a_record_that_finds_no_room_is_none(tmp_path: Path) -> None:
    """Nothing may refer to it: no exemplar, and no entry of the sealed log."""
    os.mkfifo(tmp_path / "audit.log")  # nobody reads it
    lost: list[int] = []
    audit = AuditLog(str(tmp_path / "audit.log"), lost.append)
    recorder = Recorder(audit, FULL)
    assert all(recorder.decision(ticket(), Served(200), 9.0) for _ in range(MAX_WAITING))
    assert not recorder.decision(ticket(), Served(200), 9.0)
    assert lost == [1]
    audit.close()
