"""Peers that read the access log of a site and ban addresses: fail2ban and CrowdSec, over the log of a run without a firewall.

They see what everybody would have done, and their bans are then put in force in a second run, in which whoever is banned reacts.
What comes from an address during its ban counts for nothing, as it would not have been in the log.
"""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final, NamedTuple

from proxyguard.core.request import Headers
from proxyguard.tools.range.firewall import EPOCH, OpenGate, Verdict
from proxyguard.tools.range.peers.bans import BanList, LogBan
from proxyguard.tools.range.peers.fronts import CONFIG, WORDS_OF_LOG, PeerUnavailable, filled, free_ports
from proxyguard.tools.range.run import perform
from proxyguard.tools.range.scenarios import Scenario
from proxyguard.tools.range.values import Fetch

LOG_SECONDS: Final = 1.0
"""The step of times in a log: a ban begins when the second is over whose lines brought it."""

MAX_SECONDS: Final = 1_800.0
"""Of wall-clock time that a peer may read."""

CROWDSEC_PARSERS: Final = (
    "s00-raw/crowdsecurity/syslog-logs.yaml", "s01-parse/crowdsecurity/nginx-logs.yaml",
    "s02-enrich/crowdsecurity/dateparse-enrich.yaml", "s02-enrich/crowdsecurity/http-logs.yaml",
)  # fmt: skip
CROWDSEC_SCENARIOS: Final = ("http-crawl-non_statics", "http-probing", "http-bad-user-agent", "http-generic-bf")
"""Those of its collection `base-http-scenarios` that could find a scraper; the others look for holes."""


class LogPeer(NamedTuple):
    """A reader of logs: finds bans in one, within a folder of its own."""

    name: str
    about: str
    find: Callable[[Path, Path], list[LogBan]]


def banned_by(peer: LogPeer, scenario: Scenario, seed: int) -> BanList:
    """What a peer would have banned in a scenario. Raises PeerUnavailable."""
    with TemporaryDirectory(prefix="proxyguard-peer-") as name:
        folder = Path(name)
        log = folder / "access.log"
        with log.open("wb") as file:
            perform(scenario, seed, OpenGate()).run(told=_writer(file))
        return BanList(peer.find(log, folder))


def _writer(file: IO[bytes]) -> Callable[[Fetch, Verdict, float], None]:
    """Writes each request as a line of the combined format. Statuses are those of pages that there are."""

    def told(fetch: Fetch, _: Verdict, now: float) -> None:
        file.write(log_line(fetch, now))

    return told


