"""What keys used on earlier days, so that a limit of each day can be as wide as an office needs and tight for everybody else.

A day of a key is what it used of its limit that day, as the store said: all workers and instances learn the same. What is usual
is the median of the last seven days: two days of much make nothing usual, and who doubles its use needs four days for each step.
Only keys that come near their limit are kept, in a bounded table in which a client network has a share; none ever gives way to
another one. Days on which all of a rule's keys together used far more than usual are left out. Days begin when those of the
limit's time zone do, and at most one in twelve hours of the line, whatever is done to the clock.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.shares import Shares

DAYS: Final = 7

KNOWN_DAYS: Final = 3
"""So many days are to be known before anything is held against a key that has no history."""

LEAST_DAY_SECONDS: Final = 12 * 3600.0
DAY_SECONDS: Final = 86_400.0
UTC: Final = "UTC"

SURGE_TIMES: Final = 2.0
LEAST_SURGE: Final = 500.0
"""A day is a surge when so many times what is usual was used by all keys of a rule, and at least so many units more."""

MOST_SURGES: Final = 7
"""So many days of surge on end are how things are now."""

MAX_KEYS: Final = 32_768
"""About 300 bytes each, keys with an address in them."""

KEYS_OF_NETWORK: Final = 256
"""Of one client network: all addresses of a /24."""

MAX_RULES: Final = 1_000

_FORGOTTEN_AT_ONCE: Final = 2

_rule_names: Final[dict[str, str]] = {}
"""By the head of a limit's keys, which comes of the rules: MAX_RULES of them, then it begins anew."""


class _RuleDays:
    """The days of one rule. `serial` numbers them; those in `dropped` were surges."""

    __slots__ = ("dropped", "is_frozen", "serial", "surges", "time_zone", "total", "totals")

    def __init__(self) -> None:
        self.time_zone = UTC
        self.serial = 0
        self.total = 0.0
        self.totals: list[float] = []
        self.dropped: list[int] = []
        self.surges = 0
        self.is_frozen = False

    def end_day(self) -> None:
        """Take the day that ends into account, or leave it out."""
        is_surge = self.is_frozen or self._is_surge()
        self.is_frozen = False
        if is_surge and self.surges < MOST_SURGES:
            self.surges += 1
            self.dropped = [*self.dropped, self.serial][-2 * DAYS :]
        else:
            self.totals = [self.total] * DAYS if is_surge else [self.total, *self.totals][:DAYS]
            self.surges = 0
        self.serial += 1
        self.total = 0.0

    def _is_surge(self) -> bool:
        if len(self.totals) < KNOWN_DAYS:
            return False
        usual = _median(self.totals, len(self.totals))
        return self.total > SURGE_TIMES * usual and self.total > usual + LEAST_SURGE


class _KeyDays:
    """The days of one key, the last one first, and what it used today."""

    __slots__ = ("day", "days", "network", "today")

    def __init__(self, day: int, network: str) -> None:
        self.day = day
        self.network = network
        self.today = 0.0
        self.days = array("d")

    def go_on_to(self, rule: _RuleDays) -> None:
        """Turn days that are over into earlier ones."""
        if self.day == rule.serial:
            return
        first = max(self.day, rule.serial - 2 * DAYS)
        for serial in range(first, rule.serial):
            if serial not in rule.dropped:
                self.days.insert(0, self.today if serial == self.day else 0.0)
        del self.days[DAYS:]
        self.day, self.today = rule.serial, 0.0


