"""What lines of the audit log say: a decision, a sum of refusals, and what somebody did with the records themselves."""

from __future__ import annotations

from typing import Final

import msgspec

MAX_TEXT: Final = 1024
"""Bytes of host and path that a record keeps."""


class Record(msgspec.Struct, omit_defaults=False, frozen=True):
    """One decision. `time` is UTC, Unix seconds; `milliseconds` what deciding took, or the whole exchange if it was forwarded."""

    time: float
    reference: str
    client: str
    """An address, or a pseudonym, as the privacy settings say."""
    port: int | None
    method: str
    host: str
    path: str
    rule: str
    action: str
    mode: str
    score: float
    status: int
    milliseconds: float
    reason: str = ""
    class_: str = msgspec.field(name="class", default="")
    """The class of the client; empty when the rules define none, or the request was allowed before it was known."""
    tags: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()
    fault: str = ""
    http_version: str = ""
    user_agent: str = ""
    referer_host: str = ""
    bytes_sent: int = 0
    bytes_received: int = 0
    upstream_milliseconds: float | None = None
    """None: no upstream was asked."""
    upstream: str = ""
    ja4: str = ""
    client_kind: str = ""
    http2: str = ""
    country: str = ""
    asn: int | None = None
    identity: str = ""
    """Whom it claims to be, where that can be verified; `verified` says whether it is."""
    verified: bool | None = None
    network: str = ""
    """Of the client, as far as the privacy settings show it."""
    robots: str = ""
    """The group of robots.txt that forbids a declared bot what it asked for; empty otherwise."""
    robots_version: str = ""
    """Which text of robots.txt that was."""


ABOUT_RECORDS: Final = frozenset({"reveal", "export", "erase", "erased"})
"""The `kind` of lines about the records themselves; `erased` is what an erased one leaves."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody did with the records themselves: `reveal`, `export`, `erase`. `time` is UTC, Unix seconds."""

    time: float
    kind: str
    who: str
    """The account on the machine."""
    subject: str
    """The pseudonym or reference that it was about, never an address."""
    reason: str
    records: int = 0


def shown(value: bytes) -> str:
    """Bytes that a client chose, as a record keeps them: the first MAX_TEXT, undecodable ones escaped."""
    return value[:MAX_TEXT].decode("utf-8", "backslashreplace")


class Summary(msgspec.Struct, kw_only=True):
    """Refusals by one rule, or for one fault, that have no records of their own. Times are Unix seconds."""

    time: float
    kind: str = "summed"
    rule: str
    action: str
    count: int
    since: float
    references: list[str]
    """The first of them, as they stand on the pages that the refused got."""
    fault: str = ""
