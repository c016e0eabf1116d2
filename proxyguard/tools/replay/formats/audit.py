"""Our own audit log (`docs/reference/audit.md`): requests with the decisions that were made about them.

Sums of refusals have no line each; they are counted, and the notes name them.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from proxyguard.core.decision import UNASKED, ShadowHit
from proxyguard.limits.limit import CountKind
from proxyguard.policy.model import FieldKind
from proxyguard.telemetry.audit_records import ABOUT_RECORDS
from proxyguard.tools.replay.formats.format_type import LogSample
from proxyguard.tools.replay.formats.json_objects import as_bytes
from proxyguard.tools.replay.formats.stand_ins import StandIns
from proxyguard.tools.replay.knowledge import Knowledge
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest, NoRequest, NotAnEntry, Recorded
from proxyguard.tools.replay.moments import read_moment
from proxyguard.tools.replay.requests import escaped_target, read_host, read_target

NAME: Final = "audit"

MAX_SUMMED_RULES: Final = 1000
"""Rules whose sums are kept apart; those beyond count as one."""

SHOWN: Final = 8

OTHER_RULES: Final = "other rules"

_KEYS: Final = frozenset({"reference", "rule", "action", "client", "path"})
_HEADERS: Final = (("user_agent", b"User-Agent"), ("referer", b"Referer"))


class _Line(msgspec.Struct):
    time: float | str
    client: str = ""
    network: str = ""
    method: str = ""
    host: str = ""
    path: str = ""
    rule: str = ""
    action: str = ""
    status: int = 0
    shadow: list[str] = []
    user_agent: str | None = None
    referer: str | None = None
    referer_host: str = ""
    http_version: str = "1.1"
    bytes_sent: int = 0
    upstream_milliseconds: float | None = None
    fault: str = ""
    kind: str = ""
    count: int = 0


_decode = msgspec.json.Decoder(_Line).decode


class _Reader:
    """The state of a pass over the log: the refusals that were summed."""

    def __init__(self) -> None:
        self._summed: Counter[str] = Counter()
        self._addresses = StandIns()

    def reset(self) -> None:
        self._summed.clear()
        self._addresses = StandIns()

    def notes(self) -> list[str]:
        total = self._summed.total()
        named = self._addresses.notes()
        if not total:
            return named
        shown = ", ".join(f"{rule} {count:,}" for rule, count in self._summed.most_common(SHOWN))
        more = f" and {len(self._summed) - SHOWN} more rules" if len(self._summed) > SHOWN else ""
        return [*named, f"{total:,} more refusals were summed up in the audit log and have no line each: {shown}{more}"]

    def parse(self, line: bytes) -> LoggedRequest:
        try:
            found = _decode(line)
        except (ValueError, RecursionError) as error:
            raise LineError(f"it is not a record of the audit log: {error}") from error
        if found.kind in ABOUT_RECORDS:
            raise NotAnEntry
        if found.kind == "summed":
            name = found.rule or found.fault
            known = name in self._summed or len(self._summed) < MAX_SUMMED_RULES
            self._summed[name if known else OTHER_RULES] += max(found.count, 0)
            raise NotAnEntry
        if not found.client:
            raise LineError("it names no client address")
        found.client = self._addresses.of(found.client, found.network)
        if not found.method or not found.path or (found.fault and found.rule == UNASKED):
            raise NoRequest
        return _request(found)


def _request(found: _Line) -> LoggedRequest:
    method, host = as_bytes(found.method), read_host(as_bytes(found.host))
    headers = [(b"Host", host)] if host else []
    headers += [(name, as_bytes(value)) for key, name in _HEADERS if (value := getattr(found, key))]
    try:
        time = read_moment(found.time)
    except (ValueError, OverflowError) as error:
        raise LineError("the time in 'time' cannot be read") from error
    hits = tuple(ShadowHit(rule, action) for action, by, rule in (text.partition(" by ") for text in found.shadow) if by and rule)
    target, version = read_target(method, escaped_target(as_bytes(found.path))), as_bytes(found.http_version or "1.1")
    seconds = None if found.upstream_milliseconds is None else found.upstream_milliseconds / 1000
    return LoggedRequest(
        time, as_bytes(found.client), method, target, version, tuple(headers), status=found.status, host=host,
        bytes_sent=found.bytes_sent, upstream_seconds=seconds, referer=bool(found.referer or found.referer_host),
        recorded=Recorded(found.rule, found.action, hits),
    )  # fmt: skip


def make_audit(sample: LogSample) -> LogFormat | None:
    records = [each for each in sample.objects if each.keys() >= _KEYS]
    if not records and not any(each.get("kind") == "summed" for each in sample.objects):
        return None
    # Records of an older version lack fields: what not all have is unknown, as its absence would be taken for the client's.
    names = {name.decode().lower() for key, name in _HEADERS if records and all(each.get(key) is not None for each in records)}
    costs = {CountKind.STATUSES}
    if records and all("upstream_milliseconds" in each for each in records):
        costs |= {CountKind.BYTES, CountKind.UPSTREAM_SECONDS}
    knowledge = Knowledge(kinds=frozenset({FieldKind.HOST}), headers=frozenset(names | {"host"}), costs=frozenset(costs))
    reader = _Reader()
    return LogFormat(NAME, knowledge, reader.parse, reset=reader.reset, notes=reader.notes)
