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
from proxyguard.core.reading import LOOSE
from proxyguard.core.request import Request, path_of
from proxyguard.policy.bundled import is_bundled
from proxyguard.policy.compile.path_index import named_path, path_finder
from proxyguard.policy.items import ItemFamily
from proxyguard.policy.model import RuleSet

MAX_KNOWN: Final = 512
"""Paths that are remembered to be an item, or none; then it begins anew."""

MAX_PATH_BYTES: Final = 128
"""Of a path that is remembered."""

MAX_DIGITS: Final = 17
"""Of an id that is taken for a number."""


def item_of(finder: ItemFinder | None, request: Request, heat: str) -> Item | None:
    """The item that a request asks for, where somebody says how hot it is."""
    found = None if finder is None else finder.find(request)
    if found is None:
        return None
    is_recent = heat == ItemHeat.RECENT
    return Item(*found, COLD if is_recent else heat.encode(), is_recent=is_recent)


def find_items(rule_sets: Iterable[RuleSet], secret: bytes) -> ItemFinder | None:
    """The finder of all kinds of items, those of bundled files last; None where rule sets that are not off name none."""
    in_use = [rule_set for rule_set in rule_sets if rule_set.mode is not Mode.OFF]
    own_first = sorted(in_use, key=lambda rule_set: is_bundled(rule_set.file))
    families = tuple(family for rule_set in own_first for family in rule_set.items)
    return ItemFinder(families, secret) if families else None


class ItemFinder:
    """The kinds of items of one policy."""

    __slots__ = ("_families", "_find", "_keyed", "_known", "example")

    def __init__(self, families: tuple[ItemFamily, ...], secret: bytes) -> None:
        self._keyed = blake2b(key=blake2b(secret, digest_size=32, person=b"item").digest(), digest_size=8)
        self._families = tuple((each, canonical_name(each.parameter.encode())) for each in families)
        self.example = _example(families[0])
        """The target of an item."""
        self._known: dict[tuple[bytes, bytes], tuple[bytes, int | None, int] | None] = {}
        """By host and path, where the query has no part in it."""
        self._find = path_finder([(*named_path(path), at) for at, each in enumerate(families) for path in each.paths], LOOSE)

    def find(self, request: Request) -> tuple[bytes, int | None, int] | None:
        """The kind of item, its 64-bit number and its ordinal, see `Item`; None when no item is asked for."""
        sent = request.host, path_of(request.target)
        if sent in self._known:
            return self._known[sent]
        found: tuple[bytes, int | None, int] | None = None
        for path in request.loose_paths:
            marks = self._find(path)
            if marks:
                family, parameter = self._families[min(marks)]
                found = self._found(family, parameter, request, LOOSE.whole(path))
                if parameter and not family.segment:
                    return found
                break
        if len(sent[1]) <= MAX_PATH_BYTES:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[sent] = found
        return found

    def _found(self, family: ItemFamily, parameter: bytes, request: Request, path: bytes) -> tuple[bytes, int | None, int] | None:
        if family.segment:
            segments = path.split(b"/", family.segment + 1)
            if len(segments) <= family.segment or not segments[family.segment]:
                return None
            which = canonical_parameter(segments[family.segment])
        elif parameter:
            values = query_values(request, parameter)
            if not values:
                return None
            if len(values) > 1:
                return family.name.encode(), None, -1
            which = values[0]
        else:
            which = canonical_path(path)
        name = family.name.encode()
        text = b"\0".join((request.host, name, which))
        ordinal = int(which) if len(which) <= MAX_DIGITS and which.isdigit() else -1
        keyed = self._keyed.copy()  # half the cost of another one
        keyed.update(text)
        return name, int.from_bytes(keyed.digest()), ordinal


def _example(family: ItemFamily) -> str:
    path = family.paths[0].decode("utf-8", "replace").replace("*", "example").replace("?", "x")
    return f"{path}?{family.parameter}=example" if family.parameter else path
