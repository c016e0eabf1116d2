"""What clients are told of a limit: fields for programs, words for people, and the same in every form of answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxyguard.core.address import Address
from proxyguard.core.decision import Decision, EndTime, Quota, Reject
from proxyguard.core.request import Request
from proxyguard.core.units import format_time
from proxyguard.guard.guard import Guard
from proxyguard.guard.interfaces import Ticket
from proxyguard.http.ratelimit_fields import NOUNS, UNITS, ending_text, format_wait, iso_time, limit_text, quota_fields
from proxyguard.http.responses import Pages
from proxyguard.limits.limit import CountKind, Window
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.model import Policy
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.sites import HostTable, Policies
from proxyguard.telemetry.metrics import Metrics
from tests import build

render = Pages().render

JULY = 1_688_493_600.0
"""4 July 2023, 18:00 UTC."""

DAILY = Quota(limit=300, period_seconds=86_400.0, remaining=0, retry_after_seconds=7200.0, name="daily", reset_seconds=7200.0)


def test_fields_are_structured_lists() -> None:
    pages = Quota(10, 60.0, 7, 0.0, "pages", 17.2)
    assert quota_fields(()) == ()
    assert quota_fields((pages, DAILY)) == (
        (b"RateLimit-Policy", b'"pages";q=10;w=60, "daily";q=300;w=86400'),
        (b"RateLimit", b'"pages";r=7;t=18, "daily";r=0;t=7200'),
    )


@pytest.mark.parametrize(
    ("amount", "period", "words"),
    [
        (300, 86_400.0, "300 requests a day"),
        (6000, 86_400.0, "6,000 requests a day"),
        (1, 3600.0, "1 request an hour"),
        (20, 90.0, "20 requests in 90s"),
        (5, 604_800.0, "5 requests a week"),
    ],
)
def test_a_limit_is_said_in_words(amount: int, period: float, words: str) -> None:
    assert limit_text(Quota(amount, period, 0, 0.0)) == words


@pytest.mark.parametrize(
    ("amount", "unit", "words", "field"),
    [
        (10 * 1024**3, "bytes", "10GiB a day", b'"x";q=10737418240;w=86400;qu="content-bytes"'),
        (1, "upstream_seconds", "1 second of the site's work a day", b'"x";q=1;w=86400;qu="upstream-seconds"'),
        (20, "statuses", "20 requests without success a day", b'"x";q=20;w=86400;qu="matching-responses"'),
        (500, "distinct", "500 different requests a day", b'"x";q=500;w=86400;qu="distinct-values"'),
    ],
)
def test_a_limit_says_its_unit(amount: int, unit: str, words: str, field: bytes) -> None:
    quota = Quota(amount, 86_400.0, 0, 0.0, "x", unit=unit)
    assert limit_text(quota) == words
    assert quota_fields((quota,))[0] == (b"RateLimit-Policy", field)


def test_every_kind_of_count_has_its_unit() -> None:
    announced = set(CountKind) - {CountKind.CONCURRENT, CountKind.REFUSALS}  # the parser refuses to announce them
    assert set(UNITS) == announced
    assert {*NOUNS, "bytes"} == announced


def test_an_end_is_said_in_both_ways_and_never_too_early() -> None:
    assert ending_text(EndTime(JULY, 10_800.0)) == "4 July 2023, 18:00 UTC (in 3 hours)"
    assert ending_text(EndTime(JULY + 1, 45.0)) == "4 July 2023, 18:01 UTC (in 45 seconds)"
    assert iso_time(JULY + 0.2) == "2023-07-04T18:00:01Z"


@pytest.mark.parametrize("at", [253_402_300_799.0, 253_402_300_800.0, 1e12])
def test_an_end_that_has_no_date_is_the_last_one_that_has(at: float) -> None:
    """`until: 9999-12-31T23:59:59Z` is rounded up to the next minute."""
    ends = EndTime(at, 60.0)
    assert ending_text(ends) == "31 December 9999, 23:59 UTC (in 60 seconds)"
    assert "9999" in render(Decision(Reject(), "r", restriction="july", ends=ends), "r1", languages=b"de").body.decode()
    assert format_time(at) == "9999-12-31 23:59:59"
    assert format_time(-at) == "1970-01-01 00:00:00"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (119, "119 seconds"), (121, "3 minutes"), (7300, "3 hours"), (200_000, "56 hours"), (300_000, "4 days")],
)
def test_a_wait_is_rounded_up(seconds: int, words: str) -> None:
    assert format_wait(seconds) == words


RESTRICTED = Decision(
    Reject(status=429, message="We are being scraped: for now everybody can read this much."),
    "daily-anonymous",
    quota=DAILY,
    quotas=(DAILY,),
    restriction="daily",
    ends=EndTime(JULY, 3600.0),
)


def test_a_page_says_what_the_limit_is_why_and_when_it_ends() -> None:
    answer = render(RESTRICTED, "00ff", accept=b"text/html")
    page = answer.body.decode()
    assert "<title>This part of the site is limited for a time</title>" in page
    assert "We are being scraped: for now everybody can read this much." in page
    assert "<dt>Limit</dt><dd>300 requests a day</dd>" in page
    assert "<dt>Ends</dt><dd>4 July 2023, 18:00 UTC (in 60 minutes)</dd>" in page
    assert dict(answer.headers)[b"Retry-After"] == b"3600"
    assert dict(answer.headers)[b"RateLimit"] == b'"daily";r=0;t=7200'
    assert "daily-anonymous" not in page


def test_programs_are_told_the_same() -> None:
    assert json.loads(render(RESTRICTED, "00ff", accept=b"application/json").body) == {
        "status": 429,
        "type": "about:blank",
        "title": "This part of the site is limited for a time",
        "detail": "We are being scraped: for now everybody can read this much.",
        "reference": "00ff",
        "retry_after_seconds": 3600,
        "limit": "300 requests a day",
        "ends": "2023-07-04T18:00:00Z",
    }
    assert render(RESTRICTED, "00ff", accept=b"*/*").body.decode().splitlines() == [
        "We are being scraped: for now everybody can read this much.",
        "Limit: 300 requests a day",
        "Ends: 4 July 2023, 18:00 UTC (in 60 minutes)",
        "Reference: 00ff",
    ]


def test_a_limit_that_is_not_announced_is_not_told() -> None:
    plain = Quota(limit=300, period_seconds=86_400.0, remaining=0, retry_after_seconds=7200.0)
    answer = render(Decision(Reject(), "daily", quota=plain), "00ff", accept=b"text/html")
    assert b"300" not in answer.body
    assert [name for name, _ in answer.headers if name.startswith(b"RateLimit")] == []


RULES = """
name: r
rules:
  - {name: pages, when: {path: {prefix: /}}, limit: {rate: 3/minute, announce: true}, action: reject}
  - {name: silent, when: {path: {prefix: /}}, limit: {rate: 9/minute}, action: reject}
