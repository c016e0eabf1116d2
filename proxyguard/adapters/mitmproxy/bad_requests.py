"""Requests that are refused for their form, before any rule is asked: how each is counted, and the page it is answered with."""

from __future__ import annotations

from typing import Final

from proxyguard.adapters.mitmproxy.forwarded_fields import first_value
from proxyguard.adapters.mitmproxy.services import FrontServices
from proxyguard.guard.interfaces import FrontEvents
from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.responses import Answer

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


def count_fault(events: FrontEvents, reason: str) -> None:
    """Count a refused request by its fault, and by the bound that it exceeded, if it is one."""
    events.bad_request(reason)
    bound = BOUND_OF_FAULT.get(reason)
    if bound is not None:
        events.bound_exceeded(bound)


def error_answer(services: FrontServices, status: int, head: RequestHead | None = None) -> Answer:
    """The page for a request that no exchange is made for; `head` as far as it is known."""
    headers = () if head is None else head.headers
    accept, languages = first_value(headers, b"accept"), first_value(headers, b"accept-language")
    return services.pages.error(status, services.reference(), accept=accept, languages=languages)
