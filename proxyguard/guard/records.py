"""Audit records: of a decision and how its exchange ended, and of what the front refused before any check.

Decides what of a request a record holds; knows nothing of which are written. Never cookies, authorization, queries or bodies.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import UNASKED, Decision, Mode
from proxyguard.core.origin import NOTHING_KNOWN
from proxyguard.core.request import Request
from proxyguard.guard.interfaces import Refusal, Served, Ticket
from proxyguard.http.fingerprints.facts import client_kind, http2_of, ja4_of
from proxyguard.telemetry.audit import Record, shown
from proxyguard.telemetry.talkers import referring_host

MAX_USER_AGENT: Final = 256
"""Bytes of the user agent that a record keeps: those of browsers have about 120."""


def decision_record(ticket: Ticket, served: Served, time: float) -> Record:
    """The record of one decision; `time` is the wall's, Unix seconds."""
    request, decision = ticket.request, ticket.decision
    upstream_seconds = served.upstream_seconds
    origin = request.origin or NOTHING_KNOWN
    return Record(
        time=in_thousandths(time), reference=ticket.reference, client=request.client.text, port=request.client.port,
        method=shown(request.method), host=shown(request.host), path=shown(request.path),
        rule=decision.rule, action=decision.name,
        mode=Mode.SHADOW if decision.forwards and decision.shadow else Mode.ENFORCE,
        score=decision.score, status=served.status, milliseconds=in_thousandths(served.total_seconds * 1000),
        reason=decision.reason, class_=ticket.class_, tags=given_tags(decision),
        shadow=tuple(f"{hit.action} by {hit.rule}" for hit in decision.shadow), fault=served.fault,
        http_version=shown(request.http_version), user_agent=_user_agent(request), referer_host=_referer_host(request),
        bytes_sent=served.bytes_sent, bytes_received=served.bytes_received,
        upstream_milliseconds=None if upstream_seconds is None else in_thousandths(upstream_seconds * 1000),
        upstream=served.upstream, country=origin.country or "", asn=origin.asn,
        identity=origin.identity or origin.claim or "", verified=origin.verified, **_connection(request),
    )  # fmt: skip


def refusal_record(refusal: Refusal, time: float) -> Record:
    """The record of what the front refused by itself: of what may not even be HTTP only what was read for certain."""
    client = refusal.client
    return Record(
        time=in_thousandths(time), reference=refusal.reference, client=client.text, port=client.port,
        method=shown(refusal.method), host=shown(refusal.host), path=shown(refusal.path),
        rule=UNASKED, action="reject", mode=Mode.ENFORCE, score=0.0, status=refusal.status, milliseconds=0.0,
        fault=refusal.fault, http_version=shown(refusal.http_version),
    )  # fmt: skip


def _connection(request: Request) -> dict[str, str]:
    """What the client's connection shows of the program, where that is known."""
    facts = request.connection
    if facts is None:
        return {}
    found = {"ja4": ja4_of(facts), "client_kind": client_kind(facts), "http2": http2_of(facts)}
    return {name: shown(value) for name, value in found.items() if value}


def _user_agent(request: Request) -> str:
    found = request.header_index.get(b"user-agent")
    return found[0][:MAX_USER_AGENT].decode("utf-8", "backslashreplace") if found else ""


def _referer_host(request: Request) -> str:
    """The host of the page whose link was followed, never its path or its query."""
    found = request.header_index.get(b"referer")
    return shown(referring_host(found[0])) if found else ""


def in_thousandths(value: float) -> float:
    """A value that is not negative, to three decimal places; a fifth of the cost of `round`."""
    return int(value * 1000 + 0.5) / 1000


def given_tags(decision: Decision) -> tuple[str, ...]:
    """The tags that rules gave, sorted. Tags of classes and of active restrictions have a colon and are left out."""
    return tuple(sorted(tag for tag in decision.tags if ":" not in tag)) if decision.tags else ()
