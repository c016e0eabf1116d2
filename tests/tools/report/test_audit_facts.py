"""What an audit log says: records, sums, lines that are none, clients by sample, and bounds."""

from __future__ import annotations

import pytest

from proxyguard.tools.report import audit_facts
from proxyguard.tools.report.client_sample import ClientSample
from tests.tools.report.records import FIREFOX, HOUR, NOW, facts_of, passed, record


def test_records_count_in_the_period_that_they_are_of() -> None:
    facts = facts_of(
        record(), record(time=NOW - HOUR), record(time=NOW - HOUR - 1), record(time=NOW - 86_400 - 5), record(time=NOW), passed()
    )
    assert [(period.refused, period.forwarded) for period in facts.periods] == [(2, 1), (1, 0), (1, 0)]
    assert (facts.first, facts.last) == (NOW - 86_400 - 5, NOW)


def test_a_record_of_a_wrong_clock_does_not_stretch_the_log() -> None:
    assert facts_of(record(time=12.0), record()).first == NOW - 60


def test_a_sum_counts_for_its_rule_and_no_client() -> None:
    line = f'{{"time":{NOW - 9},"kind":"summed","rule":"flood","action":"tarpit","count":70,"references":["a"]}}\n'
    facts = facts_of(line.encode(), record(rule="flood"))
    assert dict(facts.rules["flood"].actions) == {"tarpit": 70, "reject": 1}
    assert (facts.summed, facts.periods[0].refused, len([*facts.clients])) == (70, 71, 1)


def test_a_ban_refuses_and_a_fault_without_a_rule_is_named() -> None:
    facts = facts_of(record(action="ban", rule="flood"), record(rule="", fault="target-size"))
    assert {name: dict(counts.actions) for name, counts in facts.rules.items()} == {
        "flood": {"ban": 1}, "fault: target-size": {"reject": 1}
    }  # fmt: skip
    assert facts.periods[0].refused == 2


def test_who_is_sent_for_a_jar_is_neither_refused_nor_let_through() -> None:
    sent = passed(rule="rare-page-without-jar", action="prove", status=303)
    facts = facts_of(*[sent] * 3, record(rule="flood"), passed())
    [client] = facts.clients
    assert (facts.periods[0].refused, client.forwarded, client.as_browser) == (1, 1, 1)
    assert [counts.requests for _, counts in facts.forwarded["clients"].top(5)] == [1]


def test_a_sum_of_faults_is_no_refusal() -> None:
    summed = f'{{"time":{NOW - 9},"kind":"summed","rule":"default","action":"pass","count":9,"fault":"upstream-refused"}}'
    facts = facts_of(summed.encode())
    assert (facts.periods[0].forwarded, facts.periods[0].refused, facts.rules) == (9, 0, {})
    assert facts.faults == {"upstream-refused": 9}


@pytest.mark.parametrize(
    "line",
    [
        b"\n", b"[]", b"null", b"{", b"\xff", b"x" * 300_000, b"[" * 100_000, b'{"time":1e999,"action":"reject"}',
        b'{"time":NaN}', b'{"time":"2026","action":"reject"}', record(bytes_sent=-1), record(bytes_sent=10**30),
        record(upstream_milliseconds=1e300),
        record(path="\ud800"), record(path="/" + "x" * 9000),
        record(action=""), record(kind="other"), b'{"time":1790000000,"kind":"summed","count":-1}',
        record()[:-20],
    ],
)  # fmt: skip
def test_what_is_no_record_is_counted(line: bytes) -> None:
    facts = facts_of(line, record())
    assert (facts.lines, facts.unreadable, facts.periods[0].refused) == (2, 1, 1)


def test_newer_fields_are_read_where_they_are() -> None:
    old = facts_of(record())
    assert (old.knows_agents, old.knows_bytes, old.knows_upstream) == (False, False, False)
    new = facts_of(passed(upstream_milliseconds=12.5), record(user_agent="", bytes_sent=3))
    assert (new.knows_agents, new.knows_bytes, new.knows_upstream) == (True, True, True)
    rows = {key: counts.row for key, counts in new.all["user_agents"].counts.items()}
    assert rows == {FIREFOX: [1, 0, 100, 12_500, 0], "(none)": [1, 1, 3, 0, 0]}


def test_clients_are_the_networks_that_limits_count_by_and_names_stay() -> None:
    facts = facts_of(
        record(client="2001:db8::1"), record(client="2001:db8::2"), record(client="c-0123456789ab"), record(client="?")
    )
    assert {key: counts.requests for key, counts in facts.all["clients"].counts.items()} == {
        "2001:db8::/64": 2,
        "c-0123456789ab": 1,
    }
    assert [*facts.all["networks"].counts] == ["2001:db8::/48"]
    assert facts.rules["http-libraries"].refused == 4


def test_rules_beyond_the_bound_are_counted_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_facts, "MAX_RULES", 2)
    facts = facts_of(*(record(rule=f"rule-{number}") for number in range(5)))
    assert {name: counts.refused for name, counts in facts.rules.items()} == {
        "rule-0": 1,
        "rule-1": 1,
        audit_facts.OTHER_RULES: 3,
    }


def test_a_sample_of_clients_is_bounded_and_fair() -> None:
    sample = ClientSample(b"key", capacity=200)
    for _ in range(2):
        for number in range(10_000):
            kept = sample.of(f"10.0.{number // 256}.{number % 256}")
            if kept is not None:
                kept.refuse("even" if number % 2 else "odd", "ref")
    clients = [*sample]
    assert len(clients) <= 200
    assert 7_000 < len(clients) * sample.scale < 13_000
    assert {sum(client.rules.values()) for client in clients} == {2}
