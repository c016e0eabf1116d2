"""The audit log, and what may be written of the people behind requests: a preset, and what an operator chose beside it.

Values only. `telemetry/discretion` applies them; docs/privacy.md explains them to whoever answers for data protection.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

DAY_SECONDS: Final = 86_400.0

SECRET_FIELDS: Final = frozenset({b"cookie", b"set-cookie", b"authorization", b"proxy-authorization"})
"""Header fields whose values nothing writes down, or remembers."""


class PrivacyPreset(StrEnum):
    """How much records say of people."""

    STRICT = "strict"
    """Nothing that tells one person from another beyond a day: families of paths, no networks."""
    STANDARD = "standard"
    """Pseudonyms, networks, redacted texts."""
    FULL = "full"
    """Addresses and texts as they came. Cookies, authorization, queries and bodies not even then."""


class ClientNaming(StrEnum):
    """How a client is named in whatever is written or shown."""

    PSEUDONYM = "pseudonym"
    CLEAR = "clear"


class PathDetail(StrEnum):
    """What is written of a path."""

    FAMILY = "family"
    """`/posts/*` for `/posts/4711`."""
    REDACTED = "redacted"
    WHOLE = "whole"


class TextDetail(StrEnum):
    """What is written of user agents and names of hosts."""

    REDACTED = "redacted"
    WHOLE = "whole"


PEOPLE: Final = (
    "/users/*", "/user/*", "/u/*", "/members/*", "/people/*", "/profile/*", "/profiles/*", "/author/*", "/authors/*",
    "/account/*", "/accounts/*", "/customers/*", "/patients/*", "/employees/*", "/contacts/*", "/@*", "/~*",
)  # fmt: skip
"""Where sites name people in paths, unless the operator says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """The audit log: `path` is a file, or `-` for standard output. `passes` is the share (0 to 1) of plain passes recorded."""

    path: str = "-"
    passes: float = 0.01
    refusals_per_second: int = 1_000
    """Of the whole instance; those beyond are summed, a record a second for each rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What an operator chose. None (of times to keep: 0) is what the preset says; see `in_force`."""

    preset: PrivacyPreset = PrivacyPreset.STANDARD
    clients: ClientNaming | None = None
    network_v4: int | None = None
    """Leading bits of an IPv4 address that are written beside a pseudonym; 0: none."""
    network_v6: int | None = None
    paths: PathDetail | None = None
    texts: TextDetail | None = None
    people: tuple[str, ...] = PEOPLE
    """Paths whose next segment names a person, unless it is a short number."""
    learn_names: bool = True
    """Whether names are left out, too, at places of paths where many different words stand."""
    patterns: tuple[str, ...] = ()
    """Regular expressions (RE2) of what else is redacted."""
    key: str | None = None
    """The secret of pseudonyms; None: that of the instance."""
    sealed: Path | None = None
    """Where the full addresses of refused and flagged clients go, sealed; None: nowhere."""
    public_key: bytes | None = field(default=None, repr=False)
    """Whose private key opens them: 32 bytes (X25519)."""
    keep_audit_seconds: float | None = 0.0
    """The age at which audit records are deleted; None: never, 0: as the preset says."""
    keep_sealed_seconds: float | None = 0.0

    def in_force(self) -> Privacy:
        """The same with the preset's values for everything that was not chosen."""
        preset = PRESETS[self.preset]
        chosen = {name: value for name, value in preset.items() if getattr(self, name) == _UNCHOSEN[name]}
        return replace(self, **chosen)


_UNCHOSEN: Final[dict[str, Any]] = {each.name: each.default for each in fields(Privacy)}

PRESETS: Final[dict[PrivacyPreset, dict[str, Any]]] = {
    PrivacyPreset.STRICT: {
        "clients": ClientNaming.PSEUDONYM, "network_v4": 0, "network_v6": 0, "paths": PathDetail.FAMILY,
        "texts": TextDetail.REDACTED, "keep_audit_seconds": 14 * DAY_SECONDS, "keep_sealed_seconds": 7 * DAY_SECONDS,
    },
    PrivacyPreset.STANDARD: {
        "clients": ClientNaming.PSEUDONYM, "network_v4": 24, "network_v6": 48, "paths": PathDetail.REDACTED,
        "texts": TextDetail.REDACTED, "keep_audit_seconds": 90 * DAY_SECONDS, "keep_sealed_seconds": 30 * DAY_SECONDS,
    },
    PrivacyPreset.FULL: {
        "clients": ClientNaming.CLEAR, "network_v4": 24, "network_v6": 48, "paths": PathDetail.WHOLE,
        "texts": TextDetail.WHOLE, "keep_audit_seconds": None, "keep_sealed_seconds": None,
    },
}  # fmt: skip
