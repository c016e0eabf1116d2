"""Answers that do not pass as they come: those that are masked, and those that are the same whatever the site says.

The site gets its request as usual, and its answer is taken whole before the client gets a byte. An answer that cannot be masked
is refused. A uniform one goes out at a time that is counted from when the site got the whole request: had the client a say in
when that clock begins, it could place the site's answer to either side of the next tick. Decisions and ends are the exchange's.
"""

from __future__ import annotations

from math import inf
from typing import Final

from proxyguard.adapters.mitmproxy.buffering.response_spool import PIECE_BYTES, ResponseSpool
from proxyguard.adapters.mitmproxy.forwarded_fields import dressed, first_value
from proxyguard.adapters.mitmproxy.masking_process import MaskResult
from proxyguard.adapters.mitmproxy.messages import AwaitMask, AwaitTime
from proxyguard.adapters.mitmproxy.phase import Phase
from proxyguard.adapters.mitmproxy.waiting_bodies import Altered, Consent, WaitingBodies
from proxyguard.core.decision import Mask, Uniform
from proxyguard.core.request import Headers
from proxyguard.http.altered_fields import asking_for_all, masked_fields, uniform_fields
from proxyguard.http.http1.heads import Body, BodyKind, ResponseEvent, ResponseHead
from proxyguard.http.masking import CannotMask, kind_of
from proxyguard.http.reason_phrases import reason_phrase

ANSWER_SECONDS: Final = 30.0
"""From the head of an answer that is to be masked to its end: one that never ends is not held for ever."""

MASK_SECONDS: Final = 15.0
"""How long an answer waits for its turn to be masked."""

HELD_BODY_BYTES: Final = 64 * 1024
"""The longest request whose answer can be evened out: the site gets it when all of it is here."""

UNREADABLE: Final = 403
BUSY: Final = 503
"""Statuses of what is refused as it cannot be masked: for what it is, or for now."""

_FOR_NOW: Final = frozenset({"mask-busy", "mask-memory", "mask-crashed", "mask-timeout"})


