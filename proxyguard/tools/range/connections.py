"""What connections of the range's clients show of themselves: the TLS hello of each kind of software, as it was recorded.

A hello is a table's row by `RangeSource.speaks`. Of what has none (crawlers of search engines, programs of no known library)
nothing is known, as of a connection whose TLS somebody else ended, and that contradicts nobody.
"""

from __future__ import annotations

import tomllib
from base64 import b64decode
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from proxyguard.core.connection_facts import ConnectionFacts

HELLOS: Final = Path(__file__).with_name("hellos.toml")


@cache
def recorded_hellos() -> Mapping[str, bytes]:
    """The body of a ClientHello by what speaks so."""
    return {name: b64decode(row["hello"]) for name, row in tomllib.loads(HELLOS.read_text(encoding="ascii")).items()}


@cache
def connection_of(speaks: str) -> ConnectionFacts | None:
    """The facts of a connection of HTTP/1.1 over TLS. One object for all that speak so: what is read of a hello is read once."""
    hello = recorded_hellos().get(speaks)
    return None if hello is None else ConnectionFacts(hello, b"1.3")
