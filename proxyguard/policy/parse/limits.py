"""Limits: the `limit` of a rule, from nodes to the value. Knows nothing of how limits are counted."""

from __future__ import annotations

import re
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

from proxyguard.core.problems import Fault, Report, nearest, quoted
from proxyguard.core.units import UNIT_BYTES, UNIT_SECONDS, duration_text, parse_duration
from proxyguard.core.yaml.kinds import (
    DURATION_PATTERN,
    RAW,
    TRUTH,
    Found,
    Key,
    KeyTable,
    Kind,
    filled,
    number,
    one_or_more,
    plain,
    whole,
    word,
)
from proxyguard.core.yaml.nodes import Node, Scalar
from proxyguard.core.yaml.values import Reported, read_choice, read_integer, read_scalar
from proxyguard.limits.calendar_window import is_calendar_period
from proxyguard.limits.limit import (
    LEASE_SECONDS,
    REQUESTS,
    Ambiguous,
    Count,
    CountKind,
    KeyKind,
    KeyPart,
    Learned,
    Limit,
    Missing,
    Window,
)
from proxyguard.limits.sliding_log import MAX_AMOUNT as MAX_LOGGED
from proxyguard.policy.meant import meant
from proxyguard.policy.parse.counts import COUNT, MAX_AMOUNT, MAX_AMOUNTS, NOUNS, RATE_HINT, RATE_HINTS, amount_of, unit_hint
from proxyguard.policy.parse.keys import PART_SCHEMA, read_per
from proxyguard.policy.parse.parsed_file import ParsedFile

MAX_PERIOD_SECONDS: Final = 31 * 86_400
"""A month; counters are kept in memory for about that long."""
MIN_PERIOD_SECONDS: Final = 0.1

MAX_CONCURRENT: Final = 1_000_000

PERIODS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}

_RATE: Final = re.compile(r"(\d{1,15}(?:[A-Za-z]{1,3})?)/([a-z0-9.]{1,20})", re.ASCII)

_TIME_ZONE: Final = re.compile(r"[A-Za-z0-9_+-]{1,30}(/[A-Za-z0-9_+-]{1,30}){0,2}", re.ASCII)

_SLIP_OF_A_ZONE: Final = 0.88
"""How alike a name without a place must be to be meant: CEST is not EST, which is six hours off."""

_CALENDAR_HINT: Final = "a calendar has minutes, hours, days, weeks and whole parts of a day: 500/6h, 1000/day, 5000/7d"


_AT_ONCE: Final[dict[Window | None, str]] = {Window.CALENDAR: "by the calendar", Window.SLIDING_LOG: "that keeps a log"}
"""What a limit is called by whose window all of it may be used at once."""

_LOGGED: Final = (CountKind.REQUESTS, CountKind.STATUSES, CountKind.REFUSALS)
"""What a log can count: units that are one at a time."""

_MEANT_WINDOW: Final = meant("window")

_EXAMPLE: Final = "limit: {rate: 10/minute, burst: 5, per: [client]}"

_LEARNED_EXAMPLE: Final = "learned: {times: 2, at_most: 1500}"

_LEARNED_HINT: Final = (
    "days, by key: {rate: 200/day, window: calendar, …}; hours, of all: {rate: 100/hour, window: calendar, per: [site], …}, "
    "or per asn, country, network_kind, claimed_kind or client_kind"
)

_CELLS: Final = frozenset({"asn", "country", "network_kind", "claimed_kind", "client_kind"})
"""Parts of a key that divide a site's traffic into cells that are learned by the hour: nobody's own, and few."""

_LEARNED: Final = (CountKind.REQUESTS, CountKind.DISTINCT)

MOST_TIMES: Final = 10.0

_DEFAULT_PER: Final = (KeyPart(KeyKind.CLIENT),)


def read_limit(node: Node, report: Report, _subject: str = "limit", around: Any = None) -> Limit:
    """A mapping with `rate` and perhaps `burst`, `per` and `missing`. What it needs of other files is noted in `around`."""
    limit = _limit(node, report, around)
    if around is not None:
        _note_parts(limit, node, around.parsed)
    return limit


def _note_parts(limit: Limit, node: Node, parsed: ParsedFile) -> None:
    """Note what some file must define for the parts of the key: accounts and items."""
    of = limit.count.of
    for use, part in (*(("per", part) for part in limit.per), *((("distinct", of),) if of else ())):
        if part.kind == KeyKind.ACCOUNT:
            parsed.account_uses.append((f"{use}: account", node.line, node.column))
        elif part.kind == KeyKind.ITEM:
            parsed.item_uses.append((f"{use}: item", node.line, node.column))


