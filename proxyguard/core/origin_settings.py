"""What this instance knows, and may find out, of where requests come from and who they are. Part of the settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

DAY_SECONDS = 86_400.0


class Nameserver(NamedTuple):
    """A DNS resolver to ask."""

    host: str
    port: int = 53

    def __str__(self) -> str:
        if self.port == 53:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginTables:
    """The tables about addresses."""

    directory: Path | None = None
    """Lists and tables that `proxyguard lists update` installed; None: only those that come with proxyguard."""
    country: Path | None = None
    """A table in MaxMind's format; None: `country.mmdb` in the directory, if there is one."""
    asn: Path | None = None
    """The same for autonomous systems: `asn.mmdb`."""
    addresses: int = 100_000
    """Addresses whose facts are remembered; about 150 bytes each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How a claimed identity is verified."""

    reverse_dns: bool = True
    resolvers: tuple[Nameserver, ...] = ()
    """None: those of the system."""
    dns_timeout_seconds: float = 3.0
    dns_lookups: int = 64
    """Under way at once in a worker; what does not fit is unknown."""
    prove_seconds: float = 365 * DAY_SECONDS
    """How old a published list may be for an address in it to be proven."""
    refute_seconds: float = 90 * DAY_SECONDS
    """How old a complete list may be for an address that is not in it to be forged."""
    directories: tuple[str, ...] = ()
    """Hosts whose keys sign for their bots (Web Bot Auth)."""
    signature_age_seconds: float = 300.0
    """How long after it was made a signature counts."""
    update_hosts: tuple[str, ...] = ()
    """Hosts that `proxyguard lists update` may fetch from; `*`: those of the lists it has."""
