"""Where a request comes from and who it is proven to be: what is known beside what it says of itself.

A plain value. Knows nothing of tables, DNS or signatures: `proxyguard.origin` finds it, the guard hands it to the request.
Whatever is unknown is None (or `NetworkKind.UNKNOWN`) and never counts against anybody.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class NetworkKind(StrEnum):
    """What kind of network an address belongs to."""

    HOSTING = "hosting"
    RESIDENTIAL = "residential"
    MOBILE = "mobile"
    EDUCATION = "education"
    UNKNOWN = "unknown"


class Proof(StrEnum):
    """What a verdict on a claimed identity rests on, the surest last."""

    NONE = ""
    REVERSE_DNS = "reverse DNS"
    RANGES = "published ranges"
    SIGNATURE = "signature"


class Origin(NamedTuple):
    """What is known of the origin of one request. A NamedTuple, as one is made for each address and claim."""

    country: str | None = None
    """ISO 3166-1 alpha-2, upper case."""
    asn: int | None = None
    """The number of the autonomous system that announces the address."""
    owner: str | None = None
    """The name of that system, as the operator's table has it."""
    network_kind: NetworkKind = NetworkKind.UNKNOWN
    identity: str | None = None
    """Who it is, by a proof: `googlebot`. None unless `verified` is True: a user agent alone never says it."""
    claim: str | None = None
    """Whom its user agent or its signature names."""
    verified: bool | None = None
    """True: the claim is proven. False: it failed. None: there is none, or it is not known (yet)."""
    proof: Proof = Proof.NONE
    """What the verdict rests on."""


NOTHING_KNOWN = Origin()
