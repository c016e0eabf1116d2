"""What the streams of one HTTP/2 connection share with each other and with its layer."""

from __future__ import annotations

from typing import Final

from proxyguard.adapters.mitmproxy.messages import Outbox
from proxyguard.adapters.mitmproxy.services import ClientState, FrontServices
from proxyguard.http.http1.heads import ResponseHead
from proxyguard.http.http2.hpack import Field
from proxyguard.http.http2.intake import Intake, Streams
from proxyguard.http.http2.response_fields import response_fields
from proxyguard.http.http2.sending import Sender

PROXY_ALLOWANCE: Final = 20
"""How many times `http2_resets` a trusted proxy may reset: many people share its connection."""


QUEUED_BYTES: Final = 32 * 1024
"""What of a response may wait for the client's windows before the rest is held back in its exchange."""

STREAM_BYTES: Final = QUEUED_BYTES + 64 * 1024
"""What a stream has waiting at most: a little less than that, and one piece of a response."""


class Http2Connection:
    """The two directions of a connection, and the event at hand: `now` is its time, `is_busy` says that there is one.

    `tarpits` counts the streams that are held, `refused` the requests for which there was no room beside those under way.
    `is_shared`: a trusted proxy has it, so what one client asks for, or does not take, is not to end or hold up what others have
    under way. `most_queued` is what all streams together may have waiting for windows.
    """

    __slots__ = (
        "_fields", "_head", "bounds", "intake", "is_busy", "is_shared", "link", "most_queued", "now", "outbox", "refused",
        "sender", "services", "tarpits",
    )  # fmt: skip

    def __init__(self, services: FrontServices, link: ClientState, streams: Streams) -> None:
        self.services = services
        self.link = link
        self.bounds = bounds = services.bounds
        self.outbox = Outbox()
        self.now = services.clock()
        self.is_busy = False
        self._head: ResponseHead | None = None
        self._fields: list[Field] = []
        self.tarpits = 0
        self.refused = 0
        self.sender = Sender(remembers=True)
        self.is_shared = services.resolver.trusted.contains(link.peer)
        allowance = PROXY_ALLOWANCE if self.is_shared else 1
        resets = bounds.http2_resets * allowance
        self.most_queued = bounds.http2_streams * STREAM_BYTES if self.is_shared else bounds.buffer_bytes
        self.intake = Intake(
            streams, self.sender, bounds, self.now, resets=resets, facts=link.facts, is_shared=self.is_shared
        )  # fmt: skip

    def fields_of(self, head: ResponseHead) -> list[Field]:
        """The fields of a response, the same list while its head is the very same: what an upstream repeats is read once."""
        if head is not self._head:
            self._head = head
            self._fields = response_fields(head)
        return self._fields

    def blame(self) -> None:
        """Hold a request that was malformed or dropped against its connection. Raises BoundExceeded."""
        if not self.is_shared:
            self.intake.resets.spend(self.now)

    def wake(self) -> None:
        """Have what was written outside of an event sent."""
        if not self.is_busy and self.link.wake is not None:
            self.link.wake()