class AlteredAnswer(WaitingBodies):
    """What an Exchange does with an answer that is to be changed. `_altered` is None for all others."""

    __slots__ = ()

    def _alter(self, action: Mask | Uniform, now: float) -> None:
        """Forward a request whose answer is to be changed. Upgrades are not: nobody could look into them."""
        head = self._head
        if head.upgrade is not None:
            self.fail(UNREADABLE, "altered-upgrade", now)
            return
        self._altered = Altered(action)
        self._head = head.with_headers(asking_for_all(head.method, head.headers))
        self._forward(now)

    @property
    def _least_held(self) -> int:
        return HELD_BODY_BYTES if self._altered is not None and isinstance(self._altered.action, Uniform) else 0

    def _is_incomplete(self, now: float) -> bool:
        """Whether the site was to get a request before all of it is here, which is then refused: see the module."""
        altered = self._altered
        if altered is None or self.upstream.is_whole or not isinstance(altered.action, Uniform):
            return False
        self._altered = None
        self._services.events.bound_exceeded("uniform_body")
        self.fail(413, "uniform-size", now)
        return True

    # -- the site's answer -----------------------------------------------------------------------------------------------

    def _collect(self, event: ResponseEvent, now: float) -> bool:
        """Take some of the answer. False when it is to pass as it is after all, from its head on."""
        altered = self._altered
        assert altered is not None  # noqa: S101 - the caller looks
        if isinstance(event, ResponseHead):
            return self._take_head(altered, event, now)
        if isinstance(event, Body):
            self.deadline = min(now + self._services.bounds.upstream_gap_seconds, altered.until)
            if isinstance(altered.action, Mask):
                self._hold_for_mask(altered, altered.action, event.data, now)
        else:
            self.upstream.until = now
            self._taken(altered, now)
        return True

    def _take_head(self, altered: Altered, head: ResponseHead, now: float) -> bool:
        if head.status < 200:
            if head.status == 100 and self._consent is not Consent.GIVEN:
                self._consented(head, now)
            return True
        action = altered.action
        if isinstance(action, Mask) and head.body is not BodyKind.NONE and head.content_length != 0:
            try:
                kind = kind_of(action, first_value(head.headers, b"content-type").decode("latin-1"))
            except CannotMask as fault:
                self.fail(UNREADABLE, fault.reason, now)
                return True
            if head.status == 206 and kind:
                self.fail(UNREADABLE, "mask-part", now)
                return True
            if not kind:
                self._altered = None
                return False
        if self._forwarding is not None:
            head = dressed(head, self._forwarding)
        altered.head = head
        altered.until = now + ANSWER_SECONDS
        self.upstream.answered(head.status, now)
        self.deadline = now + self._services.bounds.upstream_gap_seconds
        return True

    def _hold_for_mask(self, altered: Altered, mask: Mask, data: bytes, now: float) -> None:
        if len(altered.body) + len(data) > mask.most_bytes:
            self._services.events.bound_exceeded("mask_bytes")
            self.fail(UNREADABLE, "mask-size", now)
        elif not self._services.buffers.memory.take(self._network, len(data)):
            self._services.events.bound_exceeded("buffering_memory")
            self.fail(BUSY, "mask-memory", now)
        else:
            altered.body += data

    def _taken(self, altered: Altered, now: float) -> None:
        """The answer is whole: the site has nothing more to do with it."""
        action, head = altered.action, altered.head
        assert head is not None  # noqa: S101 - the parser gives it first
        self.upstream.release(reusable=True, flush=False)
        if isinstance(action, Uniform):
            self._wait_for_time(action, now)
        elif not altered.body:
            nothing = None if head.body is BodyKind.NONE else b""
            self._send_changed(head.status, head.reason, self._without_body(action, head), nothing, now)
        else:
            self.phase = Phase.ALTERING
            self.deadline = now + MASK_SECONDS
            media, encoding = (
                first_value(head.headers, name).decode("latin-1") for name in (b"content-type", b"content-encoding")
            )
            self._outbox.commands.append(AwaitMask(self, (action, media, encoding, bytes(altered.body)), self._network))

    def _without_body(self, mask: Mask, head: ResponseHead) -> Headers:
        media = first_value(head.headers, b"content-type")
        fields = masked_fields(mask, head.headers)
        return ((b"Content-Type", media), *fields) if media else fields

    def answer_ready(self, result: MaskResult | None, now: float) -> None:
        """Send the answer that was waited for; of one that was masked what is left, or a refusal."""
        altered = self._altered
        if self.phase is not Phase.ALTERING or altered is None:
            return  # the client did not wait
        action, head = altered.action, altered.head
        if isinstance(action, Uniform):
            self._send_uniform(action, now)
            return
        reason, media, body = result or ("mask-error", "", b"")
        if reason or head is None:
            self.fail(BUSY if reason in _FOR_NOW else UNREADABLE, reason, now)
            return
        fields = ((b"Content-Type", media.encode("latin-1")), *masked_fields(action, head.headers))
        self._send_changed(head.status, head.reason, fields, body, now)

    # -- a uniform answer ------------------------------------------------------------------------------------------------

    def _evens_out(self, fault: str, now: float) -> bool:
        """Whether a failure is to look like any other answer: from the moment on at which the site has the request."""
        altered = self._altered
        if altered is None or not isinstance(altered.action, Uniform) or self.upstream.since is None:
            return False
        if self.phase is Phase.ALTERING:
            return True
        self._services.events.bound_exceeded("uniform_" + fault.replace("-", "_"))
        self.upstream.release(reusable=False, flush=False)
        self._wait_for_time(altered.action, now)
        return True

    def _wait_for_time(self, action: Uniform, now: float) -> None:
        """Set the time of the answer: after one grid, or two, four, eight, so that late ones tell as little as they can."""
        since, seconds = self.upstream.since, action.grid_seconds
        assert since is not None  # noqa: S101 - the site has the request
        if now > since + seconds:
            self._services.events.bound_exceeded("uniform_grid")
        while now > since + seconds:
            seconds *= 2
        self.phase = Phase.ALTERING
        self.deadline = inf
        self._outbox.commands.append(AwaitTime(self, since + seconds))

    def _send_uniform(self, action: Uniform, now: float) -> None:
        added = () if self._forwarding is None else self._forwarding.add
        body = None if self._head.method == b"HEAD" else action.body.encode()
        self._send_changed(action.status, reason_phrase(action.status), uniform_fields(action, added), body, now)

    # -- to the client ---------------------------------------------------------------------------------------------------

    def _send_changed(self, status: int, reason: bytes, fields: Headers, body: bytes | None, now: float) -> None:
        """Send an answer; one that the client does not take at once waits as any other does."""
        self._forget_altered()
        codec = self._codec
        spool = None
        if body and (len(body) > PIECE_BYTES or codec.is_behind):
            spool = ResponseSpool(self._services.buffers, self._buffering, self._network)
            if not spool.hold(body):
                spool.close()
                self._services.events.bound_exceeded("buffering_memory")
                self.fail(BUSY, "mask-memory", now)
                return
        is_dated = any(name.lower() == b"date" for name, _ in fields)
        fields = fields if is_dated else (*fields, (b"Date", self._services.date()))
        kind, length = (BodyKind.NONE, None) if body is None else (BodyKind.LENGTH, len(body))
        self._status = status
        self._responded = True
        self.deadline = inf
        codec.send_head(ResponseHead(status, reason, fields, b"1.1", kind, length, keep_alive=True, nominated=()))
        if spool is not None:
            self._spool = spool
            self._complete_later(spool, ())
            self.pump(now)
            return
        if body:
            self.bytes_sent += len(body)
            codec.send_body(body)
        self.complete((), now)
