"""Takes a policy that is no longer in force apart in short steps, so that freeing it holds up no request.

Freeing ten thousand compiled rules at once is one call into the interpreter that lasts tens of milliseconds. Here every part
is held by a list first; then dropping one entry frees one object. Knows nothing of what a policy means.
"""

from __future__ import annotations

import gc
from types import CellType, FunctionType, MethodType
from typing import Any, Final

from proxyguard.policy.compile.cooperative import WORK_STEP, YieldControl

_CONTAINERS: Final = (tuple, list, dict, set, frozenset, FunctionType, CellType, MethodType)

SHARDS: Final = 64
"""Sets that share the objects already seen: one large set takes milliseconds to grow and to free."""

_OWN: Final = "proxyguard."


def dismantle(parts: list[Any], yield_control: YieldControl) -> None:
    """Free what only `parts` hold, leaving `parts` empty. The caller keeps no other reference to them."""
    found: list[Any] = []
    known: list[set[int]] = [set() for _ in range(SHARDS)]
    while parts:
        part = parts.pop()
        number = id(part) >> 4
        shard = known[number % SHARDS]
        if number in shard or not _is_ours(part):
            continue
        shard.add(number)
        found.append(part)
        parts.extend(gc.get_referents(part))
        if len(found) % WORK_STEP == 0:
            yield_control()
    part = None
    while known:
        known.pop()
        yield_control()
    found.reverse()  # what holds others goes first, so that nothing pulls a whole tree along
    while found:
        found.pop()
        if len(found) % WORK_STEP == 0:
            yield_control()


def _is_ours(part: Any) -> bool:
    """Whether a part can belong to a policy and hold others; the dictionary of a module cannot."""
    kind = type(part)
    if kind is dict:
        return "__builtins__" not in part and "__import__" not in part
    return isinstance(part, _CONTAINERS) or kind.__module__.startswith(_OWN)