def _limit(node: Node, report: Report, around: Any) -> Limit:
    hint = ""
    if isinstance(node, Scalar) and _RATE.fullmatch(node.text):
        hint = f"did you mean limit: {{rate: {node.text}}}?"
    found = LIMIT.read(node, report, around, hint=hint)
    if "concurrent" in found.nodes:
        return _concurrent(found)
    if "rate" not in found.nodes:
        found.complain("rate", "the limit has no rate", _EXAMPLE)
    count: Count | None = found.get("count", REQUESTS)
    if count is None:
        _check_window(found, REQUESTS, 0, None)
        raise Reported
    rate = found.read("rate", lambda node: read_rate(node, count)) or (0, None)
    window = _check_window(found, count, *rate)
    if count.kind is CountKind.REFUSALS and found.get("announce", False):
        found.complain("announce", "refusals are not announced", "announce the limit whose refusals they are")
    burst = found.read("burst", lambda node: read_burst(node, count, window)) or rate[0]
    _check_learned(found, count, rate, window)
    return found.fill(Limit, amount=rate[0], period_seconds=rate[1], burst=burst, per=found.get("per", _DEFAULT_PER))


def _concurrent(found: Found) -> Limit:
    """A limit on requests under way: nothing of what a rate has makes sense for it."""
    for key in ("rate", "burst", "count", "window", "time_zone", "learned", "announce"):
        if key in found.nodes:
            hint = "it says how many may be under way at a time; a second rule may have a rate"
            found.complain(key, f"{key} has no meaning for a limit with concurrent", hint)
    amount = found.get("concurrent")
    count = Count(CountKind.CONCURRENT)
    per = found.get("per", _DEFAULT_PER)
    return found.fill(Limit, amount=amount, period_seconds=LEASE_SECONDS, burst=amount, count=count, per=per)


def read_burst(node: Node, count: Count, window: Window | None) -> int:
    """In units of what is counted."""
    if count.kind is CountKind.DISTINCT or window in _AT_ONCE:
        what = "on distinct values" if count.kind is CountKind.DISTINCT else _AT_ONCE.get(window, "")
        raise Fault(f"burst has no meaning for a limit {what}", "all of it may be used at once: leave it out")
    if count.kind not in RATE_HINTS:
        return read_integer(node, "burst", 1, MAX_AMOUNT)
    hint = RATE_HINTS[count.kind].partition(" and")[0] + ": " + RATE_HINTS[count.kind].partition(": ")[2].partition("/")[0]
    text = read_scalar(node, "burst", "an amount", hint)
    try:
        amount = amount_of(text, count)
    except ValueError:
        raise Fault(f"burst cannot be {quoted(text)}", unit_hint(text, count) or hint) from None
    most = MAX_AMOUNTS.get(count.kind, MAX_AMOUNT)
    if not 1 <= amount <= most:
        raise Fault(f"burst is {amount} {NOUNS[count.kind]}", f"from 1 to {most}")
    return amount


def _check_window(found: Found, count: Count, amount: int, period_seconds: float | None) -> Window | None:
    """The window, when it goes together with what is counted, the rate and the time zone."""
    window: Window | None = found.get("window", Window.SLIDING)
    if window is not Window.CALENDAR and window is not None and "time_zone" in found.nodes:
        hint = "window: calendar; a sliding window begins with the first request"
        found.complain("time_zone", "time_zone stands without a calendar", hint)
    if window is Window.SLIDING_LOG and count.kind not in _LOGGED:
        hint = "leave window out" if count.kind is CountKind.DISTINCT else "window: sliding, or calendar"
        found.complain("window", f"a sliding log counts requests or responses one by one, not {NOUNS[count.kind]}", hint)
    elif window is not None and period_seconds is not None:
        fault = fault_of_window(window, amount, period_seconds)
        if fault is not None:
            found.complain("window", fault.message, fault.hint)
            return None
    return window


def fault_of_window(window: Window, amount: int, period_seconds: float) -> Fault | None:
    """What keeps a window from having a rate."""
    period = duration_text(period_seconds)
    if window is Window.CALENDAR and not is_calendar_period(period_seconds):
        return Fault(f"no calendar has windows of {period}", _CALENDAR_HINT)
    if window is Window.SLIDING_LOG and amount > MAX_LOGGED:
        hint = f"without window, rate: {amount // 2}/{period} lets at most {amount} through within any {period} as well"
        return Fault(f"a sliding log keeps the time of each, at most {MAX_LOGGED}, not {amount}", hint)
    return None


