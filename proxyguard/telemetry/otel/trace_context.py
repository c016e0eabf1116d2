"""W3C Trace Context (https://www.w3.org/TR/trace-context/): what a client said of the trace that its request belongs to.

Anybody can send these fields, so they are read strictly and bounded: what is not as the standard says begins a new trace, and is
not passed on.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from proxyguard.core.request import Headers

TRACE_FIELDS: Final = frozenset({b"traceparent", b"tracestate"})

MAX_STATE_BYTES: Final = 512
"""What the standard asks everybody to pass on; longer ones are dropped whole, as a cut list says something else."""

MAX_STATE_MEMBERS: Final = 32

_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[ -~]*)?")

_KEY: Final = rb"(?:[a-z0-9][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"

_MEMBER: Final = re.compile(_KEY + rb"=[ -+\--<>-~]{0,255}[!-+\--<>-~]")

SAMPLED: Final = 1


class Parent(NamedTuple):
    """The caller's part of a trace. `state` is the tracestate to pass on, empty for none."""

    trace: int
    span: int
    flags: int
    state: bytes


class TraceContext(NamedTuple):
    """What a request's trace means for its way to the site: the fields in place of those that the client sent.

    `span` is 0 where no span is made, and only wrong fields are taken away.
    """

    trace: int
    span: int
    parent: int
    state: bytes
    fields: Headers


def read_parent(parents: tuple[bytes, ...], states: tuple[bytes, ...]) -> Parent | None:
    """What the fields of a request say; None when there are none, or they are not as the standard says."""
    if len(parents) != 1:
        return None
    match = _PARENT.fullmatch(parents[0])
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == b"ff" or (version == b"00" and more):
        return None
    numbers = int(trace, 16), int(span, 16)
    if not all(numbers):
        return None
    return Parent(*numbers, int(flags, 16), read_state(states))


def read_state(values: tuple[bytes, ...]) -> bytes:
    """The tracestate to pass on; empty when there is none, or it is too long or not as the standard says."""
    whole = b",".join(values)
    members = [member.strip(b" \t") for member in whole.split(b",", MAX_STATE_MEMBERS + 1)]
    members = [member for member in members if member]
    if len(whole) > MAX_STATE_BYTES or len(members) > MAX_STATE_MEMBERS:
        return b""
    names = {member.partition(b"=")[0] for member in members}
    if len(names) < len(members) or not all(map(_MEMBER.fullmatch, members)):
        return b""
    return b",".join(members)


def written(trace: int, span: int, flags: int, state: bytes) -> Headers:
    """The fields that say where a request belongs."""
    parent = (b"Traceparent", f"00-{trace:032x}-{span:016x}-{flags:02x}".encode())
    return (parent, (b"Tracestate", state)) if state else (parent,)
