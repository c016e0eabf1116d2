"""Record what real clients show of themselves, and hold the table of kinds to it: `make fingerprints`.

Half of the clients, by a hash of their names, are kept out of fitting: the table of kinds is changed for the other half alone,
and the figures of both are shown apart. What is not installed is left out. All of it comes with these packages of Debian:
aria2 chromium firefox-esr gir1.2-soup-3.0 golang-go httrack libfurl-perl libhttpclient-java libhttpclient5-java
liblwp-protocol-https-perl libmojolicious-perl libmono-system-net-http4.0-cil libokhttp-java links lynx mono-mcs nodejs npm
openjdk-17-jdk-headless php-cli php-curl php-guzzlehttp-guzzle privoxy python3-gi ruby-excon ruby-faraday ruby-httparty
ruby-httpclient ruby-mechanize ruby-rest-client ruby-typhoeus squid-openssl sslsplit w3m wget wget2.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tests.fingerprints.client import Client, is_here, modes
from tests.fingerprints.clients import CLIENTS
from tests.fingerprints.recording import RECORDED, write
from tests.fingerprints.sightings import SightingChecker, sighted

SECONDS: Final = 60.0


def is_kept_out(client: Client) -> bool:
    """Whether a client is of the half that the table is not fitted to."""
    return sha256(client.name.encode()).digest()[0] & 1 == 1


async def ask(client: Client, url: str, headers: Mapping[str, str], folder: str) -> str:
    """Run a client once, in a folder of its own; what it says when it fails."""
    place = f"{folder}/{url.rpartition('/')[2]}"
    await asyncio.to_thread(Path(place).mkdir)
    command = [part.replace("{folder}", place) for part in client.command(url, headers)]
    with tempfile.TemporaryFile(dir=place) as file:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )
        fault = await ended(process)
        file.seek(0)
        said = file.read().decode(errors="replace")[-300:]
    return fault or ("" if process.returncode == 0 else said)


async def ended(process: asyncio.subprocess.Process) -> str:
    """Wait for a process, and end whatever it leaves behind."""
    try:
        await asyncio.wait_for(process.wait(), SECONDS)
    except TimeoutError:
        return "no end"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it left behind
    return ""


async def record(names: list[str], folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with sighted(folder) as (rig, checker):
        for client in CLIENTS:
            if (names and not any(client.name.startswith(name) for name in names)) or not is_here(client):
                continue
            for mode, headers in modes(client):
                found.append(await once(client, mode, headers, rig.port, checker, folder))
                show_row(found[-1])
    return found


async def once(
    client: Client, mode: str, headers: Mapping[str, str], port: int, checker: SightingChecker, folder: Path
) -> dict[str, Any]:
    path = f"{client.name}-{mode}".replace(":", "-")
    fault = await ask(client, f"https://localhost:{port}/{path}", headers, str(folder))
    found = checker.first_of(path)
    row = {"client": client.name, "of": client.kind, "mode": mode, "kept_out": is_kept_out(client)}
    if found is None:
        return row | {"fault": fault or "it asked for nothing"}
    seen, kept = found
    return row | seen | {"is_right": seen["kind"] == client.speaks or not client.speaks, "recording": row | kept}


def show_row(row: dict[str, Any]) -> None:
    start = f"{row['client']:24} {row['mode']:7}"
    if "fault" in row:
        print(start, "FAULT", row["fault"].splitlines()[-1][:120] if row["fault"] else "", flush=True)
        return
    mark = "" if row["is_right"] else "  <- another kind than expected"
    said = ",".join(row["contradictions"]) or "-"
    print(
        f"{start} {row['hello']:9} {row['kind']:9} claims {row['claimed']:9} {said:34} "
        f"{row['first_record']:4} {row['ja4']} {row['http2'][:60]}{mark}",
        flush=True,
    )


def show(rows: list[dict[str, Any]]) -> None:
    for kept_out in (False, True):
        print(f"\n{'kept out of fitting' if kept_out else 'fitted'}:")
        for kind in ("browser", "intercepted", "library", "imitator"):
            of_kind = [row for row in rows if row["of"] == kind and row["kept_out"] is kept_out and "fault" not in row]
            claiming = [row for row in of_kind if row["claimed"] in ("chromium", "firefox")]
            against = [row for row in claiming if {"hello", "imitated"} & set(row["contradictions"])]
            imitated = [row for row in claiming if "imitated" in row["contradictions"]]
            right = sum(row["is_right"] for row in of_kind)
            print(
                f"  {kind:8} {len(of_kind):3} requests, {right} of the kind expected; of {len(claiming)} that claim Chromium or "
                f"Firefox {len(against)} are contradicted, {len(imitated)} of them as imitated"
            )


def main() -> None:
    arguments = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        rows = run_long(arguments, Path(folder))
    show(rows)
    write([row["recording"] for row in rows if "recording" in row])
    print(f"\nwritten to {RECORDED}")


def run_long(names: list[str], folder: Path) -> list[dict[str, Any]]:
    return asyncio.run(record(names, folder))


if __name__ == "__main__":
    main()