def _check_learned(found: Found, count: Count, rate: tuple[int, float | None], window: Window | None) -> None:
    """What a limit that follows earlier days needs: a count of each day by key, or the whole site's by the hour."""
    learned: Learned | None = found.get("learned")
    amount, period_seconds = rate
    per: tuple[KeyPart, ...] | None = found.get("per", _DEFAULT_PER)
    if learned is None or period_seconds is None or window is None or per is None:
        return
    has_cells = all(part.kind in _CELLS for part in per) and found.get("missing") is not Missing.SEPARATE
    by_hour = has_cells or [part.kind for part in per] == [KeyKind.SITE]
    is_known = period_seconds == PERIODS["day"] or (period_seconds == PERIODS["hour"] and by_hour)
    if not (is_known and window is Window.CALENDAR and count.kind in _LEARNED):
        found.complain("learned", "there is nothing that this limit could learn of", _LEARNED_HINT)
        return
    unfit = fault_of_learned(learned, amount)
    if unfit is not None:
        found.complain("learned", unfit.message, unfit.hint)


def fault_of_learned(learned: Learned, amount: int) -> Fault | None:
    """What is wrong with the bounds of a limit that learns and begins with an amount."""
    if learned.at_most < amount:
        return Fault(f"learned.at_most is {learned.at_most}, less than the rate", f"from {amount} on")
    if learned.until_known and not amount <= learned.until_known <= learned.at_most:
        message = f"learned.until_known is {learned.until_known}, not between the rate and at_most"
        return Fault(message, f"from {amount} to {learned.at_most}")
    return None


def _window(node: Node, subject: str) -> Window:
    if isinstance(node, Scalar) and _period(node.text) is not None:
        raise Fault(f"window cannot be {quoted(node.text)}", f"the period is part of the rate: {RATE_HINT}")
    return Window(read_choice(node, subject, tuple(Window), _MEANT_WINDOW))


def _zone(node: Node, _subject: str) -> str:
    hint = "a name of the tz database, such as UTC or Europe/Berlin"
    name = read_scalar(node, "time_zone", "a name", hint)
    try:
        if _TIME_ZONE.fullmatch(name):
            ZoneInfo(name)
            return name
    except (LookupError, ValueError, OSError):
        pass  # there is no such zone, or it is a folder of zones
    zones = available_timezones()
    places = [zone for zone in zones if "/" in zone]
    if any(zone.startswith(f"{name}/") for zone in places):
        close = None
    else:
        close = nearest(name, zones - {*places}, _SLIP_OF_A_ZONE) or nearest(name, places)
    raise Fault(f"there is no time zone {quoted(name)}", f"did you mean {quoted(close)}?" if close else hint)


def read_rate(node: Node, count: Count) -> tuple[int, float]:
    hint = RATE_HINTS.get(count.kind, RATE_HINT)
    text = read_scalar(node, "rate", hint.partition(":")[0], hint)
    match = _RATE.fullmatch(text)
    if match is None:
        raise Fault(f"rate cannot be {quoted(text)}", _rate_hint(text, hint))
    try:
        amount = amount_of(match[1], count)
    except ValueError:
        raise Fault(f"rate cannot be {quoted(text)}", unit_hint(match[1], count) or _rate_hint(text, hint)) from None
    seconds = _period(match[2])
    if seconds is None:
        raise Fault(f"rate has the unknown period {quoted(match[2])}", _rate_hint(text, hint))
    if not MIN_PERIOD_SECONDS <= seconds <= MAX_PERIOD_SECONDS:
        hint = f"from {duration_text(MIN_PERIOD_SECONDS)} to {duration_text(MAX_PERIOD_SECONDS)}"
        raise Fault(f"rate has a period of {match[2]}", hint)
    most = MAX_AMOUNTS.get(count.kind, MAX_AMOUNT)
    if not 1 <= amount <= most:
        hint = "to refuse every request, leave the limit out" if amount == 0 else f"at most {most}"
        raise Fault(f"rate allows {amount} {NOUNS[count.kind]}", hint)
    return amount, seconds


def _period(text: str) -> float | None:
    if text in PERIODS:
        return PERIODS[text]
    try:
        return parse_duration(text)
    except ValueError:
        return None


