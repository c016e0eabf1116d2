"""What refused requests get; those refused for their form, before any rule is asked, are counted and recorded here as well."""

from __future__ import annotations

from typing import Final

from proxyguard.adapters.mitmproxy.forwarded_fields import first_value
from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices
from proxyguard.core.decision import Prove
from proxyguard.core.request import Headers, Request
from proxyguard.core.request_paths import inspected_path
from proxyguard.guard.interfaces import FrontEvents, Refusal, Ticket
from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.responses import Answer, Pages, to_itself

BOUND_OF_FAULT: Final = {
    "target-size": "target_bytes",
    "field-size": "field_bytes",
    "field-count": "header_count",
    "head-size": "head_bytes",
    "trailer-size": "field_bytes",
    "body-size": "body_bytes",
    "upgrade-backlog": "buffer_bytes",
}
"""Which of Bounds a refused request exceeded."""

HOST_UNKNOWN: Final = "host-unknown"
PLAIN_HTTP: Final = "plain-http"
HEAD_TIMEOUT: Final = "head-timeout"
"""Faults that are found outside the parsers: no site has the host, no TLS where it is spoken, a head that never ended."""


def count_fault(events: FrontEvents, reason: str) -> None:
    """Count a refused request by its fault, and by the bound that it exceeded, if it is one."""
    events.bad_request(reason)
    bound = BOUND_OF_FAULT.get(reason)
    if bound is not None:
        events.bound_exceeded(bound)


def error_answer(
    services: FrontServices,
    link: ClientState,
    status: int,
    fault: str,
    head: RequestHead | None = None,
    *,
    method: bytes = b"",
    version: bytes = b"",
) -> Answer:
    """The page for a request that no exchange is made for, recorded with its reference; `head` as far as it is known."""
    reference = services.reference()
    if head is None:
        refusal = Refusal(reference, link.peer, status, fault, method, http_version=version)
        headers: Headers = ()
    else:
        headers, path = head.headers, inspected_path(head.target)
        client = services.resolver.resolve(link.peer, headers)
        refusal = Refusal(reference, client, status, fault, head.method, head.host, path, version or head.version)
    services.checker.refused(refusal)
    return error_page(services, status, reference, headers)


def unchecked(services: FrontServices, request: Request, status: int, fault: str) -> str:
    """Record a request that is refused before its check has an answer; returns the reference for its page."""
    reference, version = services.reference(), request.http_version
    refusal = Refusal(reference, request.client, status, fault, request.method, request.host, request.path, version)
    services.checker.refused(refusal)
    return reference


def refusal(pages: Pages, ticket: Ticket) -> Answer:
    """What a request gets that a rule stops: a page in the form and language that the client asks for, the way to a jar, or a
    page of a maze."""
    request = ticket.request
    own = None if ticket.forwarding is None else ticket.forwarding.answer
    if own is not None:
        return own
    if isinstance(ticket.decision.action, Prove):
        return to_itself(request.target, () if ticket.forwarding is None else ticket.forwarding.add)
    accept = request.first(b"accept") or b""
    return pages.render(ticket.decision, ticket.reference, accept=accept, languages=languages_of(request))


def languages_of(request: Request) -> bytes:
    """What a client says of its languages, which its page is written in."""
    return request.first(b"accept-language") or b""


def error_page(services: FrontServices, status: int, reference: str, headers: Headers, wait: float | None = None) -> Answer:
    """Our own error page, in the form and language that the client asks for; `wait` is what its Retry-After says, in seconds."""
    accept, languages = first_value(headers, b"accept"), first_value(headers, b"accept-language")
    return services.pages.error(status, reference, accept=accept, languages=languages, retry_after_seconds=wait)