class DailyUse:
    """The days of all keys. `refusals` counts keys that found no room."""

    __slots__ = ("_days", "_keys", "_networks", "_rules", "_turned", "refusals")

    def __init__(self) -> None:
        self._rules: dict[str, _RuleDays] = {}
        self._keys: dict[str, _KeyDays] = {}
        self._networks = Shares()
        self._days: dict[str, tuple[int, float]] = {}
        """By time zone, the day and when it began on the line."""
        self._turned = 0.0, 0.0
        """The last `turn`."""
        self.refusals = 0

    def __len__(self) -> int:
        """Keys that are remembered."""
        return len(self._keys)

    def turn(self, now: float, wall: float) -> None:
        """Begin another day when it is time; `now` is the line's, `wall` the same moment by the calendar."""
        self._turned = now, wall
        if UTC not in self._days:
            self._days[UTC] = _day_of(wall, UTC), now
        for zone, (known, began) in self._days.items():
            day = _day_of(wall, zone)
            if day != known and now - began >= LEAST_DAY_SECONDS:
                self._days[zone] = day, now
                for rule in self._rules.values():
                    if rule.time_zone == zone:
                        rule.end_day()

    def begin(self, name: str, time_zone: str = UTC) -> None:
        """Count the days of a rule, whether or not anybody is counted by it."""
        rule = self._rule(name)
        if rule is None:
            return
        rule.time_zone = time_zone
        if time_zone not in self._days:
            now, wall = self._turned
            self._days[time_zone] = _day_of(wall, time_zone), now

    def repeat_day(self) -> None:
        """Take the last whole day for each of a week: for simulations, which have one day."""
        for rule in self._rules.values():
            rule.totals = rule.totals[:1] * DAYS
        for place, known in self._keys.items():
            rule = self._rules[rule_of(place)]
            known.go_on_to(rule)
            known.days = known.days[:1] * DAYS

    def freeze(self) -> None:
        """Leave this day out, whatever it brings."""
        for rule in self._rules.values():
            rule.is_frozen = True

    def usual(self, name: str, key: str) -> float:
        """What a key of a rule of this name used on a usual day of late; -1 while the rule knows too few days."""
        rule = self._rule(name)
        if rule is None or len(rule.totals) < KNOWN_DAYS:
            return -1.0
        known = self._keys.get(place_of(name, key))
        if known is None:
            return 0.0
        known.go_on_to(rule)
        return _median(known.days, len(rule.totals))

    def observe(self, name: str, key: str, network: str, used: float, least: float) -> None:
        """Take in that a key of a rule has used so much today; below `least` it is nothing that anybody needs to know."""
        rule = self._rule(name)
        if rule is None:
            return
        rule.total += 1.0
        if used < least:
            return
        place = place_of(name, key)
        known = self._keys.get(place)
        if known is None:
            self._forget_old()
            if len(self._keys) >= MAX_KEYS or self._networks.of(network) >= KEYS_OF_NETWORK:
                self.refusals += 1
                return
            known = self._keys[place] = _KeyDays(rule.serial, network)
            self._networks.add(network)
        else:
            known.go_on_to(rule)
        if not known.today:
            self._keys[place] = self._keys.pop(place)  # the last one touched stands last
        known.today = max(known.today, used)

    def forget(self, part: str) -> int:
        """Forget the keys that have this among their parts, such as an address, for whoever asks for it; how many they were."""
        marked = f"|{part}"
        gone = [place for place in self._keys if marked in place and part in place.split("|")]
        for place in gone:
            self._networks.take(self._keys.pop(place).network)
        return len(gone)

    def _rule(self, name: str) -> _RuleDays | None:
        rule = self._rules.get(name)
        if rule is None and len(self._rules) < MAX_RULES:
            rule = self._rules[name] = _RuleDays()
        return rule

    def _forget_old(self) -> None:
        """Make room of keys that were not near their limit for a week; the one that was not the longest stands first."""
        for _ in range(_FORGOTTEN_AT_ONCE):
            if not self._keys:
                return
            place = next(iter(self._keys))
            known = self._keys[place]
            rule = self._rules.get(rule_of(place))
            if rule is not None:
                known.go_on_to(rule)
            if known.today or any(known.days):
                return
            del self._keys[place]
            self._networks.take(known.network)

    def as_data(self) -> dict[str, Any]:
        """What is known, to be kept elsewhere. A thread may ask."""
        rules = list(self._rules.items())
        keys = ((place, each) for place in list(self._keys) if (each := self._keys.get(place)) is not None)
        return {
            "days": {zone: day for zone, (day, _) in list(self._days.items())},
            "zones": {name: each.time_zone for name, each in rules},
            "rules": {
                name: [each.serial, each.total, each.totals, each.dropped, each.surges, each.is_frozen] for name, each in rules
            },
            "keys": {place: [each.day, each.network, each.today, [*each.days]] for place, each in keys},
        }

    def restore(self, data: dict[str, Any], now: float) -> None:
        """Take over what `as_data` gave. Raises KeyError, TypeError and ValueError, and then takes nothing.

        The day that it was kept on goes on; one that is over by the calendar ends with the next `turn`.
        """
        rules: dict[str, _RuleDays] = {}
        for name, (serial, total, totals, dropped, surges, *frozen) in list(data["rules"].items())[:MAX_RULES]:
            rule = rules[str(name)] = _RuleDays()
            rule.serial, rule.total, rule.surges = int(serial), float(total), int(surges)
            rule.is_frozen = any(frozen)
            rule.totals = [float(each) for each in totals][:DAYS]
            rule.dropped = [int(each) for each in dropped][-2 * DAYS :]
        keys: dict[str, _KeyDays] = {}
        networks = Shares()
        for place, (day, network, today, days) in list(data["keys"].items())[:MAX_KEYS]:
            known = keys[str(place)] = _KeyDays(int(day), str(network))
            known.today, known.days = float(today), array("d", [float(each) for each in days][:DAYS])
            networks.add(known.network)
        began = now - LEAST_DAY_SECONDS
        kept_days = data["days"] if "days" in data else {UTC: data["day"]}  # as it was before zones had days of their own
        by_zone = {ZoneInfo(zone).key: (int(day), began) for zone, day in kept_days.items()}
        for name, zone in data.get("zones", {}).items():
            if name in rules and zone in by_zone:
                rules[name].time_zone = zone
        self._days = by_zone
        self._rules, self._keys, self._networks = rules, keys, networks


def _day_of(wall: float, time_zone: str) -> int:
    return int(wall // DAY_SECONDS) if time_zone == UTC else datetime.fromtimestamp(wall, ZoneInfo(time_zone)).toordinal()


def rule_of(key: str) -> str:
    """The name of the rule that a limit's key begins with: what was learned outlives a change of its numbers and its mode."""
    end = key.find("|")
    head = key if end < 0 else key[:end]
    name = _rule_names.get(head)
    if name is None:
        name = keep_at_hand(_rule_names, MAX_RULES, head, head.replace("!", "~").partition("~")[0])
    return name


def place_of(rule: str, key: str) -> str:
    """The key of a rule without the digits of its limit, and without the value of one on distinct values."""
    start = key.find("|")
    end = key.find("\0")
    return f"{rule}~{key[start:] if end < 0 else key[start:end]}"


def _median(days: Sequence[float], known: int) -> float:
    """Of the last `known` days, seven at most; those without a figure had none. Of an even number the lower one."""
    known = min(known, DAYS)
    if known <= 0:
        return 0.0
    found = sorted([*days[:known], *[0.0] * (known - len(days))])
    return found[(known - 1) // 2]
