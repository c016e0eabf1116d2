"""The types of what the API answers: answers are cut to them, the OpenAPI document is made of them.

A field is added here and never renamed or removed within a version, whatever becomes of the commands behind.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

Seconds = Annotated[float, Meta(description="Unix seconds, UTC.")]
Count = Annotated[int, Meta(ge=0)]


class ApiAnswer(Struct, kw_only=True):
    """What is answered."""


class ApiProblem(ApiAnswer):
    """An error, as RFC 9457 has it."""

    title: str
    status: int
    detail: str = ""


class ApiRights(ApiAnswer):
    """What the caller may do."""

    read: bool
    write: bool
    by_token: bool
    version: str


class ApiPause(ApiAnswer):
    """A pause in force."""

    since: Seconds
    until: Seconds
    by: str
    why: str


class ApiUpstream(ApiAnswer):
    """An address of an upstream."""

    upstream: str
    address: str
    state: str
    since: Seconds | None = None
    why: str = ""
    hurt: Count = 0


class ApiStoreHealth(ApiAnswer):
    """A store outside the process."""

    up: bool | None = None
    since: Seconds | None = None


class ApiPrice(ApiAnswer):
    """What 1,000 rarely read items within a day take at least. `of_site`: how many a day all such clients together are left."""

    networks: str
    with_cookies: bool
    needed: dict[str, Count]
    of_site: Count | None


class ApiMazes(ApiAnswer):
    """What mazes gave and took since the start."""

    pages: Count = 0
    bytes: Count = 0
    cpu_seconds: float = 0.0
    held_seconds: float = 0.0


class ApiEconomy(ApiAnswer):
    """What collecting costs and brings; empty where rules name no items."""

    items: dict[str, Count] = {}
    for_1000_cold: list[ApiPrice] = []
    tarpit_seconds: float = 0.0
    mazes: ApiMazes = field(default_factory=ApiMazes)
    refused_bytes: Count = 0
    check_seconds: float = 0.0


class ApiStatus(ApiAnswer):
    """The state of the instance, all workers together."""

    version: str
    build: str
    ready: bool
    uptime_seconds: float
    mode: str
    policy: str
    rules: dict[str, int]
    connections: Count
    requests: Count
    tarpits: Count
    tarpit_seconds: float
    economy: ApiEconomy = field(default_factory=ApiEconomy)
    shadow: ApiPause | None = None
    emergency: ApiPause | None = None
    paused: dict[str, ApiPause] = {}
    upstreams: list[ApiUpstream] = []
    upstream_errors_last_minute: Count = 0
    store: ApiStoreHealth = field(default_factory=ApiStoreHealth)
    certificates: list[str] = []
    workers: list[int] = []
    internal_errors: dict[str, int] = {}
    reload: dict[str, Any] = {}
    promotions: dict[str, Any] = {}


class ApiCampaigns(ApiAnswer):
    """The alarms of the last 24 hours about reads of items. Figures are of the hour in which each was last on."""

    campaigns: list[dict[str, Any]]


class ApiEmergency(ApiAnswer):
    """Whom emergency mode touches, or would: by rule within 24 hours, by cell in this hour. `known`: rules that can bound it."""

    on: bool
    known: list[str]
    standings: dict[str, dict[str, Count]]
    rules: list[dict[str, Any]]
    cells: list[dict[str, Any]]


class ApiTalker(ApiAnswer):
    """A name of a list, and what it brought."""

    name: str
    requests: Count
    refused: Count
    bytes: Count
    upstream_seconds: float
    requests_at_most: Count


class ApiTop(ApiAnswer):
    """Who talks most within a window. `history`: of each minute its start, requests, refused, bytes, upstream milliseconds."""

    window: str
    seconds: float
    requests: Count
    refused: Count
    bytes: Count
    upstream_seconds: float
    requests_per_second: float
    refused_share: float
    clients: list[ApiTalker]
    networks: list[ApiTalker]
    user_agents: list[ApiTalker]
    paths: list[ApiTalker]
    rules: list[ApiTalker]
    referers: list[ApiTalker]
    sites: list[ApiTalker]
    history: list[list[int]]


class ApiRuleState(ApiAnswer):
    """A rule as it is in force. `mode` is what it may do now; `decided` and `would_have` since the workers started."""

    rule: str
    mode: str
    action: str
    paused: bool
    decided: Count
    would_have: Count


class ApiRules(ApiAnswer):
    """All rules, in their order."""

    rules: list[ApiRuleState]


class ApiNamed(ApiAnswer):
    """A name and its requests."""

    name: str
    requests: Count


class ApiShadowRule(ApiAnswer):
    """What a shadow rule would have stopped."""

    rule: str
    requests: Count
    clients: Count
    networks: Count
    protected_requests: Count
    protected_clients: Count
    first: Seconds
    last: Seconds
    top: list[ApiNamed]


class ApiShadow(ApiAnswer):
    """What shadow rules would have stopped within the last 24 hours. `quiet`: those that would have stopped nobody."""

    since: Seconds
    protected_clients_seen: Count
    left_out: Count
    rules: list[ApiShadowRule]
    quiet: list[str]


class ApiRestrictionState(ApiAnswer):
    """A restriction."""

    name: str
    on: bool
    reason: str
    why: str = ""
    since: Seconds | None = None
    ends: Seconds | None = None
    until: Seconds | None = None
    classes: dict[str, str] = {}
    shedding: list[str] = []
    refused: Count = 0
    by_command: bool = False


class ApiRestrictions(ApiAnswer):
    """All restrictions."""

    restrictions: list[ApiRestrictionState]


class ApiBanState(ApiAnswer):
    """A ban. Clients are pseudonyms in `key`, which lifts it."""

    key: str
    since: Seconds
    until: Seconds
    rule: str
    reason: str
    then: str
    strikes: Count
    note: str
    hits: Count = 0
    last_seen: Seconds | None = None


class ApiBans(ApiAnswer):
    """The bans in force, the last to end first; `total` also counts those that are not listed."""

    bans: list[ApiBanState]
    total: Count


class ApiChange(ApiAnswer):
    """An order that was given to the instance."""

    time: Seconds
    order: str
    by: str
    done: bool
    what: str


class ApiChanges(ApiAnswer):
    """The last orders, by whatever way they came, the newest first."""

    changes: list[ApiChange]


class ApiTestedCondition(ApiAnswer):
    """A test of a rule's condition, and whether it holds for a record; null: the record does not say."""

    test: str
    holds: bool | None


class ApiFound(ApiAnswer):
    """A decision that was looked up: its audit record, the rule as it is now, and the trace through its conditions."""

    record: dict[str, Any]
    rule: dict[str, Any] | None = None
    tests: list[ApiTestedCondition] = []


class ApiDone(ApiAnswer):
    """An order was carried out; `detail` has what the command answered."""

    done: bool
    detail: dict[str, Any]


class ApiEvent(ApiAnswer):
    """One decision of the live feed."""

    time: Seconds
    reference: str
    client: str
    method: str
    host: str
    path: str
    rule: str
    action: str
    mode: str
    status: int
    milliseconds: float
    reason: str
    user_agent: str
    fault: str
    shadow: list[str]


class ApiEvents(ApiAnswer):
    """Decisions since the last message; `skipped` were too many to show."""

    records: list[ApiEvent]
    skipped: Count
