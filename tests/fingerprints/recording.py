"""What was recorded of clients, as lines of JSON, and requests made of them again.

A line is one request: `client`, `of` (its kind), `mode` (`own`, `named`, `copied`), `kept_out` and what the front saw of it.
The hello comes with the first line of its client, as it was received.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from proxyguard.core.address import Address
from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.core.request import Request
from proxyguard.http.fingerprints.facts import connection_facts

RECORDED: Final = Path(__file__).parent / "recorded.jsonl"
CLIENT: Final = Address.parse("192.0.2.1")

_NUMBERS: Final = ("first_record", "window", "path_forms")
_BYTES: Final = ("settings", "priorities")
_TEXTS: Final = ("tls_version", "pseudo")


class Recorded(NamedTuple):
    """One request of a client."""

    client: str
    of: str
    mode: str
    kept_out: bool
    request: Request


def plain(request: Request) -> dict[str, Any]:
    """A request and its connection as plain values."""
    found: dict[str, Any] = {
        "method": request.method.decode(),
        "version": request.http_version.decode(),
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.headers],
    }
    facts = request.connection
    if facts is not None:
        found["hello"] = b64encode(facts.hello).decode()
        found |= {name: getattr(facts, name) for name in (*_NUMBERS, "is_wasteful")}
        found |= {name: getattr(facts, name).hex() for name in _BYTES}
        found |= {name: getattr(facts, name).decode() for name in _TEXTS}
    return found


def recorded(path: Path = RECORDED) -> Iterator[Recorded]:
    """All requests of a file, with facts of a connection of their own."""
    hellos: dict[str, str] = {}
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        if "hello" in row:
            hellos.setdefault(row["client"], row["hello"])
        yield Recorded(row["client"], row["of"], row["mode"], row["kept_out"], _request(row, hellos[row["client"]]))


def _request(row: dict[str, Any], hello: str) -> Request:
    headers = tuple((name.encode("latin-1"), _with_a_window(value).encode("latin-1")) for name, value in row["headers"])
    version = row["version"].encode()
    request = Request(CLIENT, row["method"].encode(), b"https", b"example.org", b"/profiles/1", headers, version)
    facts: ConnectionFacts = connection_facts(b64decode(row.get("hello") or hello))
    facts.is_http2 = version == b"2"
    facts.is_wasteful = row["is_wasteful"]
    for name in _NUMBERS:
        setattr(facts, name, row[name])
    for name in _BYTES:
        setattr(facts, name, bytes.fromhex(row[name]))
    for name in _TEXTS:
        setattr(facts, name, row[name].encode())
    request.connection = facts
    return request


def _with_a_window(value: str) -> str:
    """What the same Chromium says of itself when it has a window: the only thing that it says otherwise without one."""
    return value.replace("HeadlessChrome/", "Chrome/")


def write(rows: list[dict[str, Any]], path: Path = RECORDED) -> None:
    """Write lines, each client's hello once; clients that were not tried now keep their lines."""
    kept = [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    new = {row["client"] for row in rows}
    lines, hellos = [], dict[str, str]()
    for row in sorted([*(row for row in kept if row["client"] not in new), *rows], key=lambda row: row["client"]):
        first = hellos.setdefault(row["client"], row.get("hello", ""))
        shown = {key: value for key, value in row.items() if key != "hello" or (value == first and row["mode"] == "own")}
        lines.append(json.dumps(shown, separators=(",", ":")))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
