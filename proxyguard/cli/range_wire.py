"""Wire mode of the range: the site behind a socket of loopback, and a scenario through a front that is already there."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlsplit

import click

from proxyguard.cli.echo import echo
from proxyguard.tools.range.firewall import OpenGate
from proxyguard.tools.range.scenarios import Scenario
from proxyguard.tools.range.score import RunScore, score
from proxyguard.tools.range.site_server import SiteServer
from proxyguard.tools.range.values import Draw
from proxyguard.tools.range.virtual import VirtualRun
from proxyguard.tools.range.wire import WireRun

LOOPBACK: Final = "127."


def front_of(url: str) -> tuple[str, int]:
    """Host and port of a front on loopback. Raises BadParameter: the range never leaves the machine."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError as error:
        raise click.BadParameter(f"{url!r}: {error}", param_hint="--front") from error
    host = "127.0.0.1" if host == "localhost" else host
    if parts.scheme != "http" or not _is_loopback(host):
        raise click.BadParameter(f"{url!r} is not http://127.0.0.1:PORT; the range stays on this machine", param_hint="--front")
    return host, port


def _is_loopback(host: str) -> bool:
    """Whether it is an IPv4 address of loopback: `127.example.org` is a name, and names may lead anywhere."""
    return host.startswith(LOOPBACK) and host.replace(".", "").isdecimal()


def run_on_wire(scenario: Scenario, seed: int, front: tuple[str, int], site_port: int, seconds: float) -> RunScore:
    """Serve the site on a port, and run the first `seconds` of the scenario through the front. Raises OSError for the port."""
    begin = min(span.begin for _, span in scenario.members)
    run = asyncio.run(_run(scenario, seed, front, site_port, begin, seconds))
    if run.failed:
        echo(f"note: {run.failed:,} requests found no front at {front[0]}:{front[1]}", err=True)
    cohorts = [(cohort, cohort.arrivals(span, Draw(seed, cohort.name))) for cohort, span in scenario.members]
    free = VirtualRun(cohorts, OpenGate(), (), begin + seconds)
    free.run()
    return score(scenario, "front", seed, run.tallies, free.tallies)


async def _run(scenario: Scenario, seed: int, front: tuple[str, int], site_port: int, begin: float, seconds: float) -> WireRun:
    site = SiteServer(site_port)
    try:
        cohorts = [(cohort, cohort.arrivals(span, Draw(seed, cohort.name))) for cohort, span in scenario.members]
        run = WireRun(cohorts, *front, begin, seconds)
        await run.run()
    finally:
        site.stop()
    return run
