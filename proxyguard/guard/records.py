"""Audit records: of a decision and how its exchange ended, and of what the front refused before any check.

Decides what of a request a record holds, as far as the privacy settings let it; knows nothing of which are written. Never
cookies, authorization, queries or bodies. Another field is a row in `telemetry.audit_records.Record`, one here, and one in
docs/reference/audit.md; what a client has a part in goes through `Discretion`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from proxyguard.core.address import Address
from proxyguard.core.decision import ACTION_NAMES, FAILURE_RULE, UNASKED, Decision, Mode, Reject
from proxyguard.core.origin import NOTHING_KNOWN
from proxyguard.core.request import Request
from proxyguard.core.robots import RobotsVerdict
from proxyguard.guard.interfaces import Refusal, Served, Ticket
from proxyguard.http.fingerprints.facts import client_kind, http2_of, ja4_of
from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.audit_records import Record, shown
from proxyguard.telemetry.discretion import Discretion
from proxyguard.telemetry.sealed import SealedLog
from proxyguard.telemetry.talkers import referring_host

_REFUSED: Final = ACTION_NAMES[Reject]
_ENFORCE: Final = Mode.ENFORCE.value
_SHADOW: Final = Mode.SHADOW.value


class Recorder:
    """Writes the records of one process, and to the sealed log whom those of refused and flagged clients mean."""

    def __init__(self, audit: AuditLog, discretion: Discretion, sealed: SealedLog | None = None) -> None:
        self._audit = audit
        self._discretion = discretion
        self._sealed = sealed

    def decision(self, ticket: Ticket, served: Served, time: float) -> bool:
        """Record one decision, or sum it up with others; whether it has a record. `time` is the wall's, Unix seconds."""
        decision = ticket.decision
        if self._audit.sums_up(decision.rule, decision.name, ticket.reference, in_thousandths(time), served.fault):
            return False
        record = decision_record(ticket, served, time, self._discretion)
        is_queued = self._audit.write(record)
        if is_queued and is_flagged(decision):
            self._seal(ticket.request.client, record)
        return is_queued

    def refusal(self, refusal: Refusal, time: float) -> None:
        """Record what the front refused by itself, or sum it up with others."""
        if self._audit.sums_up(UNASKED, _REFUSED, refusal.reference, in_thousandths(time), refusal.fault):
            return
        record = refusal_record(refusal, time, self._discretion)
        if self._audit.write(record):
            self._seal(refusal.client, record)

    def _seal(self, client: Address, record: Record) -> None:
        if self._sealed is not None:
            self._sealed.add(record.client, client.text, client.port, record.reference, record.time)


def is_flagged(decision: Decision) -> bool:
    """Whether a client was refused, or something speaks against it: points, tags of rules, a rule in shadow."""
    return bool(decision.refuses or decision.score or decision.shadow or given_tags(decision))


def is_plain_pass(decision: Decision) -> bool:
    """Whether a request went to the site and nothing was noted about it."""
    is_pass = decision.name == "pass" and decision.rule != FAILURE_RULE
    return is_pass and not (decision.shadow or decision.score or given_tags(decision))


def decision_record(ticket: Ticket, served: Served, time: float, discretion: Discretion) -> Record:
    """The record of one decision; `time` is the wall's, Unix seconds."""
    request, decision = ticket.request, ticket.decision
    upstream_seconds = served.upstream_seconds
    origin = request.origin or NOTHING_KNOWN
    client, facts = request.client, request.connection
    verdict = _robots(request)
    # By position, in the order of the fields: to find 35 names costs as much again as the record.
    return Record(
        in_thousandths(time), ticket.reference, discretion.client(client, time), discretion.port(client),
        discretion.method(request.method), discretion.host(request.host), discretion.path(request.path),
        decision.rule, decision.name, _SHADOW if decision.shadow and decision.forwards else _ENFORCE,
        decision.score, served.status, in_thousandths(served.total_seconds * 1000),
        decision.reason, ticket.class_, given_tags(decision),
        tuple([f"{hit.action} by {hit.rule}" for hit in decision.shadow]) if decision.shadow else (), served.fault,
        _version(request.http_version), _user_agent(request, discretion), _referer_host(request, discretion),
        served.bytes_sent, served.bytes_received,
        None if upstream_seconds is None else in_thousandths(upstream_seconds * 1000), served.upstream,
        "" if facts is None else shown(ja4_of(facts)),
        "" if facts is None else shown(client_kind(facts)),
        "" if facts is None else shown(http2_of(facts)),
        origin.country or "", origin.asn, origin.identity or origin.claim or "", origin.verified, discretion.network(client),
        "" if verdict is None else verdict.group, "" if verdict is None else verdict.version,
    )  # fmt: skip


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


def _version(version: bytes) -> str:
    return "1.1" if version == b"1.1" else shown(version)


def _robots(request: Request) -> RobotsVerdict | None:
    """What robots.txt says to a declared bot; nothing for everybody else."""
    verdict = request.robots
    return verdict if verdict is not None and verdict.classes else None


def _user_agent(request: Request, discretion: Discretion) -> str:
    found = request.header_index.get(b"user-agent")
    return discretion.agent(found[0]) if found else ""


def _referer_host(request: Request, discretion: Discretion) -> str:
    """The host of the page whose link was followed, never its path or its query."""
    found = request.header_index.get(b"referer")
    return discretion.host(referring_host(found[0])) if found else ""


def in_thousandths(value: float) -> float:
    """A value that is not negative, to three decimal places; a fifth of the cost of `round`."""
    return int(value * 1000 + 0.5) / 1000


def given_tags(decision: Decision) -> tuple[str, ...]:
    """The tags that rules gave, sorted. Tags of classes and of active restrictions have a colon and are left out."""
    return _given(decision.tags) if decision.tags else ()


@lru_cache(maxsize=256)
def _given(tags: frozenset[str]) -> tuple[str, ...]:
    """Rules give few combinations of tags, and each is asked about several times a request."""
    return tuple(sorted(tag for tag in tags if ":" not in tag))
