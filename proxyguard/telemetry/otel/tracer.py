"""Decides which requests are traced, and makes a span of each when it is over.

The share of the settings decides, never the client: whoever sends a traceparent cannot have more recorded. Spans hold no address,
no query and no path but its family; what a client has a part in goes through `Discretion`, as in records. Knows nothing of
collectors.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

from proxyguard.core.decision import Decision
from proxyguard.core.request import Request
from proxyguard.telemetry.discretion import Discretion, plain_family
from proxyguard.telemetry.otel.trace_context import SAMPLED, Parent, TraceContext, read_parent, read_state, written

MAX_TEXT: Final = 128
"""Characters of a host, scheme or version in a span."""


class SpanFacts(NamedTuple):
    """One request that is over. Times are Unix seconds; `parent` is 0 for none. Its tracestate is not here: it is free text of
    the client's, which goes to the site and to no record."""

    trace: int
    span: int
    parent: int
    began: float
    ended: float
    method: str
    attributes: dict[str, str | int | float]
    failed: bool


class Tracer:
    """Traces a share of the requests of one process. `on_span` takes what is finished and must not block."""

    def __init__(self, share: float, on_span: Callable[[SpanFacts], None], discretion: Discretion) -> None:
        self._discretion = discretion
        self._share = share
        self._on_span = on_span
        self._random = Random(os.urandom(16))  # noqa: S311 - identifiers must be distinct, not secret

    def begin(self, request: Request) -> TraceContext | None:
        """What a request's trace changes on its way to the site; None: nothing, its fields pass as they came."""
        index = request.header_index
        parents, states = index.get(b"traceparent", ()), index.get(b"tracestate", ())
        parent = read_parent(parents, states) if parents else None
        random = self._random
        if random.random() < self._share:
            span = random.getrandbits(64) or 1
            trace = parent.trace if parent is not None else random.getrandbits(128) or 1
            state = parent.state if parent is not None else b""
            return TraceContext(
                trace, span, parent.span if parent is not None else 0, state, written(trace, span, SAMPLED, state)
            )
        if parent is None:
            return TraceContext(0, 0, 0, b"", ()) if parents or states else None
        return self._corrected(parent, states)

    def _corrected(self, parent: Parent, states: tuple[bytes, ...]) -> TraceContext | None:
        """A request that is not traced here: its traceparent passes, a wrong tracestate does not."""
        if not states or (len(states) == 1 and read_state(states) == states[0]):
            return None
        return TraceContext(0, 0, 0, b"", written(parent.trace, parent.span, parent.flags, parent.state))

    def finish(
        self,
        trace: TraceContext | None,
        request: Request,
        decision: Decision,
        reference: str,
        *,
        ended: float,
        seconds: float,
        status: int,
        fault: str,
        upstream_seconds: float | None,
    ) -> None:
        """Make the span of a request that is over, if it has one. Whoever was refused gets the same share."""
        found = self.begin(request) if trace is None and not decision.forwards else trace
        if found is None or not found.span:
            return
        discretion = self._discretion
        method = discretion.method(request.method)
        attributes: dict[str, str | int | float] = {
            "http.request.method": method,
            "http.response.status_code": status,
            "http.route": discretion.family(plain_family(request.path)),
            "network.protocol.version": shown(request.http_version),
            "server.address": discretion.host(request.host)[:MAX_TEXT],
            "url.scheme": shown(request.scheme),
            "proxyguard.rule": decision.rule,
            "proxyguard.action": decision.name,
            "proxyguard.reference": reference,
        }
        if fault:
            attributes["error.type"] = fault
        if upstream_seconds is not None:
            attributes["proxyguard.upstream_seconds"] = upstream_seconds
        failed = status >= 500 or bool(fault)
        self._on_span(SpanFacts(found.trace, found.span, found.parent, ended - seconds, ended, method, attributes, failed))


def shown(value: bytes) -> str:
    """Bytes that a client chose, cut and printable."""
    return value[:MAX_TEXT].decode("ascii", "backslashreplace")
