"""mitmproxy's NextLayer for layers that give their commands as lists: asks the addons which layer comes next, then steps aside.

The original pauses while it asks, and replays what came meanwhile as generators only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from proxyguard.adapters.mitmproxy.messages import Arrived, Heard, Listener, Order
from proxyguard.adapters.mitmproxy.private import (
    CloseConnection,
    CommandGenerator,
    ConnectionClosed,
    Context,
    DataReceived,
    Event,
    HookCompleted,
    NextLayer,
    NextLayerHook,
)


class ProtocolChooser(NextLayer):
    """Keeps events until an addon has set `layer`, asking at the first bytes and, if nothing was chosen, at each more."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._chosen: Listener | None = None
        self._asking = False

    @property
    def chosen(self) -> Listener | None:
        """The layer that has taken over, and may be asked in its place."""
        return self._chosen

    def handle_event(self, event: Heard) -> Iterable[Order]:  # type: ignore[override]  # an iterable is all that is used
        chosen = self._chosen
        if chosen is not None:
            return chosen.handle_event(event)
        return () if isinstance(event, Arrived) else self._choose(event)

    def _choose(self, event: Event) -> CommandGenerator[None]:
        if isinstance(event, HookCompleted):
            self._asking = False
            yield from self._step_aside()
            return
        self.events.append(event)
        if self._asking:
            return
        if isinstance(event, ConnectionClosed):
            yield CloseConnection(self.context.client)
        elif isinstance(event, DataReceived):
            self._asking = True
            hook = NextLayerHook(self)
            hook.blocking = self  # type: ignore[assignment]  # a bool, or the layer that waits: those above do not
            yield hook

    def _step_aside(self) -> CommandGenerator[None]:
        layer = self.layer
        if layer is None:
            if any(isinstance(event, ConnectionClosed) for event in self.events):
                yield CloseConnection(self.context.client)
            return
        kept, self.events = self.events, []
        self._chosen = cast("Listener", layer)
        for event in kept:
            yield from layer.handle_event(event)
