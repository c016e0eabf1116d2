"""Country and autonomous system of an address, from tables in MaxMind's format (MMDB) that the operator chooses.

The only module that knows maxminddb. Reads the layouts of MaxMind, DB-IP and ip-location-db alike.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import maxminddb

MAX_OWNER_CHARACTERS: Final = 100


class TableUnusable(Exception):
    """A table cannot be read; the text says why."""


class Whereabouts(NamedTuple):
    """What the tables have of an address."""

    country: str | None = None
    asn: int | None = None
    owner: str | None = None


class AddressTables:
    """The tables, open for as long as this is, as they were when it was made, whatever becomes of their files."""

    __slots__ = ("_asn", "_country", "built")

    def __init__(self, country: Path | None, asn: Path | None) -> None:
        """Raises TableUnusable."""
        self._country = _opened(country)
        self._asn = _opened(asn)
        self.built = {
            name: float(table.metadata().build_epoch)
            for name, table in (("country", self._country), ("asn", self._asn))
            if table is not None
        }
        """When each table was made, Unix seconds."""

    def find(self, address: str) -> Whereabouts:
        """What is known of an address in text form. Whatever a table holds, this does not raise."""
        country = _entry(self._country, address)
        network = _entry(self._asn, address)
        return Whereabouts(_code(country), _number(network), _name(network))

    def close(self) -> None:
        for table in (self._country, self._asn):
            if table is not None:
                table.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _opened(path: Path | None) -> maxminddb.Reader | None:
    if path is None:
        return None
    try:
        if not hasattr(os, "memfd_create"):  # Linux has it
            return maxminddb.open_database(path)
        with path.open("rb") as file, os.fdopen(os.memfd_create(path.name), "wb") as copy:
            shutil.copyfileobj(file, copy)
            copy.flush()
            # Of a copy: SIGBUS ends whoever maps a file that is written over in place, as `cp` does.
            return maxminddb.open_database(f"/proc/self/fd/{copy.fileno()}")
    except (ValueError, maxminddb.InvalidDatabaseError) as error:
        raise TableUnusable(f"{path} is no table of addresses: it is not in MaxMind's format (MMDB)") from error
    except OSError as error:
        raise TableUnusable(f"{path} is no table of addresses: {error.strerror or error}") from error


def _entry(table: maxminddb.Reader | None, address: str) -> dict[str, Any]:
    if table is None:
        return {}
    try:
        found = table.get(address)
    except (ValueError, maxminddb.InvalidDatabaseError):  # IPv6 in a table of IPv4; a damaged table
        return {}
    return found if isinstance(found, dict) else {}


def _code(entry: dict[str, Any]) -> str | None:
    code = entry.get("country_code")
    if code is None:
        country = entry.get("country") or entry.get("registered_country")
        code = country.get("iso_code") if isinstance(country, dict) else country
    if not isinstance(code, str) or len(code) != 2 or not (code.isascii() and code.isalpha()):
        return None
    return None if code.upper() == "ZZ" else code.upper()  # ZZ: nobody's


def _number(entry: dict[str, Any]) -> int | None:
    number = entry.get("autonomous_system_number", entry.get("asn"))
    if isinstance(number, str):
        number = number.upper().removeprefix("AS")
        number = int(number) if number.isascii() and number.isdecimal() and len(number) <= 10 else None
    return number if isinstance(number, int) and 0 < number < 1 << 32 else None


def _name(entry: dict[str, Any]) -> str | None:
    name = entry.get("autonomous_system_organization", entry.get("as_name"))
    return name[:MAX_OWNER_CHARACTERS] if isinstance(name, str) and name else None
