"""How many different values: exact up to 128, above that a HyperLogLog sketch of about 1 KiB.

Pure: (state, now, end of a new window, limit, value) -> (state, usage). The sketch has 1,024 registers: its standard error is
1.04 / sqrt(1024) = 3.25 %, so that a limit of 1,000 begins to bite between 900 and 1,100 (three standard errors). A limit
never has to count beyond its amount, so that says in which of the two forms a state begins. A limit that learns may be wider
later, or elsewhere: then values become a sketch, which stays one. As `core.distinct`, in bytes that the stores keep and
charge.lua reads: the sum and the zeros of the registers stand before them.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from proxyguard.core.distinct import REGISTER_BITS, estimate, register_of
from proxyguard.limits.charge import Usage
from proxyguard.limits.limit import Limit

EXACT_UP_TO: Final = 128
"""Values kept one by one, 8 bytes each, for limits up to this amount."""

REGISTERS: Final = 1 << REGISTER_BITS
"""Their number changes what is stored."""

ITEM_BYTES: Final = 8

UNSEEN: Final = b""

_END: Final = Struct("<d")
_HEAD: Final = Struct("<ddH")  # end, sum of 2^-register, registers that are zero
_SKETCH_BYTES: Final = _HEAD.size + REGISTERS
"""More than EXACT_UP_TO values take."""
_EMPTY_REGISTERS: Final = bytes(REGISTERS)


def end_of(state: bytes) -> float:
    """When the state may be forgotten; negative as in `calendar_window.charge`."""
    end: float = _END.unpack_from(state)[0]
    return end


def is_sound(state: bytes) -> bool:
    """Whether bytes can be a state of one of the two forms."""
    size = len(state) - _END.size
    return len(state) == _SKETCH_BYTES or (0 < size <= EXACT_UP_TO * ITEM_BYTES and size % ITEM_BYTES == 0)


def charge(
    state: bytes,
    now: float,
    end: float,
    limit: Limit,
    item: bytes,
    cost: float = 1.0,
    owed: bool = False,  # noqa: FBT001, FBT002 - as in gcra
) -> tuple[bytes, Usage]:
    """Count a value that differs from those before, or not when that would be too many; then the state comes back as it was.

    `item` is an 8-byte hash. `end` is when a window that begins now ends, negative as in `calendar_window.charge`. A cost of 0
    changes nothing and is exceeded when not one value more would fit. A value seen before always fits.
    """
    kept = state
    if state and abs(end_of(state)) <= now:
        state = UNSEEN
    end = end_of(state) if state else end
    exact = limit.amount <= EXACT_UP_TO and len(state) != _SKETCH_BYTES
    if not exact:
        state = _sketched(state)
    before = _exact_count(state) if exact else _estimate(state)
    changed = _with_exact(state, end, item) if exact else _with_register(state, end, item)
    after = before if changed is state else _exact_count(changed) if exact else _estimate(changed)
    if not cost:
        exceeded = before + 1 > limit.amount
    else:
        exceeded = after > limit.amount and changed is not state
        if not exceeded or (owed and not exact):
            kept, before = changed, after
    return kept, Usage(exceeded, max(0, int(limit.amount - before)), abs(end) - now if exceeded else 0.0)


def _exact_count(state: bytes) -> float:
    return (len(state) - _END.size) // ITEM_BYTES if state else 0


def _with_exact(state: bytes, end: float, item: bytes) -> bytes:
    at = state.find(item, _END.size)
    while at != -1 and (at - _END.size) % ITEM_BYTES:
        at = state.find(item, at + 1)
    if at != -1:
        return state
    return (state or _END.pack(end)) + item


def _sketched(state: bytes) -> bytes:
    """The sketch of values that were kept one by one."""
    if not state or len(state) == _SKETCH_BYTES:
        return state
    found = UNSEEN
    for at in range(_END.size, len(state), ITEM_BYTES):
        found = _with_register(found, end_of(state), state[at : at + ITEM_BYTES])
    return found


def _with_register(state: bytes, end: float, item: bytes) -> bytes:
    """The state with a value; the same object when the value changes nothing."""
    index, rank = register_of(int.from_bytes(item, "big"), REGISTER_BITS)
    if state:
        total, zeros = _HEAD.unpack_from(state)[1:]
    else:
        state, total, zeros = _HEAD.pack(end, REGISTERS, REGISTERS) + _EMPTY_REGISTERS, float(REGISTERS), REGISTERS
    at = _HEAD.size + index
    present = state[at]
    if rank <= present:
        return state
    total += 2.0**-rank - 2.0**-present
    return _HEAD.pack(end, total, zeros - (present == 0)) + state[_HEAD.size : at] + bytes((rank,)) + state[at + 1 :]


def _estimate(state: bytes) -> float:
    if not state:
        return 0.0
    _, total, zeros = _HEAD.unpack_from(state)
    return estimate(REGISTERS, total, zeros)
