"""Bans and notes as bytes: between workers, in the snapshot, on Valkey. Decoding checks every type.

Fields stand in a fixed order; new ones are added at the end with a default, so that a newer release reads what an older wrote.
"""

from __future__ import annotations

from typing import Annotated, Final, assert_never

import msgspec

from proxyguard.core.decision import Drop, Refusal, Reject, Tarpit
from proxyguard.limits.limit import Count, CountKind, Limit, Window
from proxyguard.limits.stores.bans import BanNews
from proxyguard.limits.stores.mirror import StoreChange
from proxyguard.limits.stores.notes import StoreNote
from proxyguard.limits.stores.store import BanRecord


class PackedReject(msgspec.Struct, tag="reject", array_like=True, frozen=True):
    status: int | None
    message: str | None
    retry_after_seconds: float | None


class PackedTarpit(msgspec.Struct, tag="tarpit", array_like=True, frozen=True):
    hold_seconds: float
    drip_seconds: float
    drip_bytes: int


class PackedDrop(msgspec.Struct, tag="drop", array_like=True, frozen=True):
    pass


PackedRefusal = PackedReject | PackedTarpit | PackedDrop


class PackedBan(msgspec.Struct, array_like=True, frozen=True):
    """A BanRecord and when its strike is forgotten."""

    key: str
    since: float
    until: float
    rule: str
    reason: str
    then: PackedRefusal
    strikes: int
    note: str
    forget_at: float
    network: str = ""


class PackedNews(msgspec.Struct, tag="ban", array_like=True, frozen=True):
    """BanNews."""

    key: str
    ban: PackedBan | None
    forget_at: float


class PackedNote(msgspec.Struct, tag="note", array_like=True, frozen=True):
    """A StoreNote."""

    name: str
    text: str
    since: float
    until: float


class PackedLimit(msgspec.Struct, array_like=True, frozen=True):
    """What a store counts by of a Limit."""

    amount: Annotated[int, msgspec.Meta(ge=1)]
    period_seconds: Annotated[float, msgspec.Meta(gt=0)]
    burst: int
    kind: CountKind
    window: Window
    time_zone: str


PackedChange = PackedNews | PackedNote


CodecError: Final = msgspec.DecodeError
"""What decoding raises for bytes that are not what they should be."""

_encode = msgspec.msgpack.Encoder().encode
_decode_ban = msgspec.msgpack.Decoder(PackedBan).decode


def pack_limit(limit: Limit) -> PackedLimit:
    return PackedLimit(limit.amount, limit.period_seconds, limit.burst, limit.count.kind, limit.window, limit.time_zone)


def unpack_limit(packed: PackedLimit) -> Limit:
    """The limit, as far as a store asks."""
    count, zone = Count(packed.kind), packed.time_zone
    return Limit(packed.amount, packed.period_seconds, packed.burst, (), count=count, window=packed.window, time_zone=zone)


def pack_refusal(refusal: Refusal) -> PackedRefusal:
    match refusal:
        case Reject():
            return PackedReject(refusal.status, refusal.message, refusal.retry_after_seconds)
        case Tarpit():
            return PackedTarpit(refusal.hold_seconds, refusal.drip_seconds, refusal.drip_bytes)
        case Drop():
            return PackedDrop()
        case _:
            assert_never(refusal)


def unpack_refusal(packed: PackedRefusal) -> Refusal:
    match packed:
        case PackedReject():
            return Reject(packed.status, packed.message, packed.retry_after_seconds)
        case PackedTarpit():
            return Tarpit(packed.hold_seconds, packed.drip_seconds, packed.drip_bytes)
        case PackedDrop():
            return Drop()
        case _:
            assert_never(packed)


def pack_ban(record: BanRecord, forget_at: float) -> PackedBan:
    return PackedBan(
        record.key,
        record.since,
        record.until,
        record.rule,
        record.reason,
        pack_refusal(record.then),
        record.strikes,
        record.note,
        forget_at,
        record.network,
    )


def unpack_ban(packed: PackedBan) -> BanRecord:
    return BanRecord(
        packed.key,
        packed.since,
        packed.until,
        packed.rule,
        packed.reason,
        unpack_refusal(packed.then),
        packed.strikes,
        packed.note,
        packed.network,
    )


def pack_change(change: StoreChange) -> PackedChange:
    if isinstance(change, StoreNote):
        return PackedNote(*change)
    ban = None if change.record is None else pack_ban(change.record, change.forget_at)
    return PackedNews(change.key, ban, change.forget_at)


def unpack_change(packed: PackedChange) -> StoreChange:
    if isinstance(packed, PackedNote):
        return StoreNote(packed.name, packed.text, packed.since, packed.until)
    return BanNews(packed.key, None if packed.ban is None else unpack_ban(packed.ban), packed.forget_at)


def encode_ban(record: BanRecord, forget_at: float) -> bytes:
    """A ban as bytes."""
    return _encode(pack_ban(record, forget_at))


def decode_ban(data: bytes) -> tuple[BanRecord, float]:
    """What `encode_ban` wrote, and when the strike is forgotten. Raises CodecError."""
    packed = _decode_ban(data)
    return unpack_ban(packed), packed.forget_at
