"""Orders about restrictions that several instances share, through the store that they count in: one command is enough for all.

An order is kept as a ban of a key that no request has, because bans reach all instances within a second, outlive restarts and end
by themselves. What belongs to no name that all instances know (a restriction given by command, an alarm that is on) stands in one
of a few numbered slots, so that looking is a handful of look-ups; who loses a slot to another instance takes another one. An
alarm's slot is a lease: it ends with the instance that said it. Knows nothing of a store's workings.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from proxyguard.core.decision import Reject
from proxyguard.limits.stores.bans import ORDER_MARK
from proxyguard.limits.stores.store import AsyncStore, BanRecord, BanTerms, Store
from proxyguard.policy.model import Restriction
from proxyguard.restrictions.monitor import NO_ALARMS, Ended, GivenRestriction, Overrides, Started

START: Final = f"{ORDER_MARK}start:"
END: Final = f"{ORDER_MARK}end:"
GIVEN: Final = f"{ORDER_MARK}given:"
ALARM: Final = f"{ORDER_MARK}alarm:"

GIVEN_SLOTS: Final = 40
"""Twice what one instance may give."""

ALARM_SLOTS: Final = 8
"""Of each restriction. When as many instances say that an alarm is on, nobody needs another to say so."""

LEASE_SECONDS: Final = 10.0
"""How long an alarm stays on elsewhere when the instance that said so is gone."""

type Saved = Callable[[], Awaitable[bool]]
"""Whether the server has what the store was told so far; waits for it a little."""


class CollectedOverrides(NamedTuple):
    """What all instances said: their orders, and by name the steps that alarms of others have reached."""

    orders: Overrides = Overrides()
    alarms: Mapping[str, int] = NO_ALARMS


class SharedOverrides:
    """The orders in a store, as one instance sees and gives them."""

    def __init__(self, store: Store | AsyncStore, saved: Saved) -> None:
        self._store = store
        self._me = secrets.token_hex(4)
        self.saved = saved

    def start(self, restriction: Restriction, order: Started) -> None:
        """Tell all instances of a start."""
        ends = restriction.until if order.until is None else min(order.until, restriction.until)
        self._lift(END + restriction.name, START + restriction.name)
        self._publish(START + restriction.name, "started by command", "", order.since, ends)

    def give(self, name: str, order: GivenRestriction) -> None:
        """Tell all instances of a restriction that no file has, in place of one of this name."""
        older = [key for key, each, _ in self._given(order.since) if each == name]
        free = self._free(GIVEN, GIVEN_SLOTS, order.since)
        self._lift(END + name)
        if free:
            note = json.dumps({**order.plain, "until_seconds": order.until})
            self._publish(secrets.choice(free), "given by command", note, order.since, order.until)
        self._lift(*older)

    def end(self, restriction: Restriction, order: Ended) -> None:
        """Tell all instances of an end, or a roll-back."""
        name = restriction.name
        given = [key for key, each, _ in self._given(order.at) if each == name]
        self._lift(START + name, END + name)
        self._publish(END + name, order.reason, order.identity, order.at, restriction.until)
        self._lift(*given)

    def alarm(self, name: str, step: int | None, now: float) -> None:
        """Say how far an alarm of this instance has come, or (None) that it is over. To be repeated while it is on."""
        prefix = f"{ALARM}{name}:"
        own = [record for record in self._slots(prefix, ALARM_SLOTS, now) if record.note.startswith(self._me)]
        note = f"{self._me}/{step}"
        if any(record.note == note and record.until - now > LEASE_SECONDS / 2 for record in own):
            return
        if step is not None:
            free = self._free(prefix, ALARM_SLOTS, now)
            if not free:
                return
            self._publish(secrets.choice(free), "an alarm is on", note, now, now + LEASE_SECONDS)
        self._lift(*(record.key for record in own))  # the new one is there already: nobody sees a gap

    def collect(self, restrictions: Iterable[Restriction], own: Iterable[str], now: float) -> CollectedOverrides:
        """What all instances said, this one included but for its own alarms; `own` names what this one gave."""
        started: dict[str, Started] = {}
        ended: dict[str, Ended] = {}
        alarms: dict[str, int] = {}
        given = {name: order for _, name, order in sorted(self._given(now), key=lambda each: each[2].since)}
        for name in {*given, *own, *(each.name for each in restrictions)}:
            begun, over = self._store.banned(START + name, now), self._store.banned(END + name, now)
            if begun is not None:
                started[name] = Started(begun.since, begun.until)
            if over is not None:
                ended[name] = Ended(over.since, over.reason, over.note)
        for restriction in restrictions:
            if restriction.alarm is not None:
                steps = [*self._steps(restriction.name, now)]
                if steps:
                    alarms[restriction.name] = max(steps)
        return CollectedOverrides(Overrides(started, ended, given), alarms)

    def _steps(self, name: str, now: float) -> Iterator[int]:
        """How far alarms of other instances have come."""
        for record in self._slots(f"{ALARM}{name}:", ALARM_SLOTS, now):
            who, _, step = record.note.partition("/")
            if who != self._me and step.isdecimal():
                yield int(step)

    def _given(self, now: float) -> Iterator[tuple[str, str, GivenRestriction]]:
        """Slot, name and order of each restriction that is given."""
        for record in self._slots(GIVEN, GIVEN_SLOTS, now):
            plain = _plain(record.note)
            if plain is not None:
                until = plain.pop("until_seconds")
                yield record.key, plain["name"], GivenRestriction(record.since, until, plain)

    def _slots(self, prefix: str, count: int, now: float) -> list[BanRecord]:
        """The slots that are taken."""
        found = (self._store.banned(f"{prefix}{slot}", now) for slot in range(count))
        return [record for record in found if record is not None]

    def _free(self, prefix: str, count: int, now: float) -> list[str]:
        return [key for slot in range(count) if self._store.banned(key := f"{prefix}{slot}", now) is None]

    def _lift(self, *keys: str) -> None:
        for key in keys:
            self._store.unban(key)

    def _publish(self, key: str, reason: str, note: str, now: float, until: float) -> None:
        if until > now:
            self._store.ban(
                key, "operator", reason, BanTerms(until - now, Reject(), forget_seconds=0.0, note=note), now
            )


def _plain(note: str) -> dict[str, Any] | None:
    """A restriction as another instance wrote it; None for what is none."""
    try:
        plain = json.loads(note)
    except ValueError:
        return None
    if isinstance(plain, dict) and isinstance(plain.get("name"), str):
        return plain if isinstance(plain.get("until_seconds"), int | float) else None
    return None
