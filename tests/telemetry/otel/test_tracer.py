"""Which requests are traced, what the site gets of it, and what a span says."""

from __future__ import annotations

import re

import pytest

from proxyguard.core.address import Address
from proxyguard.core.decision import PASS_BY_DEFAULT, Decision, Reject
from proxyguard.core.privacy import Privacy, PrivacyPreset
from proxyguard.core.request import Headers, Request
from proxyguard.telemetry.discretion import Discretion
from proxyguard.telemetry.otel.trace_context import TRACE_FIELDS
from proxyguard.telemetry.otel.tracer import SpanFacts, Tracer

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-%s"
STANDARD = Discretion(Privacy(), b"secret")
REJECTED = Decision(action=Reject(), rule="no-curl")


def asked(*headers: tuple[bytes, bytes], target: bytes = b"/users/4711-anna?token=geheim") -> Request:
    host = (b"Host", b"shop.example")
    return Request(Address.parse("203.0.113.9", 4711), b"GET", b"https", b"shop.example", target, (host, *headers))


def finish(tracer: Tracer, request: Request, decision: Decision = PASS_BY_DEFAULT, status: int = 200, fault: str = "") -> None:
    trace = tracer.begin(request) if decision.forwards else None
    tracer.finish(
        trace, request, decision, "00ff", ended=1_800_000_000.0, seconds=0.25, status=status, fault=fault, upstream_seconds=0.2
    )


def test_a_traced_request_goes_to_the_site_in_the_clients_trace_under_a_span_of_ours() -> None:
    spans: list[SpanFacts] = []
    tracer = Tracer(1.0, spans.append, STANDARD)
    request = asked((b"Traceparent", PARENT % b"00"), (b"tracestate", b"a=1, b=2"))
    trace = tracer.begin(request)
    assert trace is not None
    fields = dict(trace.fields)
    match = re.fullmatch(rb"00-0af7651916cd43dd8448eb211c80319c-([0-9a-f]{16})-01", fields[b"Traceparent"])
    assert match is not None
    assert int(match[1], 16) == trace.span != 0xB7AD6B7169203331
    assert fields[b"Tracestate"] == b"a=1,b=2"
    assert {name.lower() for name in fields} == TRACE_FIELDS
    assert trace.parent == 0xB7AD6B7169203331


def test_a_span_says_what_was_decided_and_nothing_of_the_person() -> None:
    spans: list[SpanFacts] = []
    finish(
        Tracer(1.0, spans.append, STANDARD),
        asked((b"Cookie", b"sid=geheim"), (b"Authorization", b"Bearer geheim")),
        REJECTED,
        403,
    )
    [span] = spans
    assert span.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 403,
        "http.route": "/users/*",
        "network.protocol.version": "1.1",
        "server.address": "shop.example",
        "url.scheme": "https",
        "proxyguard.rule": "no-curl",
        "proxyguard.action": "reject",
        "proxyguard.reference": "00ff",
        "proxyguard.upstream_seconds": 0.2,
    }
    assert (span.began, span.ended, span.failed, span.parent) == (1_799_999_999.75, 1_800_000_000.0, False, 0)
    for secret in ("203.0.113", "geheim", "anna"):
        assert secret not in repr(spans)


def test_what_a_client_has_a_part_in_is_redacted_as_in_records() -> None:
    chosen = Request(Address.parse("203.0.113.9"), b"erika@example.com", b"https", b"203.0.113.8", b"/users/erika/x", (), b"1.1")
    for preset, expected in (
        (PrivacyPreset.STANDARD, ("[e-mail]", "[address]", "/users/*/x")),
        (PrivacyPreset.FULL, ("erika@example.com", "203.0.113.8", "/users/erika/x")),
    ):
        spans: list[SpanFacts] = []
        finish(Tracer(1.0, spans.append, Discretion(Privacy(preset=preset), b"secret")), chosen)
        [span] = spans
        assert span.method == span.attributes["http.request.method"] == expected[0]
        assert (span.attributes["server.address"], span.attributes["http.route"]) == expected[1:]


@pytest.mark.parametrize(
    ("status", "fault", "failed"), [(200, "", False), (404, "", False), (502, "", True), (200, "upstream-reset", True)]
)
def test_what_failed_is_marked(status: int, fault: str, failed: bool) -> None:
    spans: list[SpanFacts] = []
    finish(Tracer(1.0, spans.append, STANDARD), asked(), status=status, fault=fault)
    assert spans[0].failed is failed
    assert spans[0].attributes.get("error.type", "") == fault


def test_a_client_that_asks_to_be_recorded_is_not() -> None:
    spans: list[SpanFacts] = []
    tracer = Tracer(0.0, spans.append, STANDARD)
    request = asked((b"traceparent", PARENT % b"01"))
    assert tracer.begin(request) is None  # it passes as it came
    finish(tracer, request)
    finish(tracer, request, REJECTED, 403)
    assert spans == []


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        ((), None),
        (((b"traceparent", PARENT % b"00"), (b"tracestate", b"a=1")), None),
        (((b"traceparent", b"00-evil-01"),), ()),
        (((b"traceparent", b"00-evil-01"), (b"tracestate", b"a=1")), ()),
        (((b"tracestate", b"a=1"),), ()),
        (((b"traceparent", PARENT % b"00"), (b"traceparent", PARENT % b"00")), ()),
        (((b"traceparent", PARENT % b"00"), (b"tracestate", b"=evil")), ((b"Traceparent", PARENT % b"00"),)),
        (
            ((b"traceparent", PARENT % b"00"), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")),
            ((b"Traceparent", PARENT % b"00"), (b"Tracestate", b"a=1,b=2")),
        ),
    ],
)
def test_of_what_is_not_traced_only_what_is_right_passes(sent: Headers, passed: Headers | None) -> None:
    trace = Tracer(0.0, lambda _: None, STANDARD).begin(asked(*sent))
    assert (None if trace is None else trace.fields) == passed
    assert trace is None or trace.span == 0


def test_the_share_of_the_settings_is_what_is_traced() -> None:
    spans: list[SpanFacts] = []
    tracer = Tracer(0.25, spans.append, STANDARD)
    for number in range(4000):
        finish(tracer, asked(), REJECTED if number % 2 else PASS_BY_DEFAULT, 403 if number % 2 else 200)
    assert 850 < len(spans) < 1150
    assert len({span.trace for span in spans}) == len({span.span for span in spans}) == len(spans)
