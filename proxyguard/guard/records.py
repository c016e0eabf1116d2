"""Audit records: of a decision and how its exchange ended, and of what the front refused before any check.

Decides what of a request a record holds, as far as the privacy settings let it; knows nothing of which are written. Never
cookies, authorization, queries or bodies. Another field is a row in `telemetry.audit_records.Record`, one here, and one in
docs/reference/audit.md; what a client has a part in goes through `Discretion`.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.address import Address
from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.core.decision import ACTION_NAMES, FAILURE_RULE, UNASKED, Decision, Mode, Reject, ShadowHit
from proxyguard.core.origin import Origin
from proxyguard.core.robots import RobotsVerdict
from proxyguard.guard.interfaces import Refusal, Served, Ticket
from proxyguard.http.fingerprints.facts import client_kind, http2_of, ja4_of
from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.audit_records import Record, shown
from proxyguard.telemetry.audit_texts import BytesField, TextField, decimal, decimals, digits, quoted, thousandths, units
from proxyguard.telemetry.discretion import Discretion
from proxyguard.telemetry.sealed import SealedLog
from proxyguard.telemetry.talkers import referring_host

_REFUSED: Final = ACTION_NAMES[Reject]
_ENFORCE: Final = Mode.ENFORCE.value
_IN_FORCE: Final = f'","mode":"{_ENFORCE}","score":'
_IN_SHADOW: Final = f'","mode":"{Mode.SHADOW.value}","score":'
_NONE: Final = "null"
_TRUE: Final = "true"
_FALSE: Final = "false"
_NO_TAGS: Final = ',"tags":[]'
_NO_SHADOW: Final = ',"shadow":[]'
_NO_PORT: Final = '","port":null'

MAX_ORIGINS: Final = 256
"""Origins whose part of a line is kept at hand."""

MAX_GIVEN: Final = 256
"""Combinations of tags that are kept at hand: rules give few, and each is asked about several times a request."""

_given: Final[dict[frozenset[str], tuple[str, ...]]] = {}


class DecisionLines:
    """Makes the lines of decisions: the fields of a `Record`, in their order. What comes again is kept at hand; of a client not
    whom it is, of a referer only the host."""

    def __init__(self, discretion: Discretion) -> None:
        self._discretion = discretion
        self._method = BytesField("method", discretion.method)
        self._host = BytesField("host", discretion.host)
        self._path = TextField("path")
        self._rule = TextField("rule")
        self._reason = TextField("reason")
        self._class = TextField("class")
        self._tag = TextField()
        self._hits = {action: TextField(start=f"{action} by ") for action in ACTION_NAMES.values()}
        self._fault = TextField("fault")
        self._version = BytesField("http_version", shown)
        self._agent = BytesField("user_agent", discretion.agent)
        self._referer = BytesField("referer_host", discretion.host)
        self._upstream = TextField("upstream")
        self._ja4 = BytesField("ja4", shown)
        self._kind = BytesField("client_kind", shown)
        self._http2 = BytesField("http2", shown)
        self._country = TextField("country")
        self._identity = TextField("identity")
        self._origins: dict[Origin, str] = {}
        self._second = -1
        self._seconds = ""
        """The second of the last line as text: many lines share one."""

    def line(self, ticket: Ticket, served: Served, time: float) -> bytes:
        """The line of one decision; `time` is the wall's, Unix seconds."""
        request, decision, discretion = ticket.request, ticket.decision, self._discretion
        client, at, spent = request.client, thousandths(time), thousandths(served.total_seconds * 1000)
        waited = 0 if served.upstream_seconds is None else thousandths(served.upstream_seconds * 1000)
        asked = served.upstream_seconds is not None
        second = at // 1000
        if second != self._second:
            self._second, self._seconds = second, digits(second)
        port, referer = discretion.port(client), request.first(b"referer")
        # References, actions, and names of clients and networks are ours: nothing in them is to be escaped.
        line = (
            f'{{"time":{self._seconds}{decimals(at)},"reference":"{ticket.reference}","client":"{discretion.client(client, time)}'
            f"{_NO_PORT if port is None else f'","port":{port}'}{self._method.of(request.method)}{self._host.of(request.host)}"
            f'{self._path.of(discretion.path(request.path))}{self._rule.of(decision.rule)},"action":"{decision.name}'
            f"{_IN_SHADOW if decision.shadow and decision.forwards else _IN_FORCE}{decimal(decision.score)}"
            f',"status":{digits(served.status)},"milliseconds":{units(spent)}{decimals(spent)}'
            f"{self._reason.of(decision.reason)}{self._class.of(ticket.class_)}{self._tags(given_tags(decision))}"
            f"{self._shadow(decision.shadow)}{self._fault.of(served.fault)}{self._version.of(request.http_version)}"
            f"{self._agent.of(request.user_agent or b'')}{self._referer.of(b'' if referer is None else referring_host(referer))}"
            f',"bytes_sent":{digits(served.bytes_sent)},"bytes_received":{digits(served.bytes_received)},"upstream_milliseconds":'
            f"{units(waited) if asked else _NONE}{decimals(waited) if asked else ''}{self._upstream.of(served.upstream)}"
            f'{self._connection(request.connection)}{self._origin(request.origin)},"network":"{discretion.network(client)}'
            f"{_robots(request.robots)}"
        )
        return line.encode()

    def _tags(self, tags: tuple[str, ...]) -> str:
        return f',"tags":[{",".join([self._tag.of(tag) for tag in tags])}]' if tags else _NO_TAGS

    def _shadow(self, hits: tuple[ShadowHit, ...]) -> str:
        """What rules in shadow would have done."""
        if not hits:
            return _NO_SHADOW
        shown = self._hit(hits[0]) if len(hits) == 1 else ",".join([self._hit(hit) for hit in hits])
        return f',"shadow":[{shown}]'

    def _hit(self, hit: ShadowHit) -> str:
        known = self._hits.get(hit.action)
        return quoted(f"{hit.action} by {hit.rule}") if known is None else known.of(hit.rule)

    def _connection(self, facts: ConnectionFacts | None) -> str:
        """The prints of the connection."""
        if facts is None:
            return ',"ja4":"","client_kind":"","http2":""'
        return self._ja4.of(ja4_of(facts)) + self._kind.of(client_kind(facts)) + self._http2.of(http2_of(facts))

    def _origin(self, origin: Origin | None) -> str:
        """Where the client is, and whom it claims to be."""
        if origin is None:
            return ',"country":"","asn":null,"identity":"","verified":null'
        found = self._origins.get(origin)
        if found is None:
            asn, verified = origin.asn, origin.verified
            found = (
                f'{self._country.of(origin.country or "")},"asn":{_NONE if asn is None else asn}'
                f"{self._identity.of(origin.identity or origin.claim or '')}"
                f',"verified":{_NONE if verified is None else _TRUE if verified else _FALSE}'
            )
            keep_at_hand(self._origins, MAX_ORIGINS, origin, found)
        return found