"""


def test_every_answer_announces_and_only_what_is_announced(tmp_path: Path) -> None:
    rule_set, problems = parse_rule_set(RULES)
    assert rule_set is not None, problems
    compiled = compile_policy(Policy((rule_set,)), secret=b"x")
    guard = Guard(Policies("d", HostTable([]), compiled), MemoryStore(), Metrics(), None, clock=lambda: JULY)
    tickets = []
    for _ in range(4):
        ticket = guard.check(Request(Address.parse("192.0.2.1"), b"GET", b"https", b"example.org", b"/", ()))
        assert isinstance(ticket, Ticket)
        tickets.append(ticket)
    assert [dict(ticket.forwarding.add)[b"RateLimit"] for ticket in tickets[:3] if ticket.forwarding] == [
        b'"pages";r=2;t=20', b'"pages";r=1;t=40', b'"pages";r=0;t=60',
    ]  # fmt: skip
    refused = tickets[3].decision
    assert refused.ends == EndTime(JULY + 20.0, 20.0)
    answer = render(refused, "00ff", accept=b"text/html")
    assert dict(answer.headers)[b"RateLimit-Policy"] == b'"pages";q=3;w=60'
    assert dict(answer.headers)[b"RateLimit"] == b'"pages";r=0;t=60'
    assert "<dt>Limit</dt><dd>3 requests a minute</dd><dt>Again</dt>" in answer.body.decode()


def test_a_log_is_whole_again_a_period_after_its_last_and_used_up_until_its_first_comes_back() -> None:
    limit = build.limit(2)
    log = type(limit)(2, 60.0, 2, limit.per, window=Window.SLIDING_LOG, announce=True)
    compiled = compile_policy(build.policy(build.rule("log", Reject(), counted=log)), secret=b"x")
    store, quotas = MemoryStore(), list[Quota]()
    for later in (0.0, 10.0, 15.0):
        found = match(compiled, build.request(), JULY + later)
        quotas += decide(found, store.charge(found.charges, found.ban_keys, JULY + later)).decision.quotas
    assert quotas == [
        Quota(2, 60.0, 1, 0.0, "log", 60.0),
        Quota(2, 60.0, 0, 0.0, "log", 60.0),
        Quota(2, 60.0, 0, 45.0, "log", 45.0),
    ]
    assert quota_fields(quotas[2:]) == ((b"RateLimit-Policy", b'"log";q=2;w=60'), (b"RateLimit", b'"log";r=0;t=45'))


def test_a_limit_by_the_calendar_is_whole_again_at_its_edge() -> None:
    limit = build.limit(5)
    daily = type(limit)(5, 86_400.0, 5, limit.per, window=Window.CALENDAR, announce=True)
    compiled = compile_policy(build.policy(build.rule("daily", Reject(), counted=daily)), secret=b"x")
    found = match(compiled, build.request(), JULY)
    decision = decide(found, MemoryStore().charge(found.charges, found.ban_keys, JULY)).decision
    assert decision.quotas == (Quota(5, 86_400.0, 4, 0.0, "daily", 6 * 3600.0),)
