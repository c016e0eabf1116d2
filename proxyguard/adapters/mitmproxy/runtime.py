"""What drives all connections of a worker: each of the parts once, in one tuple."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from proxyguard.adapters.mitmproxy.admission import Admission
from proxyguard.adapters.mitmproxy.embed import Embedding
from proxyguard.adapters.mitmproxy.pending_checks import PendingChecks
from proxyguard.adapters.mitmproxy.reading import ReadBuffer
from proxyguard.adapters.mitmproxy.services import FrontServices
from proxyguard.adapters.mitmproxy.timers import TimerWheel
from proxyguard.adapters.mitmproxy.upstream.pool import UpstreamPool

if TYPE_CHECKING:
    from proxyguard.adapters.mitmproxy.driver import ClientConnection


class Runtime(NamedTuple):
    """See the module."""

    loop: asyncio.AbstractEventLoop
    services: FrontServices
    embedding: Embedding
    pool: UpstreamPool
    wheel: TimerWheel
    admission: Admission
    connections: set[ClientConnection]
    buffer: ReadBuffer
    checks: PendingChecks
