"""mitmproxy's hooks for flows: each leads to the exchange of its flow.

mitmproxy logs what a hook raises, and forwards the request all the same. So a fault here ends the flow: what was not checked
does not reach the site.
"""

from __future__ import annotations

import logging

from proxyguard.adapters.mitmproxy_addon.flow_exchange import FlowExchange
from proxyguard.adapters.mitmproxy_addon.marks import mark_fault
from proxyguard.adapters.mitmproxy_addon.public import Client, HTTPFlow, kill
from proxyguard.adapters.mitmproxy_addon.services import AddonServices

logger = logging.getLogger(__name__)


class FlowHooks:
    """An addon of mitmproxy. While `services` is None there are no rules, and no request passes."""

    name = "proxyguard-flows"

    def __init__(self) -> None:
        self.services: AddonServices | None = None
        self._exchanges: dict[str, FlowExchange] = {}
        """By flow. Bounded by the flows that mitmproxy has open."""
        self._of_client: dict[str, set[str]] = {}

    async def requestheaders(self, flow: HTTPFlow) -> None:
        """The head of a request has come."""
        if flow.error is not None:  # mitmproxy refuses it for its form, and only shows it
            mark_fault(flow, f"refused by mitmproxy: {flow.error.msg}")
            return
        if self.services is None:
            mark_fault(flow, "refused: no rules are in force")
            kill(flow)
            return
        try:
            exchange = FlowExchange(self.services, flow)
            self._exchanges[flow.id] = exchange
            self._of_client.setdefault(flow.client_conn.id, set()).add(flow.id)
            await exchange.begin()
        except Exception as error:
            logger.exception("a request could not be checked, and is refused without an answer")
            self.services.events.internal_error("addon", error)
            mark_fault(flow, "refused: a fault of the addon, see its log")
            kill(flow)

    def responseheaders(self, flow: HTTPFlow) -> None:
        """The head of a response has come."""
        exchange = self._exchanges.get(flow.id)
        if exchange is not None:
            exchange.on_response_head()

    def response(self, flow: HTTPFlow) -> None:
        """A response is whole."""
        exchange = self._forget(flow)
        if exchange is not None:
            exchange.on_end()

    def error(self, flow: HTTPFlow) -> None:
        """A flow has failed."""
        exchange = self._forget(flow)
        if exchange is not None:
            exchange.on_failure()

    def client_disconnected(self, client: Client) -> None:
        """A client's connection is closed: what is still open of it ends here, should mitmproxy not say so."""
        for name in self._of_client.pop(client.id, ()):
            exchange = self._exchanges.pop(name, None)
            if exchange is not None:
                exchange.on_client_left()

    def _forget(self, flow: HTTPFlow) -> FlowExchange | None:
        of_client = self._of_client.get(flow.client_conn.id)
        if of_client is not None:
            of_client.discard(flow.id)
            if not of_client:
                del self._of_client[flow.client_conn.id]
        return self._exchanges.pop(flow.id, None)
