"""Finds the item that a request asks for: the first kind of item with a path that matches, and a keyed hash of which one.

The hash is of the host, the kind and the id as the site reads it, so that no spelling of one item is another item.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

from proxyguard.core.item import Item
from proxyguard.core.key_values import query_values
from proxyguard.core.request import Request
from proxyguard.policy.compile.pattern_set import compile_pattern, pattern_of
from proxyguard.policy.items import ItemFamily
from proxyguard.policy.model import TextKind

_WILD: Final = (b"*", b"?")


class _Path:
    __slots__ = ("pattern", "prefix")

    def __init__(self, glob: bytes) -> None:
        ends = [at for at in map(glob.find, _WILD) if at >= 0]
        self.prefix = glob[: min(ends, default=len(glob))]
        self.pattern: Any = None if not ends else compile_pattern(pattern_of(TextKind.GLOB, glob))

    def matches(self, path: bytes) -> bool:
        if not path.startswith(self.prefix):
            return False
        return path == self.prefix if self.pattern is None else self.pattern.search(path) is not None


def item_of(finder: ItemFinder | None, request: Request, heat: str) -> Item | None:
    """The item that a request asks for, where somebody says how hot it is."""
    found = None if finder is None else finder.find(request)
    return None if found is None else Item(*found, heat.encode())


class ItemFinder:
    """The kinds of items of one policy."""

    __slots__ = ("_families", "_key")

    def __init__(self, families: tuple[ItemFamily, ...], secret: bytes) -> None:
        self._key = blake2b(secret, digest_size=32, person=b"item").digest()
        self._families = tuple((each, tuple(_Path(glob) for glob in each.paths)) for each in families)

    def find(self, request: Request) -> tuple[bytes, int] | None:
        """The kind of item and its 64-bit number; None when no item is asked for."""
        path = request.path
        for family, paths in self._families:
            for each in paths:
                if each.matches(path):
                    return self._found(family, request, path)
        return None

    def _found(self, family: ItemFamily, request: Request, path: bytes) -> tuple[bytes, int] | None:
        if family.segment:
            segments = path.split(b"/", family.segment + 1)
            if len(segments) <= family.segment or not segments[family.segment]:
                return None
            which = segments[family.segment]
        elif family.parameter:
            values = query_values(request, family.parameter.encode())
            if not values:
                return None
            which = values[0]
        else:
            which = path
        name = family.name.encode()
        text = b"\0".join((request.host, name, which))
        return name, int.from_bytes(blake2b(text, key=self._key, digest_size=8).digest())
