"""Finds the item that a request asks for: the first kind of item with a path that matches, and a keyed hash of which one.

The hash is of the host, the kind and the id. Paths are taken as the most lenient server reads them, so that no spelling of an
item is another item, or none, whatever reads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from proxyguard.core.canonical_names import canonical_name
from proxyguard.core.decision import Mode
from proxyguard.core.item import COLD, Item, ItemHeat
from proxyguard.core.key_values import canonical_parameter, canonical_path, query_values
from proxyguard.core.number64 import Number64
from proxyguard.core.reading import LOOSE
from proxyguard.core.request import Request
from proxyguard.core.request_paths import MAX_PATH_BYTES
from proxyguard.policy.bundled import is_bundled
from proxyguard.policy.compile.path_index import named_path, path_finder
from proxyguard.policy.items import ItemFamily
from proxyguard.policy.model import RuleSet

MAX_KNOWN: Final = 512
"""Paths that are remembered to be an item, or none, of all hosts; then it begins anew."""

MAX_HOSTS: Final = 64
"""Hosts of which something is remembered; then it begins anew."""

MAX_DIGITS: Final = 17
"""Of an id that is taken for a number."""

_ZERO: Final = 48


_NO_ITEM: Final = Item(b"", None, -1, COLD)
"""Stands for a path that is known to be none."""


def item_of(finder: ItemFinder | None, request: Request, heat: str) -> Item | None:
    """The item that a request asks for, where somebody says how hot it is."""
    found = None if finder is None else finder.find(request)
    if found is None:
        return None
    is_recent = heat == ItemHeat.RECENT
    return Item(found.family, found.number, found.ordinal, COLD if is_recent else heat.encode(), is_recent=is_recent)


def find_items(rule_sets: Iterable[RuleSet], secret: bytes) -> ItemFinder | None:
    """The finder of all kinds of items, those of bundled files last; None where rule sets that are not off name none."""
    in_use = [rule_set for rule_set in rule_sets if rule_set.mode is not Mode.OFF]
    own_first = sorted(in_use, key=lambda rule_set: is_bundled(rule_set.file))
    families = tuple(family for rule_set in own_first for family in rule_set.items)
    return ItemFinder(families, secret) if families else None


class _Family:
    """A kind of item, as requests are asked for it."""

    __slots__ = ("name", "parameter", "place", "segment")

    def __init__(self, place: int, family: ItemFamily) -> None:
        self.place = place
        self.name = family.name.encode()
        self.segment = family.segment
        self.parameter = canonical_name(family.parameter.encode())


class _Host:
    """What is remembered of a host: its paths, and the keyed hashes that begin with it and each kind of item."""

    __slots__ = ("begun", "known")

    def __init__(self, begun: list[blake2b]) -> None:
        self.begun = begun
        self.known: dict[bytes, Item] = {}
        """By path, where the query has no part in it."""


class ItemFinder:
    """The kinds of items of one policy."""

    __slots__ = ("_families", "_find", "_hosts", "_keyed", "_known_count", "example")

    def __init__(self, families: tuple[ItemFamily, ...], secret: bytes) -> None:
        self._keyed = blake2b(key=blake2b(secret, digest_size=32, person=b"item").digest(), digest_size=8)
        self._families = [_Family(place, each) for place, each in enumerate(families)]
        self.example = _example(families[0])
        """The target of an item."""
        self._hosts: dict[bytes, _Host] = {}
        self._known_count = 0
        """Paths of all hosts."""
        self._find = path_finder([(*named_path(path), at) for at, each in enumerate(families) for path in each.paths], LOOSE)

    def find(self, request: Request) -> Item | None:
        """The item that is asked for, as if it were cold; None when it is none."""
        host = self._hosts.get(request.host)
        if host is None:
            host = self._begin(request.host)
        sent = request.sent_path
        known = host.known.get(sent)
        if known is not None:
            return None if known is _NO_ITEM else known
        found: Item | None = None
        for path in request.loose_paths:
            marks = self._find(path)
            if marks:
                family = self._families[min(marks)]
                found = self._found(family, request, host, LOOSE.whole(path))
                if family.parameter and not family.segment:
                    return found
                break
        if len(sent) <= MAX_PATH_BYTES:
            if self._known_count >= MAX_KNOWN:
                host = self._begin_anew(request.host)
            host.known[sent] = _NO_ITEM if found is None else found
            self._known_count += 1
        return found

    def _found(self, family: _Family, request: Request, host: _Host, path: bytes) -> Item | None:
        if family.segment:
            segments = path.split(b"/", family.segment + 1)
            if len(segments) <= family.segment or not segments[family.segment]:
                return None
            which = canonical_parameter(segments[family.segment])
        elif family.parameter:
            values = query_values(request, family.parameter)
            if not values:
                return None
            if len(values) > 1:
                return Item(family.name, None, -1, COLD)
            which = values[0]
        else:
            which = canonical_path(path)
        keyed = host.begun[family.place].copy()  # half the cost of another one
        keyed.update(which)
        return Item(family.name, Number64.read(keyed.digest()), _ordinal(which), COLD)

    def _begin(self, name: bytes) -> _Host:
        """Remember another host."""
        if len(self._hosts) >= MAX_HOSTS:
            return self._begin_anew(name)
        begun = []
        for family in self._families:
            keyed = self._keyed.copy()
            keyed.update(b"\0".join((name, family.name, b"")))
            begun.append(keyed)
        host = self._hosts[name] = _Host(begun)
        return host

    def _begin_anew(self, name: bytes) -> _Host:
        """Remember one host alone."""
        self._hosts.clear()
        self._known_count = 0
        return self._begin(name)


def _ordinal(which: bytes) -> int:
    """An id that is a number; of others -1."""
    if not 0 < len(which) <= MAX_DIGITS:
        return -1
    number = 0
    for byte in which:
        digit = byte - _ZERO
        if not 0 <= digit <= 9:
            return -1
        number = 10 * number + digit
    return number


def _example(family: ItemFamily) -> str:
    path = family.paths[0].decode("utf-8", "replace").replace("*", "example").replace("?", "x")
    return f"{path}?{family.parameter}=example" if family.parameter else path
