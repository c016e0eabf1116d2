"""The answers of a report as plain values, which are also its JSON. What could not be seen is null, never zero."""

from __future__ import annotations

import msgspec


class PeriodRates(msgspec.Struct):
    """A period, by one of `rates.NAMES`. `seconds`: how much of it was seen."""

    name: str
    seconds: float
    requests: int | None
    refused: int | None
    requests_per_second: float | None
    refused_per_second: float | None
    refused_share: float | None


class Rates(msgspec.Struct):
    """Is something going on? `unusual` by the thresholds of `advice`; null when there is nothing to compare with."""

    unusual: bool | None
    summary: str
    periods: list[PeriodRates]
    columns: list[list[int]]
    """For a picture: forwarded and refused, in columns of `column_seconds` from `columns_begin` (Unix seconds) on."""
    columns_begin: float
    column_seconds: float


class TalkerRow(msgspec.Struct):
    """One of the busiest. `requests`: those that the list is about, and `share` of all of these. Not recorded is null.

    `refused`: of all the requests of the name, and `refused_share` of these.
    """

    name: str
    requests: int
    refused: int | None
    refused_share: float | None
    bytes: int | None
    upstream_seconds: float | None
    share: float


class TalkerLists(msgspec.Struct):
    """The busiest, each list beginning with the busiest; `source` says of what."""

    source: str
    clients: list[TalkerRow]
    networks: list[TalkerRow]
    user_agents: list[TalkerRow]
    paths: list[TalkerRow]


class RuleFigures(msgspec.Struct):
    """What a rule refused. `clients`: how many different ones; `once`: of them those refused once only. Null: not known."""

    rule: str
    requests: int
    share: float
    actions: dict[str, int]
    clients: int | None
    once: int | None
    also_forwarded: int | None
    """Of these clients, those that more often had requests forwarded with a browser's user agent than refused."""
    protected: int | None
    bytes: int | None
    """Null when none were recorded: an audit log does not count the pages of refusals."""
    reference: str
    """Of one of its refusals, for `explain --reference`: of one that may have hurt somebody, if there is any."""


class Stopped(msgspec.Struct):
    """What was stopped, and by which rule?"""

    source: str
    requests: int
    clients: int | None
    exact: bool
    """Whether numbers of clients are exact; else they come from a fair sample."""
    rules: list[RuleFigures]
    shadow: dict[str, int]
    """What rules in shadow would have done, `ACTION by RULE`: requests recorded."""
    robots: dict[str, int] = {}
    """Requests recorded of declared bots for what robots.txt forbids them, by class of the bot."""


class KindRow(msgspec.Struct):
    """User agents of a kind, by forwarded requests."""

    kind: str
    requests: int
    share: float


class Through(msgspec.Struct):
    """Who gets through, and looks like whom?"""

    requests: int | None
    without_rule_share: float | None
    kinds: list[KindRow]
    busiest: TalkerLists


class PeopleFigure(msgspec.Struct):
    """A sign that people may be hurt, and what it can and cannot tell. `value`: null when it could not be seen."""

    name: str
    value: int | None
    detail: dict[str, int]
    tells: str
    does_not_tell: str


class Health(msgspec.Struct):
    """Of the upstream, the store and the instance. `troubles`: in words; empty when there are none."""

    source: str
    ready: bool | None
    mode: str
    troubles: list[str]
    upstreams: list[dict[str, str]]
    faults: dict[str, int]
    """Of forwarded requests, as recorded."""


class Step(msgspec.Struct):
    """What to do next: why, by which threshold, and the command to copy."""

    why: str
    command: str


class TrafficReport(msgspec.Struct):
    """All answers. Times are Unix seconds."""

    version: str
    since: float
    until: float
    sources: list[str]
    rates: Rates
    who: TalkerLists
    stopped: Stopped
    through: Through
    people: list[PeopleFigure]
    health: Health
    next: list[Step]
    notes: list[str]
    """What could not be seen."""