def log_line(fetch: Fetch, now: float) -> bytes:
    """The line that nginx writes for a fetch."""
    when = datetime.fromtimestamp(EPOCH + now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000").encode()
    agent, referer = _field(fetch.headers, b"user-agent"), _field(fetch.headers, b"referer")
    first = b"%s %s HTTP/1.1" % (fetch.method, fetch.target)
    return b'%s - - [%s] "%s" 200 6000 "%s" "%s"\n' % (fetch.source.address.text.encode(), when, first, referer, agent)


def _field(headers: Headers, wanted: bytes) -> bytes:
    return next((value for name, value in headers if name.lower() == wanted), b"-").replace(b'"', b"\\x22")


def _program(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise PeerUnavailable(f"{name} is not here; Debian has it in {package}")
    return found


def _run(arguments: Sequence[str | Path], folder: Path) -> str:
    """What a program writes. Raises PeerUnavailable when it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - programs of the table, without a shell
            [str(each) for each in arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False,
            timeout=MAX_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise PeerUnavailable(f"{arguments[0]} was not done after {MAX_SECONDS:g} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout)[-WORDS_OF_LOG:].decode("utf-8", "replace").strip()
        raise PeerUnavailable(f"{arguments[0]} ended with {done.returncode}: {said}")
    return done.stdout.decode("utf-8", "replace")


def _fail2ban(log: Path, folder: Path) -> list[LogBan]:
    """Its own filters find the lines; what a jail makes of them is counted here, as its `failmanager` does."""
    program = _program("fail2ban-regex", "fail2ban")
    jails = ConfigParser()
    jails.read_string((CONFIG / "jails.conf").read_text(encoding="utf-8"))
    found: list[LogBan] = []
    for name in jails.sections():
        jail = jails[name]
        rows = _run([program, "-o", "<ip> <time>", log, CONFIG / jail["filter"]], folder)
        failures = (line.split() for line in rows.splitlines())
        times = ((each[0], float(each[1]) + LOG_SECONDS - EPOCH) for each in failures if len(each) == 2)
        found += jail_bans(name, times, int(jail["maxretry"]), float(jail["findtime"]), float(jail["bantime"]))
    return found


def jail_bans(
    name: str, failures: Iterable[tuple[str, float]], most: int, within_seconds: float, ban_seconds: float
) -> Iterator[LogBan]:
    """The bans of a jail: `most` failures of an address within so many seconds; what comes during a ban counts for nothing."""
    recent: Mapping[str, deque[float]] = defaultdict(deque)
    until: dict[str, float] = {}
    for address, at in failures:
        if at < until.get(address, 0.0):
            continue
        times = recent[address]
        times.append(at)
        while times[0] <= at - within_seconds:
            times.popleft()
        if len(times) >= most:
            times.clear()
            until[address] = at + ban_seconds
            yield LogBan(address, at, at + ban_seconds, f"fail2ban/{name}")


def _crowdsec(log: Path, folder: Path) -> list[LogBan]:
    """It reads the log with a database of its own; its decisions are then taken from there."""
    program = Path(_program("crowdsec", "crowdsec")).resolve()
    share, etc = program.parents[1] / "share/crowdsec", program.parents[2] / "etc/crowdsec"
    etc = etc if etc.is_dir() else Path("/etc/crowdsec")
    config = folder / "config"
    shutil.copytree(share / "data", folder / "data")
    shutil.copytree(etc / "patterns", config / "patterns")
    for part in CROWDSEC_PARSERS:
        stage, _, rest = part.partition("/")
        (config / "parsers" / stage).mkdir(parents=True, exist_ok=True)
        shutil.copy(share / "hub/parsers" / part, config / "parsers" / stage / Path(rest).name)
    (config / "scenarios").mkdir()
    for each in CROWDSEC_SCENARIOS:
        shutil.copy(share / f"hub/scenarios/crowdsecurity/{each}.yaml", config / "scenarios")
    (folder / "hub").mkdir()
    shutil.copy(share / "hub/.index.json", folder / "hub")
    for name in ("notifications", "plugins"):
        (folder / name).mkdir()
    (folder / "acquis.yaml").touch()
    (port,) = free_ports(1)
    text = filled((CONFIG / "crowdsec.yaml").read_text(encoding="utf-8"), {"folder": str(folder), "port": str(port)})
    (folder / "crowdsec.yaml").write_text(text, encoding="utf-8")
    shutil.copy(etc / "profiles.yaml", folder)
    shutil.copy(etc / "simulation.yaml", config)
    arguments = ["-c", str(folder / "crowdsec.yaml")]
    keys = ["-f", str(folder / "keys.yaml"), "--url", f"http://127.0.0.1:{port}"]
    _run([program.with_name("cscli"), *arguments, "machines", "add", "range", "--auto", *keys], folder)
    _run([program, *arguments, "-dsn", f"file://{log}", "-type", "nginx"], folder)
    with closing(sqlite3.connect(folder / "data/crowdsec.db")) as database:
        rows = database.execute(
            "SELECT d.value, a.stopped_at, d.until, d.scenario FROM decisions d JOIN alerts a ON d.alert_decisions = a.id"
        ).fetchall()
    return [LogBan(value, _seconds(begin) + LOG_SECONDS, _seconds(end), f"crowdsec/{rule}") for value, begin, end, rule in rows]


def _seconds(text: str) -> float:
    """Since the scenario began, of a moment as its database has it."""
    return datetime.fromisoformat(text).timestamp() - EPOCH


LOG_READERS: Final = (
    LogPeer("fail2ban", "fail2ban with jails for pages and sign-ups, and two of its own", _fail2ban),
    LogPeer("crowdsec", "CrowdSec's scenarios about crawlers, by Debian's package", _crowdsec),
)
