"""One flow from its head to its end: checked, then refused, held or forwarded, and settled.

What `adapters.mitmproxy.exchange` is to the front. mitmproxy connects, reads, writes and times out; this says what with.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Final, assert_never

from proxyguard.adapters.mitmproxy.bad_requests import count_fault, refusal
from proxyguard.adapters.mitmproxy.forwarded_fields import first_value, with_added, without
from proxyguard.adapters.mitmproxy.under_way import TOO_MANY
from proxyguard.adapters.mitmproxy_addon.answerer import LOOPBACK, TICKET_FIELD, Reply
from proxyguard.adapters.mitmproxy_addon.heads import (
    BODY_METHODS,
    is_multiplexed,
    is_unframed,
    may_have_body,
    read_head,
    upstream_fields,
    version_of,
)
from proxyguard.adapters.mitmproxy_addon.marks import mark, mark_fault
from proxyguard.adapters.mitmproxy_addon.public import Headers, HTTPFlow, Response, Server, kill
from proxyguard.adapters.mitmproxy_addon.services import AddonServices
from proxyguard.core.address import Address
from proxyguard.core.decision import Allow, Delay, Drop, Mask, Maze, Pass, Prove, Reject, Tarpit, Uniform
from proxyguard.core.request import Request
from proxyguard.core.shares import Shares
from proxyguard.guard.interfaces import Served, Ticket
from proxyguard.http.http1 import serialise
from proxyguard.http.http1.faults import REQUEST_FAULTS, Malformed
from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.method_override import METHOD_HEADERS, acting_method, is_method_unclear
from proxyguard.http.responses import REFERENCE, TARPIT_HEADERS, Answer

RETRY_AFTER_SECONDS: Final = 5.0
"""What our error pages ask for."""

CLIENT_GONE: Final = 499
BAD_GATEWAY: Final = 502
"""What mitmproxy answers when the site does not."""

_NO_SITE: Final = Shares()
"""Requests are counted by client network; which site they are for is mitmproxy's business."""

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