_LOOSE_RATE: Final = re.compile(r"(\d{1,15})\s*(?:(?:/|per|every|r/|req/)\s*(\d{0,6}))?\s*([a-z]*)", re.ASCII | re.IGNORECASE)
_LOOSE_PERIODS: Final = {**{name: (1, name[0]) for name in PERIODS}, "week": (7, "d"), "month": (30, "d")}


def _rate_hint(text: str, otherwise: str) -> str:
    loose = _LOOSE_RATE.fullmatch(text.strip())
    if loose is None or not (loose[2] or loose[3]):
        return otherwise
    amount, number, unit = loose[1], loose[2], loose[3].lower() or "seconds"
    period = next((name for name in _LOOSE_PERIODS if name.startswith(unit) or unit == f"{name}s"), None)
    if period is None:
        return otherwise
    if period in PERIODS and not number:
        return f"did you mean {amount}/{period}?"
    times, short = _LOOSE_PERIODS[period]
    return f"did you mean {amount}/{int(number or 1) * times}{short}?"


TIME_ZONE: Final = Kind(plain(_zone), "time zone", {"type": "string"})

_RATE_SCHEMA: Final = {
    "type": "string",
    "pattern": rf"^[0-9]+({'|'.join((*UNIT_BYTES, *UNIT_SECONDS))})?/({'|'.join(PERIODS)}|{DURATION_PATTERN})$",
}

RATE: Final = Kind(RAW.reader, "rate", _RATE_SCHEMA)
"""The node: what its amount is depends on what is counted."""

PER: Final = Key(
    Kind(lambda node, report, _subject, _around: read_per(node, report), "parts of a key", one_or_more(PART_SCHEMA, minItems=1)),
    "What is counted separately. `client` unless given.",
    examples=(["client"], ["site"]),
)

LEARNED: Final = KeyTable(
    subject="learned",
    example=_LEARNED_EXAMPLE,
    keys={
        "times": Key(number(1, MOST_TIMES), "So many times what was usual on earlier days.",
            required=("learned has no times", _LEARNED_EXAMPLE), examples=(2,)),
        "at_most": Key(whole(1, MAX_AMOUNT), "What the amount never exceeds, and is until three days are known.",
            required=("learned has no ceiling", _LEARNED_EXAMPLE), examples=(1500,)),
        "until_known": Key(whole(1, MAX_AMOUNT), "What it is until three days are known, where that should be less.",
            examples=(20,)),
    },
)  # fmt: skip

LIMIT: Final = KeyTable(
    subject="limit",
    example=_EXAMPLE,
    meant=meant("limit"),
    keys={
        "rate": Key(RATE, "So many per period: 10/minute, 300/hour, 20/90s.",
            examples=("10/minute", "300/hour", "20/90s"), attribute=None),
        "concurrent": Key(whole(1, MAX_CONCURRENT), "Instead of a rate: so many requests under way at a time.",
            examples=(10,), attribute=None),
        "count": Key(COUNT, "What is counted: requests, bytes, upstream_seconds, responses by status, distinct values, refusals.",
            examples=({"status": [404]}, {"distinct": "path"}, "bytes")),
        "burst": Key(Kind(RAW.reader, "amount", {"type": ["string", "integer"], "minimum": 1}),
            "How many may come at once; the rate's number unless given.", examples=(5,), attribute=None),
        "window": Key(Kind(plain(_window), "window", {"enum": [str(window) for window in Window]}),
            "`sliding`: what was used is given back evenly. `sliding_log`: never more than the rate says within any period. "
            "`calendar`: all of it when the hour, day or week ends."),
        "time_zone": Key(TIME_ZONE,
            "Where the calendar's days begin; UTC unless given.", examples=("Europe/Berlin",)),
        "per": PER,
        "missing": Key(word(Missing),
            "A request without a part of the key: `shared` counts with its like, `separate` by client, `skip` not."),
        "ambiguous": Key(word(Ambiguous),
            "Where sites may disagree about a part of the key: `client` counts by the client, `reject` applies the rule."),
        "learned": Key(Kind(filled(LEARNED, Learned), "what to learn", LEARNED.schema()),
            "The amount follows earlier days: those of each key, or, for the whole site or parts of it, those of the hour.",
            examples=({"times": 2, "at_most": 1500},)),
        "announce": Key(TRUTH,
            "Whether clients are told: RateLimit fields in every answer, and the limit in words on the refusal page."),
    },
)  # fmt: skip
