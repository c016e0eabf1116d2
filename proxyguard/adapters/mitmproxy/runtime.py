"""What all client connections of a worker share."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from proxyguard.adapters.mitmproxy.admission import Admission
from proxyguard.adapters.mitmproxy.embed import Embedding
from proxyguard.adapters.mitmproxy.masking import Masking
from proxyguard.adapters.mitmproxy.messages import ClientHandle
from proxyguard.adapters.mitmproxy.pending_checks import PendingChecks
from proxyguard.adapters.mitmproxy.reading import ReadBuffer
from proxyguard.adapters.mitmproxy.services import FrontServices
from proxyguard.adapters.mitmproxy.timers import TimerWheel
from proxyguard.adapters.mitmproxy.upstream.pool import UpstreamPool
from proxyguard.core.address import Address


class Runtime(NamedTuple):
    """The parts that drive client connections, each once per worker."""

    loop: asyncio.AbstractEventLoop
    services: FrontServices
    embedding: Embedding
    pool: UpstreamPool
    wheel: TimerWheel
    admission: Admission
    connections: set[ClientHandle]
    buffer: ReadBuffer
    checks: PendingChecks
    masking: Masking

    def on_end(self, peer: Address) -> None:
        """A connection that `admission` let in has ended; `peer` is whose it was at last."""
        self.admission.leave(peer)
        self.services.events.connection_closed()