class FlowExchange:
    """Takes one flow from its check to its settlement. Each `on_…` follows the hook of mitmproxy that it is called from."""

    def __init__(self, services: AddonServices, flow: HTTPFlow) -> None:
        self._services = services
        self._flow = flow
        self._version = version_of(flow)
        self._head: RequestHead | None = None
        self._ticket: Ticket | None = None
        self._started = perf_counter()
        self._since: float | None = None
        self._headed: float | None = None
        self._received = self._sent = 0
        self._is_over = self._is_counted = False
        self._word = b""
        self._as_it_came: tuple[Headers, str, int, str, str, Server] | None = None

    async def begin(self) -> None:
        """Check the request and act on the decision."""
        services, flow = self._services, self._flow
        try:
            head = self._head = read_head(flow, self._version, services.settings.bounds)
        except Malformed as fault:
            count_fault(services.events, fault.reason)
            await self._refuse(REQUEST_FAULTS.get(fault.reason, 400), fault.reason)
            return
        site = services.site(head.host)
        if site is None:
            services.events.bad_request("host-unknown")
            await self._refuse(421, "host-unknown")
            return
        keeps_override = services.settings.keeps_override(site)
        if keeps_override and is_method_unclear(head):
            services.events.bad_request("method-override")
            await self._refuse(400, "method-override")
            return
        peer = _peer(flow)
        client = services.resolver.resolve(peer, head.headers)
        scheme = services.resolver.scheme(peer, head.headers, b"https" if flow.client_conn.tls_established else b"http")
        method = acting_method(head) if keeps_override else head.method
        request = Request(client, method, scheme, head.host, head.target, head.headers, self._version)
        request.connection = services.resolver.connection(peer, head.headers)
        checked = services.checker.check(request)
        ticket = self._ticket = checked if isinstance(checked, Ticket) else await checked
        mark(flow, ticket)
        if self._is_over:  # the client did not wait
            self._settle(CLIENT_GONE, "client-gone")
            return
        await self._act(ticket, head, peer, keeps_override=keeps_override)

    async def _act(self, ticket: Ticket, head: RequestHead, peer: Address, *, keeps_override: bool) -> None:
        action = ticket.decision.action
        match action:
            case Reject() | Prove():
                await self._reject(ticket)
            case Maze():
                if not await self._enter(ticket.request.client):
                    return
                if await self._delay(action.wait_seconds, ticket.request.client) and not self._is_over:
                    await self._reject(ticket)
            case Tarpit():
                await self._hold(action, ticket)
            case Mask() | Uniform():  # bodies pass here as they come: what cannot be changed is not shown
                await self._refuse(403, "altered-addon")
            case Drop():
                self._finish(0)
                kill(self._flow)
            case Pass() | Allow() | Delay():
                if not await self._enter(ticket.request.client):
                    return
                if isinstance(action, Delay) and not await self._delay(action.seconds, ticket.request.client):
                    return
                if not self._is_over:
                    await self._forward(ticket, head, peer, keeps_override=keeps_override)
            case _:
                assert_never(action)

    # -- forwarding --------------------------------------------------------------------------------------------------------

    async def _enter(self, client: Address) -> bool:
        bound = self._services.under_way.enter(client, _NO_SITE)
        if bound:
            self._services.events.bound_exceeded(bound)
            await self._refuse(503 if bound == TOO_MANY else 429, bound.replace("_", "-"))
            return False
        self._is_counted = True
        return True

    async def _delay(self, seconds: float, client: Address) -> bool:
        under_way = self._services.under_way
        if not under_way.delay(client):
            self._services.events.bound_exceeded("delay")
            await self._refuse(429, "delay")
            return False
        try:
            await asyncio.sleep(seconds)
        finally:
            under_way.resume(client)
        return True

    async def _forward(self, ticket: Ticket, head: RequestHead, peer: Address, *, keeps_override: bool) -> None:
        """Have mitmproxy send what was inspected, and only that, to the site. Bodies pass as they come."""
        request = self._flow.request
        chunked = False
        take: Callable[[bytes], bytes] = self._take
        if is_unframed(head, self._version):
            if head.method not in BODY_METHODS:
                take = self._take_nothing
            elif request.scheme == "http":
                chunked = True
            else:
                await self._refuse(411, "length-unknown")
                return
        authority = head.authority or f"{request.host}:{request.port}".encode("ascii", "ignore")
        asked = ticket.request
        changes = self._services.resolver.forwarding_headers(head.headers, peer, asked.client, asked.scheme, authority)
        if keeps_override:
            changes = changes._replace(drop=changes.drop - METHOD_HEADERS)
        hide = b"" if ticket.forwarding is None else ticket.forwarding.hide
        if hide:
            changes = changes._replace(drop=changes.drop | {hide}, keep=changes.keep - {hide})
        request.data.path = head.target
        request.headers = Headers(upstream_fields(head, self._version, changes, authority, chunked=chunked))
        request.authority = authority.decode("ascii") if is_multiplexed(self._version) else ""
        request.stream = take
        server = self._flow.server_conn
        if self._version == b"3" and self._flow.client_conn.proxy_mode.full_spec.startswith("reverse:https:"):
            # mitmproxy would speak HTTP/3 to the site too, as its client does; `https:` says nothing of that.
            self._flow.server_conn = Server(address=server.address)
        self._since = perf_counter()

    def _take(self, data: bytes) -> bytes:
        self._received += len(data)
        return data

    def _take_nothing(self, _: bytes) -> bytes:
        """A body that no head announced, of a method that has none: mitmproxy would write it as the next request."""
        return b""

    def _pass(self, data: bytes) -> bytes:
        self._sent += len(data)
        return data

    # -- refusing ----------------------------------------------------------------------------------------------------------

    async def _reject(self, ticket: Ticket) -> None:
        answer = refusal(self._services.pages, ticket)
        self._finish(answer.status, sent=len(answer.body))
        await self._answer(answer)

    async def _refuse(self, status: int, fault: str) -> None:
        """Refuse for the form of a request, or for a bound. `fault` is a token for the audit record and the flow."""
        accept, languages = self._asked_for()
        reference = self._ticket.reference if self._ticket is not None else self._services.reference()
        wait = RETRY_AFTER_SECONDS if status >= 500 or status == 429 else None
        answer = self._services.pages.error(status, reference, accept=accept, languages=languages, retry_after_seconds=wait)
        mark_fault(self._flow, f"refused with {status}: {fault}")
        self._finish(status, fault, sent=len(answer.body))
        await self._answer(answer)

    async def _hold(self, tarpit: Tarpit, ticket: Ticket) -> None:
        services = self._services
        network = ticket.request.client.network_key(services.settings.counting.prefixes)
        word = b""
        if self._flow.request.method != "HEAD" and services.answerer.can_hold(network):
            fields = (*TARPIT_HEADERS, (REFERENCE, ticket.reference.encode()))
            start = serialise.own_head(200, fields, keep_alive=False)
            start += services.pages.held(ticket.reference, self._asked_for()[1])
            word = await services.answerer.expect(Reply(start, tarpit, network))
        if not word:
            services.events.bound_exceeded("tarpit")
            await self._reject(ticket)
            return
        self._finish(200)
        self._send_to_answerer(word)

    async def _answer(self, answer: Answer) -> None:
        """Answer without reading the request's body, if it may have one."""
        flow = self._flow
        is_head = flow.request.method == "HEAD"
        fields = (*answer.headers, (b"Content-Length", b"%d" % len(answer.body)))
        body = b"" if is_head else answer.body
        if not may_have_body(self._head, self._version):
            now = flow.request.timestamp_start
            flow.response = Response(b"HTTP/1.1", answer.status, answer.reason, fields, body, None, now, now)
            return
        start = serialise.own_head(answer.status, fields, keep_alive=False) + body
        word = await self._services.answerer.expect(Reply(start))
        if word:
            self._send_to_answerer(word)
        else:
            self._services.events.bound_exceeded("answers")
            kill(self._flow)

    def _send_to_answerer(self, word: bytes) -> None:
        """Have mitmproxy take our own server for the site of this request. `_restore` puts back what the flow shows."""
        flow = self._flow
        request = flow.request
        self._word = word
        self._as_it_came = (
            request.headers, request.host, request.port, request.scheme, request.authority, flow.server_conn,
        )  # fmt: skip
        framing = [field for field in request.headers.fields if field[0].lower() in _FRAMING]
        request.headers = Headers([(b"Host", LOOPBACK.encode()), (TICKET_FIELD, word), *framing])
        request.authority = ""
        request.scheme, request.host, request.port = "http", LOOPBACK, self._services.answerer.port
        request.stream = True
        flow.server_conn = Server(address=(LOOPBACK, self._services.answerer.port))

    def _restore(self) -> None:
        if self._as_it_came is None:
            return
        request = self._flow.request
        headers, host, port, scheme, authority, server = self._as_it_came
        request.scheme, request.host, request.port = scheme, host, port
        request.headers, request.authority = headers, authority
        self._flow.server_conn = server
        self._as_it_came = None

    def _asked_for(self) -> tuple[bytes, bytes]:
        fields = self._flow.request.headers.fields
        return first_value(fields, b"accept"), first_value(fields, b"accept-language")

    # -- the answer --------------------------------------------------------------------------------------------------------

    def on_response_head(self) -> None:
        """The site's response begins, or that of our own server."""
        response = self._flow.response
        if response is None:
            return
        if self._as_it_came is not None:
            self._restore()
            response.stream = True
            return
        if self._is_over or self._ticket is None:
            return
        self._headed = perf_counter()
        response.stream = self._pass
        forwarding = self._ticket.forwarding
        if forwarding is None:
            return
        fields = tuple(response.headers.fields)
        kept = without(fields, forwarding.hide)
        if len(kept) < len(fields) and forwarding.on_hidden_value is not None:
            forwarding.on_hidden_value(b"".join(value for name, value in fields if name.lower() == forwarding.hide))
        response.headers = Headers(with_added(kept, forwarding))

    def on_end(self) -> None:
        """The response is whole."""
        self._services.answerer.forget(self._word)
        response = self._flow.response
        self._finish(0 if response is None else response.status_code)

    def on_failure(self) -> None:
        """The flow has ended in an error: of the client, of the site, or ours to kill it."""
        self._services.answerer.forget(self._word)
        self._restore()
        error, response = self._flow.error, self._flow.response
        if error is not None and "client" in error.msg.lower():
            self._finish(CLIENT_GONE if response is None else response.status_code, "client-gone")
            return
        was_reached = self._flow.server_conn.timestamp_tcp_setup is not None
        self._finish(
            BAD_GATEWAY if response is None else response.status_code, "upstream-closed" if was_reached else "upstream-connect"
        )

    def on_client_left(self) -> None:
        """The client's connection is closed, whatever became of the flow."""
        self._services.answerer.forget(self._word)
        self._finish(CLIENT_GONE, "client-gone")

    def _finish(self, status: int, fault: str = "", *, sent: int | None = None) -> None:
        if self._is_over:
            return
        self._is_over = True
        if sent is not None:
            self._sent = sent
        if self._ticket is not None:
            self._settle(status, fault)

    def _settle(self, status: int, fault: str) -> None:
        ticket = self._ticket
        if ticket is None:
            return
        if self._is_counted:
            self._is_counted = False
            self._services.under_way.leave(ticket.request.client, _NO_SITE)
        now = perf_counter()
        reached = self._since if self._headed is not None or not fault else None
        served = Served(
            status,
            self._sent,
            self._received,
            None if reached is None else now - reached,
            now - self._started,
            fault,
            None if reached is None or self._headed is None else self._headed - reached,
        )
        self._services.checker.settle(ticket, served)


def _peer(flow: HTTPFlow) -> Address:
    """Who is connected to mitmproxy; an address of nobody when it does not know."""
    host, port = flow.client_conn.peername[:2] if flow.client_conn.peername else ("0.0.0.0", 0)  # noqa: S104 - nothing listens there
    return Address.parse(host, port or None)
