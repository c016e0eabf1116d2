"""Record what real clients show of themselves, and hold the table of kinds to it: `make fingerprints`.

Half of the clients, by a hash of their names, are kept out of fitting: the table of kinds is changed for the other half alone,
and the figures of both are shown apart.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from tests.fingerprints.clients import CLIENTS, Client, is_here, modes
from tests.fingerprints.sightings import SightingChecker, sighted

SECONDS: Final = 40.0


def is_kept_out(client: Client) -> bool:
    """Whether a client is of the half that the table is not fitted to."""
    return sha256(client.name.encode()).digest()[0] & 1 == 1


async def ask(client: Client, url: str, headers: dict[str, str], folder: str) -> str:
    """Run a client once; what it says when it fails."""
    command = list(client.command(url, headers))
    if client.needs == "chromium":
        command.insert(1, f"--user-data-dir={folder}/{url.rpartition('/')[2]}")
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
        return "no end"
    return "" if process.returncode == 0 else said.decode(errors="replace")[-300:]


async def record(names: list[str], folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with sighted(folder) as (rig, checker):
        for client in CLIENTS:
            if (names and not any(client.name.startswith(name) for name in names)) or not is_here(client):
                continue
            for mode, headers in modes(client):
                found.append(await once(client, mode, headers, rig.port, checker, folder))
    return found


async def once(
    client: Client, mode: str, headers: dict[str, str], port: int, checker: SightingChecker, folder: Path
) -> dict[str, Any]:
    path = f"{client.name}-{mode}"
    fault = await ask(client, f"https://localhost:{port}/{path}", headers, str(folder))
    seen = checker.of(path)
    row = {"client": client.name, "of": client.kind, "mode": mode, "kept_out": is_kept_out(client)}
    if not seen:
        return row | {"fault": fault or "it asked for nothing"}
    return row | seen[0] | {"is_right": seen[0]["kind"] == client.speaks or not client.speaks}


def show(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        if "fault" in row:
            print(f"{row['client']:24} {row['mode']:7} FAULT {row['fault'].splitlines()[-1][:120] if row['fault'] else ''}")
            continue
        mark = "" if row["is_right"] else "  <- another kind than expected"
        said = ",".join(row["contradictions"]) or "-"
        print(
            f"{row['client']:24} {row['mode']:7} {row['hello']:9} {row['kind']:9} claims {row['claimed']:9} {said:34} "
            f"{row['first_record']:4} {row['ja4']} {row['http2'][:60]}{mark}"
        )
    for kept_out in (False, True):
        print(f"\n{'kept out of fitting' if kept_out else 'fitted'}:")
        for kind in ("browser", "library", "imitator"):
            of_kind = [row for row in rows if row["of"] == kind and row["kept_out"] is kept_out and "fault" not in row]
            claiming = [row for row in of_kind if row["claimed"] in ("chromium", "firefox")]
            against = [row for row in claiming if row["contradictions"] not in ([], ["order"], ["settings"])]
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
    target = Path(".run/fingerprints.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten to {target}")


def run_long(names: list[str], folder: Path) -> list[dict[str, Any]]:
    return asyncio.run(record(names, folder))


if __name__ == "__main__":
    main()
