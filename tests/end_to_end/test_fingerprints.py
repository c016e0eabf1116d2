"""Real clients through a real front over TLS: what browsers show contradicts nothing, what copies their headers is contradicted.

The imitators' own tests run where `make fingerprints` installed them; the table of what each shows is in tests/fingerprints.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.front_rig import hello
from tests.fingerprints.client import COPIED, Client, is_here
from tests.fingerprints.clients import CLIENTS
from tests.fingerprints.sightings import sighted

PAGE = (
    b"<!doctype html><title>x</title><link rel=stylesheet href=/style.css><script src=/script.js></script>"
    b"<img src=/one.png><img src=/two.png><script>fetch('/data.json', {method: 'POST', body: 'x'})</script>"
)


async def site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every request with a page that asks for more."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        await reader.readexactly(int(fields.get(b"content-length", b"0")))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE))


async def run_client(command: Sequence[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, said.decode(errors="replace")[-500:]


def seen_of(folder: Path, commands: Sequence[Callable[[str], Sequence[str]]], handler: Any = hello) -> list[dict[str, Any]]:
    """What the front wrote down of clients, one after the other; each is given the address of the front."""

    async def scenario() -> list[dict[str, Any]]:
        async with sighted(folder, handler=handler) as (rig, checker):
            for command in commands:
                await run_client(command(f"https://localhost:{rig.port}"))
            return checker.sightings

    return asyncio.run(scenario())


def named(name: str) -> Client:
    client = next(each for each in CLIENTS if each.name == name)
    if not is_here(client):
        pytest.skip(f"{client.needs} is not installed")
    return client


@pytest.mark.parametrize("name", ["chromium", "chromium-http2-off", "chromium-tls12"])
def test_a_browser_contradicts_nothing_with_any_of_its_requests(name: str, tmp_path: Path) -> None:
    client = named(name)

    def command(url: str) -> Sequence[str]:
        first, *rest = (part.replace("{folder}", str(tmp_path)) for part in client.command(url, {}))
        return (first, "--virtual-time-budget=3000", *rest)

    seen = seen_of(tmp_path, [lambda url: command(f"{url}/")], site)
    assert {"/", "/style.css", "/script.js", "/one.png", "/two.png"} <= {each["path"] for each in seen}
    found = ("http1",) if name.endswith("off") else ()
    assert {(each["kind"], each["claimed"], tuple(each["contradictions"])) for each in seen} == {("chromium", "chromium", found)}
    assert {each["version"] for each in seen} == ({"1.1"} if name.endswith("off") else {"2"})
    assert {each["tls"] for each in seen} == ({"1.2"} if name.endswith("tls12") else {"1.3"})


@pytest.mark.parametrize("name", ["curl-h2", "curl-h1", "requests", "httpx-h1", "httpx-h2", "aiohttp", "urllib"])
def test_a_library_with_copied_headers_is_contradicted_at_its_first_request(name: str, tmp_path: Path) -> None:
    client = named(name)
    own, copied = seen_of(
        tmp_path, [lambda url: client.command(f"{url}/own", {}), lambda url: client.command(f"{url}/copied", COPIED)]
    )
    assert (own["kind"], own["claimed"], own["contradictions"]) == (client.speaks, client.speaks, [])
    assert (copied["kind"], copied["claimed"], copied["contradictions"][0]) == (client.speaks, "chromium", "hello")


@pytest.mark.parametrize("name", ["curl_cffi-chrome146", "primp-chrome_152", "rnet-Chrome137", "tls_client-chrome_131"])
def test_an_imitator_is_found_at_its_first_request(name: str, tmp_path: Path) -> None:
    client = named(name)
    (seen,) = seen_of(tmp_path, [lambda url: client.command(f"{url}/copied", COPIED)])
    assert (seen["kind"], seen["claimed"]) == ("chromium", "chromium")
    assert "imitated" in seen["contradictions"]