def _robots(verdict: RobotsVerdict | None) -> str:
    """The end of the text before, what robots.txt says to a declared bot, nothing for everybody else, and the line's end."""
    if verdict is None or not verdict.classes:
        return '","robots":"","robots_version":""}'
    return f'","robots":{quoted(verdict.group)},"robots_version":{quoted(verdict.version)}}}'


class Recorder:
    """Writes the records of one process, and to the sealed log whom those of refused and flagged clients mean."""

    def __init__(self, audit: AuditLog, discretion: Discretion, sealed: SealedLog | None = None) -> None:
        self._audit = audit
        self._discretion = discretion
        self._lines = DecisionLines(discretion)
        self._sealed = sealed

    def decision(self, ticket: Ticket, served: Served, time: float) -> bool:
        """Record one decision, or sum it up with others; whether it has a record. `time` is the wall's, Unix seconds."""
        decision = ticket.decision
        if self._audit.sums_up(decision.rule, decision.name, ticket.reference, in_thousandths(time), served.fault):
            return False
        is_queued = self._audit.write_line(self._lines.line(ticket, served, time))
        if self._sealed is not None and is_queued and is_flagged(decision):
            self._seal(self._sealed, ticket.request.client, ticket.reference, time)
        return is_queued

    def refusal(self, refusal: Refusal, time: float) -> None:
        """Record what the front refused by itself, or sum it up with others."""
        if self._audit.sums_up(UNASKED, _REFUSED, refusal.reference, in_thousandths(time), refusal.fault):
            return
        is_queued = self._audit.write(refusal_record(refusal, time, self._discretion))
        if self._sealed is not None and is_queued:
            self._seal(self._sealed, refusal.client, refusal.reference, time)

    def _seal(self, sealed: SealedLog, client: Address, reference: str, time: float) -> None:
        sealed.add(self._discretion.client(client, time), client.text, client.port, reference, in_thousandths(time))


def is_flagged(decision: Decision) -> bool:
    """Whether a client was refused, or something speaks against it: points, tags of rules, a rule in shadow."""
    return bool(decision.refuses or decision.score or decision.shadow or given_tags(decision))


def is_plain_pass(decision: Decision) -> bool:
    """Whether a request went to the site and nothing was noted about it."""
    if decision.shadow or decision.score or given_tags(decision):
        return False
    return decision.name == "pass" and decision.rule != FAILURE_RULE


def refusal_record(refusal: Refusal, time: float, discretion: Discretion) -> Record:
    """The record of what the front refused by itself: of what may not even be HTTP only what was read for certain."""
    client = refusal.client
    return Record(
        time=in_thousandths(time), reference=refusal.reference, client=discretion.client(client, time),
        port=discretion.port(client), network=discretion.network(client),
        method=discretion.method(refusal.method), host=discretion.host(refusal.host), path=discretion.path(refusal.path),
        rule=UNASKED, action=_REFUSED, mode=_ENFORCE, score=0.0, status=refusal.status, milliseconds=0.0,
        fault=refusal.fault, http_version=shown(refusal.http_version),
    )  # fmt: skip


def in_thousandths(value: float) -> float:
    """A value that is not negative, to three decimal places; a fifth of the cost of `round`."""
    return thousandths(value) / 1000


def given_tags(decision: Decision) -> tuple[str, ...]:
    """The tags that rules gave, sorted. Tags of classes and of active restrictions have a colon and are left out."""
    tags = decision.tags
    if not tags:
        return ()
    found = _given.get(tags)
    if found is None:
        found = keep_at_hand(_given, MAX_GIVEN, tags, tuple(sorted(tag for tag in tags if ":" not in tag)))
    return found
