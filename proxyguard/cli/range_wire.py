"""Wire mode of the range: the site behind a socket of loopback, and a scenario through a front or through peers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from proxyguard.cli.echo import echo
from proxyguard.tools.range.connections import recorded_hellos
from proxyguard.tools.range.firewall import OpenGate
from proxyguard.tools.range.peers.fronts import FRONTS, OURSELVES, FrontPeer, proxyguard_front, running
from proxyguard.tools.range.peers.log_readers import LOG_READERS, banned_by
from proxyguard.tools.range.run import coming, run_scenario
from proxyguard.tools.range.scenarios import Scenario
from proxyguard.tools.range.score import RunScore, score
from proxyguard.tools.range.site_server import SiteServer
from proxyguard.tools.range.spoken_tls import refusal_of
from proxyguard.tools.range.values import CohortKind
from proxyguard.tools.range.virtual import VirtualRun
from proxyguard.tools.range.wire import WireRun, client_tls

LOOPBACK: Final = "127."
PEERS: Final = (OURSELVES, *(peer.name for peer in FRONTS), *(peer.name for peer in LOG_READERS))
MIB: Final = 1024 * 1024


def front_of(url: str) -> tuple[str, int, bool]:
    """Host, port, and whether it speaks TLS. Raises BadParameter for what is not on loopback: the range stays on this machine."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise click.BadParameter(f"{url!r}: {error}", param_hint="--front") from error
    host = "127.0.0.1" if host == "localhost" else host
    if parts.scheme not in {"http", "https"} or not _is_loopback(host):
        raise click.BadParameter(f"{url!r} is not http://127.0.0.1:PORT; the range stays on this machine", param_hint="--front")
    tls = parts.scheme == "https"
    return host, port or (443 if tls else 80), tls


def _is_loopback(host: str) -> bool:
    """Whether it is an IPv4 address of loopback: `127.example.org` is a name, and names may lead anywhere."""
    return host.startswith(LOOPBACK) and host.replace(".", "").isdecimal()


def run_on_wire(
    scenario: Scenario, seed: int, front: tuple[str, int, bool], site_port: int, seconds: float, preset: str = "front"
) -> RunScore:
    """Serve the site on a port, and run `seconds` of the scenario through the front. Raises OSError for the port.

    Begins when the first adversary comes; people who came before are not there.
    """

    async def run() -> WireRun:
        with _served(scenario, site_port):
            return await _through(scenario, seed, front, seconds)

    return _scored(scenario, seed, asyncio.run(run()), front, seconds, preset)


def run_peer(name: str, scenario: Scenario, seed: int, seconds: float, rules: Path, preset: str) -> tuple[RunScore, str]:
    """A scenario through a peer that is started for it, or by its bans; and what it took. Raises PeerUnavailable."""
    reader = next((each for each in LOG_READERS if each.name == name), None)
    if reader is not None:
        bans = banned_by(reader, scenario, seed)
        return run_scenario(scenario, seed, bans, name), f"{name}: {reader.about}; {bans.count:,} bans, on the virtual clock"
    peer = proxyguard_front(rules, preset) if name == OURSELVES else next(each for each in FRONTS if each.name == name)
    return _run_front(peer, scenario, seed, seconds)


def _run_front(peer: FrontPeer, scenario: Scenario, seed: int, seconds: float) -> tuple[RunScore, str]:
    async def run() -> tuple[WireRun, tuple[str, int, bool], str]:
        with _served(scenario, 0) as port, running(peer, port) as (front_port, usage):
            front = ("127.0.0.1", front_port, False)
            done = await _through(scenario, seed, front, seconds)
        took = f"{usage.cpu_seconds:,.1f} s of CPU, {usage.memory_bytes / MIB:,.0f} MiB"
        return done, front, f"{peer.name}: {peer.about}; {seconds:g} s in real time; {took}"

    done, front, took = asyncio.run(run())
    return _scored(scenario, seed, done, front, seconds, peer.name), took


@contextmanager
def _served(scenario: Scenario, port: int) -> Iterator[int]:
    site = SiteServer(port, scenario.site)
    try:
        yield site.port
    finally:
        site.stop()


async def _through(scenario: Scenario, seed: int, front: tuple[str, int, bool], seconds: float) -> WireRun:
    host, port, tls = front
    begin = _begin(scenario)
    context = client_tls() if tls else None
    speaks = tls and await _speaks(host, port)
    run = WireRun(coming(scenario, seed, begin), host, port, begin, seconds, context, speaks=speaks)
    await run.run()
    return run


async def _speaks(host: str, port: int) -> bool:
    """Whether clients may begin with the hellos of their software; says why not."""
    try:
        why = await refusal_of(recorded_hellos()["chrome"], host, port)
    except OSError:
        return False  # nobody listens: the run says so
    if why:
        echo(f"note: all clients speak TLS like Python: {why}", err=True)
    return not why


def _begin(scenario: Scenario) -> float:
    """When the first adversary is there; when the first of all is, where there is none."""
    adversaries = [span.begin for cohort, span in scenario.members if cohort.kind is CohortKind.ADVERSARY]
    return min(adversaries or [span.begin for _, span in scenario.members])


def _scored(scenario: Scenario, seed: int, run: WireRun, front: tuple[str, int, bool], seconds: float, preset: str) -> RunScore:
    """Beside the figures of the same seconds without a front."""
    if run.failed:
        echo(f"note: {run.failed:,} requests found no front at {front[0]}:{front[1]}", err=True)
    begin = _begin(scenario)
    free = VirtualRun(coming(scenario, seed, begin), OpenGate(), (), begin + seconds, scenario.site)
    free.run()
    return score(scenario, preset, seed, run.tallies, free.tallies)


def peers_of(names: Sequence[str]) -> tuple[str, ...]:
    """The peers of a command line; `all` is each of them."""
    return PEERS if "all" in names else tuple(dict.fromkeys(names))
