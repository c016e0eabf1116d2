"""Overrides of restrictions that instances share, as notes in the store that they count in: one command is enough for all.

One note holds the last order about a restriction, `override:NAME`: of a start and an end the later counts, wherever it was given.
A pause is a note `pause:RULE`. Each instance says in notes of its own how far its alarms have come, `alarm:NAME:INSTANCE`. Such a
note is a lease: it ends with the instance that wrote it. Knows nothing of a store's workings.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from proxyguard.limits.clock import CLOCK
from proxyguard.limits.stores.store import AsyncStore, Store
from proxyguard.policy.model import Restriction
from proxyguard.restrictions.monitor import NO_ALARMS, Ended, GivenRestriction, Overrides, Started
from proxyguard.restrictions.pauses import MAX_SECONDS, Pause

MAX_SHARED_GIVEN: Final = 40
"""Restrictions given by command that instances share: twice what one instance may give."""

MAX_FOLLOWED: Final = 8
"""Instances that say of one restriction that its alarm is on. When so many do, nobody needs another to say so."""

LEASE_SECONDS: Final = 10.0
"""How long an alarm stays on elsewhere when the instance that said so is gone."""

type Saved = Callable[[], Awaitable[bool]]
"""Whether the server has what the store was given so far; waits for it a little."""


class _Start(msgspec.Struct, tag="start", frozen=True):
    """A `Started`; its times are the note's."""


class _End(msgspec.Struct, tag="end", frozen=True):
    """An `Ended`."""

    reason: str
    identity: str


class _Give(msgspec.Struct, tag="give", frozen=True):
    """A `GivenRestriction`. Its times are the note's: each instance has a line of its own. `until` is for instances of before."""

    plain: dict[str, Any]
    until: float


class _Pause(msgspec.Struct, frozen=True):
    """A `Pause` of so many seconds from the note's beginning; it is remembered until the note's end."""

    seconds: float
    why: str = ""
    by: str = ""


type _Order = _Start | _End | _Give

_encode = msgspec.json.Encoder().encode
_pause_decoder: msgspec.json.Decoder[_Pause] = msgspec.json.Decoder(_Pause)
_decoder: msgspec.json.Decoder[_Order] = msgspec.json.Decoder(_Start | _End | _Give)


class CollectedOverrides(NamedTuple):
    """What all instances said: their orders, and by name the steps that alarms of others have reached."""

    orders: Overrides = Overrides()
    alarms: Mapping[str, int] = NO_ALARMS


class SharedOverrides:
    """The overrides in a store, as one instance reads and writes them. Writing gives False when the store has no room."""

    def __init__(self, store: Store | AsyncStore, saved: Saved) -> None:
        self._store = store
        self._instance = secrets.token_hex(4)
        self.saved = saved

    def start(self, restriction: Restriction, order: Started) -> bool:
        """Share a start."""
        ends = CLOCK.line(restriction.until)
        until = ends if order.until is None else min(order.until, ends)
        return self._put(restriction.name, _Start(), until, order.since)

    def give(self, name: str, order: GivenRestriction) -> bool:
        """Share a restriction that no file has, in place of one of this name."""
        others = self.collect(order.since).orders.given.keys() - {name}
        return len(others) < MAX_SHARED_GIVEN and self._put(
            name, _Give(dict(order.plain), CLOCK.wall(order.until)), order.until, order.since
        )

    def end(self, restriction: Restriction, order: Ended) -> bool:
        """Share an end, or a roll-back."""
        return self._put(restriction.name, _End(order.reason, order.identity), CLOCK.line(restriction.until), order.at)

    def pause(self, name: str, order: Pause) -> bool:
        """Share a pause, or that one is over."""
        text = _encode(_Pause(order.until - order.since, order.why, order.by)).decode()
        return self._store.put_note(f"pause:{name}", text, order.kept, order.since)

    def alarm(self, name: str, step: int | None, now: float) -> None:
        """Say how far an alarm of this instance has come, or (None) that it is over. To be repeated while it is on."""
        prefix = f"alarm:{name}:"
        text = "" if step is None else str(step)
        mine = self._store.note(prefix + self._instance, now)
        if mine is None:
            if not text or sum(note.name.startswith(prefix) for note in self._store.notes(now)) >= MAX_FOLLOWED:
                return
        elif mine.text == text and (not text or mine.until - now > LEASE_SECONDS / 2):
            return
        self._store.put_note(prefix + self._instance, text, now + LEASE_SECONDS, now)

    def collect(self, now: float) -> CollectedOverrides:
        """What all instances said, this one included but for its own alarms."""
        started: dict[str, Started] = {}
        ended: dict[str, Ended] = {}
        given: dict[str, GivenRestriction] = {}
        paused: dict[str, Pause] = {}
        alarms: dict[str, int] = {}
        for note in self._store.notes(now):
            kind, _, name = note.name.partition(":")
            if kind == "alarm":
                name, _, instance = name.rpartition(":")
                if instance != self._instance and note.text.isdecimal():
                    alarms[name] = max(alarms.get(name, 0), int(note.text))
            elif kind == "pause":
                said = _pause(note.text)
                if said is not None:
                    paused[name] = Pause(note.since, note.since + min(said.seconds, MAX_SECONDS), note.until, said.why, said.by)
            elif kind == "override":
                match _order(note.text):
                    case _Start():
                        started[name] = Started(note.since, note.until)
                    case _End(reason, identity):
                        ended[name] = Ended(note.since, reason, identity)
                    case _Give(plain) if plain.get("name") == name:
                        given[name] = GivenRestriction(note.since, note.until, plain)
        return CollectedOverrides(Overrides(started, ended, given, paused), alarms)

    def _put(self, name: str, order: _Order, until: float, now: float) -> bool:
        """One that is over already needs no room."""
        return until <= now or self._store.put_note(f"override:{name}", _encode(order).decode(), until, now)


def _order(text: str) -> _Order | None:
    """An order as another instance wrote it; None for anything else."""
    try:
        return _decoder.decode(text)
    except msgspec.DecodeError:
        return None


def _pause(text: str) -> _Pause | None:
    """As `_order`."""
    try:
        return _pause_decoder.decode(text)
    except msgspec.DecodeError:
        return None
