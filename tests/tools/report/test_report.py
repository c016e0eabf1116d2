"""The answers and the commands of a report, from an instance, a log, and both; and how they are shown."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from proxyguard.core.address import Prefixes
from proxyguard.tools.report.agent_kind import agent_kind
from proxyguard.tools.report.audit_facts import AuditFacts
from proxyguard.tools.report.html import html_page
from proxyguard.tools.report.rates import rates_of
from proxyguard.tools.report.sources import ReportSources
from proxyguard.tools.report.text import text_report
from tests.tools.report.records import FIREFOX, HOUR, NOW, commands, instance, passed, record, report_of, row

QUIET = "nothing stands out: neither many refusals nor much more than before"

THIS = int(NOW // 60 * 60)


def minutes(requests: int, refused: int, hours_ago: int = 0) -> list[list[int]]:
    """An hour of a history."""
    end = THIS - hours_ago * 3600
    return [[end - 60 * ago, requests, refused, 0, 0] for ago in range(59, -1, -1)]


@pytest.mark.parametrize(
    ("history", "uptime", "unusual", "summary"),
    [
        (minutes(10, 3), HOUR, True, "30% of the requests of the last 1h were refused"),
        (minutes(10, 0, 1) + minutes(25, 0), 2 * HOUR, True, "1,510 requests in the last 1h, 2.5 times those of the 1h before"),
        (minutes(1, 0, 24) + minutes(10, 0, 1) + minutes(10, 0), 26 * HOUR, True,
         "610 requests in the last 1h, 10.1 times those of the same time a day before"),
        (minutes(10, 0, 1) + minutes(12, 0), 2 * HOUR, False, QUIET),
        (minutes(0, 0, 1) + minutes(1, 0), 2 * HOUR, False, QUIET),
        (minutes(10, 0), HOUR, None, "there is nothing from before to compare with"),
    ],
)  # fmt: skip
def test_is_something_going_on(history: list[list[int]], uptime: float, unusual: bool | None, summary: str) -> None:
    rates = report_of(answers=instance(history, uptime)).rates
    assert (rates.unusual, rates.summary) == (unusual, summary)


def test_what_was_not_seen_is_not_zero() -> None:
    now, before, _ = report_of(answers=instance(minutes(10, 0), HOUR / 2)).rates.periods
    assert (now.requests, round(now.seconds)) == (600, 1800)
    assert (before.requests, before.requests_per_second, before.seconds) == (None, None, 0.0)
    alone = report_of(record(time=NOW - 1.5 * HOUR), record()).rates.periods
    assert [(period.requests, period.refused, period.seconds) for period in alone] == [
        (None, 1, 3600.0), (None, 1, 1800.0), (None, None, 0.0)
    ]  # fmt: skip


def test_what_is_longer_than_a_day_is_not_compared_with_itself() -> None:
    facts = AuditFacts(NOW, 2 * 86_400.0, Prefixes(), b"key")
    for line in (record(time=NOW - 9 * 86_400), record()):
        facts.add(line)
    for answers in (None, instance(minutes(10, 0), 90_000)):
        periods = rates_of(ReportSources(now=NOW, seconds=2 * 86_400.0, instance=answers, audit=facts)).periods
        assert (periods[0].refused, periods[2].refused) == (0 if answers else 1, None)


def test_the_picture_has_every_request_of_the_time() -> None:
    rates = report_of(answers=instance(minutes(10, 3, 1) + minutes(10, 3), 2 * HOUR)).rates
    assert (len(rates.columns), rates.column_seconds) == (60, 60.0)
    assert [sum(column) for column in zip(*rates.columns, strict=True)] == [7 * 61, 3 * 61]  # the first minute began before
    assert rates.columns[-1] == [7, 3]


def test_refusals_by_rule_with_their_clients() -> None:
    lines = [record(client=f"192.0.2.{number}") for number in range(5)] + [record(client="192.0.2.1", bytes_sent=7)]
    [rule] = report_of(*lines).stopped.rules
    assert (rule.requests, rule.clients, rule.once, rule.bytes, rule.actions) == (6, 5, 4, 7, {"reject": 6})


def test_what_rules_in_shadow_would_have_done() -> None:
    report = report_of(*[passed(shadow=["reject by page-reading"])] * 3, record())
    assert report.stopped.shadow == {"reject by page-reading": 3}
    assert "would have stopped: (reject by page-reading 3)\n" in text_report(report)


def test_an_address_without_a_name_is_not_shown() -> None:
    shown = text_report(report_of(record(client="192.0.2.77"), passed(client="c-0123456789ab")))
    assert "192.0.2.77" not in shown
    assert "c-0123456789ab" in shown


def test_without_a_log_the_tallies_say_what_was_stopped() -> None:
    answers = instance(refused=400, rules=[row("a", 300, 0), row("b", 400, 400)])
    report = report_of(answers=answers)
    assert [(rule.rule, rule.requests, rule.clients) for rule in report.stopped.rules] == [("b", 400, None)]
    assert (report.through.requests, report.through.without_rule_share) == (600, 0.5)


def test_who_gets_through_is_ranked_by_what_got_through() -> None:
    agents = [row("curl/8", 500, 490), row(FIREFOX, 100)]
    through = report_of(answers=instance(user_agents=agents)).through
    assert [(each.name, each.requests) for each in through.busiest.user_agents] == [(FIREFOX, 100), ("curl/8", 10)]
    assert [(kind.kind, kind.requests) for kind in through.kinds] == [("browsers", 100), ("libraries and tools", 10)]


@pytest.mark.parametrize(
    ("agent", "kind"),
    [
        (FIREFOX, "browsers"), ("curl/8.5.0", "libraries and tools"), ("Scrapy/2.11 (+https://scrapy.org)", "robots that say so"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "robots that say so"), ("", "none sent"),
        ("(none)", "none sent"), ("my own thing", "others"), ("NetNewsWire (RSS Feed Reader)", "robots that say so"),
    ],
)  # fmt: skip
def test_kinds_of_user_agents(agent: str, kind: str) -> None:
    assert agent_kind(agent) == kind


def people(lines: list[bytes]) -> dict[str, int | None]:
    return {figure.name.split()[-1]: figure.value for figure in report_of(*lines, answers=instance()).people}


def test_who_is_refused_first_and_then_a_limit_is_not_a_person_who_mostly_passes() -> None:
    bot = [passed(client="192.0.2.1")] * 5 + [record(client="192.0.2.1", user_agent=FIREFOX)] * 20
    person = [passed(client="192.0.2.2")] * 9 + [record(client="192.0.2.2", user_agent=FIREFOX)] * 2
    assert people(bot)["agent"] == 0
    assert people(bot + person)["agent"] == 1
    assert people([record()])["agent"] is None


def test_hurt_people_come_first_and_only_much_hurt_asks_to_demote() -> None:
    one = report_of(*[record()] * 200, record(**{"class": "member", "reference": "abc1"}))
    assert commands(one) == ["proxyguard explain --reference abc1"]
    many = report_of(*[record()] * 50, record(**{"class": "member", "reference": "abc1"}), record())
    assert commands(many) == ["proxyguard explain --reference abc1", "proxyguard demote http-libraries"]
    lines = [line for number in range(3) for line in (passed(client=f"192.0.2.{number}"), record(client=f"192.0.2.{number}"))]
    assert "proxyguard demote http-libraries" in commands(report_of(*lines))


def test_names_of_decisions_that_are_no_rules_are_not_demoted() -> None:
    lines = [record(rule=rule, **{"class": "member"}) for rule in ("operator", "failure-mode", "; rm -rf /", "--help", "x" * 500)]
    assert not any("demote" in each for each in commands(report_of(*lines)))


def test_commands_for_who_gets_through() -> None:
    answers = instance(
        requests=1000, refused=200,
        clients=[row("c-0123456789ab", 300), row("c-1123456789ab", 200, 200), row("192.0.2.1", 400)],
        paths=[row("/profiles/*", 600), row("/static/site.css", 300), row("/*/*", 300)],
        user_agents=[row(FIREFOX, 900), row("curl/8'; touch x; '", 100), row("\x1b[31mcurl", 100), row("(none)", 100)],
    )  # fmt: skip
    assert commands(report_of(answers=answers)) == [
        "proxyguard bans add c-0123456789ab --for 1h",
        "proxyguard restrict preview --class anonymous=60/hour --path-prefix /profiles/",
        "proxyguard bans add c-1123456789ab --for 1h --then drop",
        "proxyguard explain --user-agent=" + shlex.quote("curl/8'; touch x; '"),
        "proxyguard explain --user-agent=",
    ]


def test_a_quiet_site_needs_nothing() -> None:
    answers = instance(requests=50, clients=[row("c-0123456789ab", 50)], paths=[row("/profiles/*", 50)])
    assert commands(report_of(answers=answers)) == ["proxyguard top"]


def test_what_shadow_rules_and_health_ask_for() -> None:
    answers = instance()
    met = {"rule": "pages-per-minute", "requests": 20, "clients": 4, "protected_clients": 0}
    answers.shadow["rules"] = [met, {**met, "rule": "few", "requests": 19}, {**met, "rule": "hurts", "protected_clients": 1}]
    answers.status["upstreams"] = [{"upstream": "http://site:9000", "address": "10.0.0.2:9000", "state": "unreachable"}]
    report = report_of(answers=answers)
    assert commands(report) == ["proxyguard status", "proxyguard promote pages-per-minute --dry-run"]
    assert report.health.troubles == ["upstream 10.0.0.2:9000 is unreachable"]


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        ({"ready": False}, "the instance is not ready to serve"),
        ({"mode": "shadow"}, "the mode of the instance is shadow: nothing is refused"),
        ({"shadow": {"until": NOW}}, "nothing acts: the shadow switch is on"),
        ({"store": {"up": False, "since": NOW}}, "the store does not answer"),
        ({"upstream_errors_last_minute": 4}, "4 faults of the upstream in the last minute"),
        ({"certificates": ["ends 2026-07-06 00:00:00 UTC", "ENDED 2026-07-04 00:00:00 UTC"]},
         "a certificate ENDED 2026-07-04 00:00:00 UTC"),
        ({"audit": {"waiting": 116, "lost": 0, "trouble": "No space left on device"}},
         "the audit log is not written: No space left on device; 116 records wait"),
        ({"audit": {"waiting": 0, "lost": 1}}, "1 record of the audit log is lost"),
        ({"restarts": 2}, "2 workers died since the start: what they had seen is missing from rates and lists"),
        ({"internal_errors": {"check": 2, "settle": 0}}, "faults of ours: check 2"),
        ({"reload": {"result": "refused; the rules of before stay in force"}},
         "the last reload of the rules: refused; the rules of before stay in force"),
    ],
)  # fmt: skip
def test_troubles_of_an_instance(status: dict[str, Any], trouble: str) -> None:
    answers = instance()
    answers.status.update({"store": {"up": True}, "reload": {"result": "applied"}, **status})
    assert report_of(answers=answers).health.troubles == [trouble]


def test_troubles_that_a_log_shows() -> None:
    lines = [passed(fault="upstream-refused")] * 2 + [passed(fault="client-gone"), record(rule="store-down")]
    assert report_of(*lines).health.troubles == [
        "at least 2 forwarded requests ended with upstream-refused",
        "1 refusal by store-down",
    ]


def test_what_could_not_be_seen_is_said() -> None:
    line = f'{{"time":{NOW - 9},"kind":"summed","rule":"flood","action":"reject","count":70}}\n'.encode()
    notes = "\n".join(report_of(line, b"{", passed()).notes)
    for said in (
        "70 records were summed",
        "1 line of the audit log could not be read",
        "1 plain pass",
        "without a running instance",
    ):
        assert said in notes
    assert "without an audit log" in "\n".join(report_of(answers=instance()).notes)


HOSTILE: Any = {"user_agent": "\x1b[31m<script>alert(1)</script>\u202e\n", "path": "/<b>/\x07", "rule": "<i>\x1b]0;x\x07"}


def test_nothing_that_a_stranger_chose_is_shown_raw() -> None:
    report = report_of(*[record(**HOSTILE), passed(**HOSTILE)] * 200)
    text, page = text_report(report), html_page(report)
    for shown in (text, page):
        assert not any(raw in shown for raw in ("\x1b", "\x07", "\u202e"))
    assert not any(tag in page for tag in ("<script", "<b>/", "<i>\\x1b"))
    assert "default-src 'none'" in page


def test_the_text_has_a_block_for_each_question() -> None:
    text = text_report(report_of(*[record()] * 3, passed(), answers=instance(minutes(10, 3), HOUR)))
    blocks = [line.split(" (")[0] for line in text.splitlines() if line and not line.startswith(" ")][1:]
    assert blocks == [
        "Is something going on?", "Who?", "What was stopped? 3 requests of 1 client", "Who gets through?", "Are people hurt?",
        "Health", "What to do next", "What this report could not see",
    ]  # fmt: skip
    assert "  yes: 30% of the requests of the last 1h were refused\n" in text
