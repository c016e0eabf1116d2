"""Requests a second, latency and CPU of the whole, beside mitmdump, Envoy and nginx in the same minutes.

Every figure is the median of alternating runs: each round measures every contender once, so that a machine that slows down
slows all of them. The proxy under test has one core for itself where there are two; the load generator (wrk) and the
upstream (nginx, a small static file) share the other. Ours runs the bundled rules with its audit log in a file and metrics on;
nginx and HAProxy that refuse have the rules of the range (`bench.peers`), and stand where they are installed.

What is forwarded is a style sheet: a *page* read thousands of times a second by one address is over the page limits, which are
in shadow, so that each request is a record to write. That is measured as a line of its own, and beside it the same page with
limits that are not reached: the two differ by the record, and by what is tallied of rules in shadow.

Run: `python -m bench.end_to_end [--seconds 3] [--rounds 3] [--json FILE] [--check]`. Needs wrk, nginx, openssl.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from bench.front import certificate_lines, front_options, spaced
from bench.peers import refusing
from tests.end_to_end.processes import RULES, Proxyguard, Running, accepts
from tests.ports import free_port

CONNECTIONS: Final = 32
LATENCY_RATE: Final = 1000
LATENCY_CLIENTS: Final = 20


def _firefox(accept: str, mode: str, dest: str, *more: tuple[str, str]) -> dict[str, str]:
    """All that Firefox says of a fetch over HTTP/1, in its order: half of it earns points, and then each request is recorded."""
    return {
        "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
        "Accept": accept,
        "Accept-Language": "en-GB,en;q=0.5",
        "Accept-Encoding": "gzip, deflate, br, zstd",
        "Connection": "keep-alive",
        **dict(more),
        "Sec-Fetch-Dest": dest,
        "Sec-Fetch-Mode": mode,
        "Sec-Fetch-Site": "same-origin",
    }


READER: Final = _firefox(
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "navigate", "document", ("Upgrade-Insecure-Requests", "1")
)
STYLE_READER: Final = _firefox("text/css,*/*;q=0.1", "no-cors", "style")
VARYING: Final = STYLE_READER.copy()
"""The same, with a Referer and a query of its own in each request."""
SCRIPT: Final = {"User-Agent": "python-requests/2.32.3", "Accept": "*/*", "Accept-Encoding": "gzip, deflate"}

_NGINX: Final = """
{user}
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000; keepalive_timeout 300s; server_tokens off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type text/html;
    location / {{ return 200 "{page}"; }}
  }}
}}
"""

_ADDON: Final = """
from mitmproxy import http

class Reject:
    def request(self, flow):
        if "python-requests" in flow.request.headers.get("user-agent", ""):
            flow.response = http.Response.make(403, b"no")

addons = [Reject()]
"""

_ENVOY_FILTERS: Final = "type.googleapis.com/envoy.extensions.filters"
_ENVOY: Final = {
    "static_resources": {
        "listeners": [
            {
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                "filter_chains": [
                    {
                        "filters": [
                            {
                                "name": "envoy.filters.network.http_connection_manager",
                                "typed_config": {
                                    "@type": f"{_ENVOY_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
                                    "stat_prefix": "front",
                                    "route_config": {
                                        "virtual_hosts": [
                                            {
                                                "name": "all",
                                                "domains": ["*"],
                                                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}],
                                            }
                                        ]
                                    },
                                    "http_filters": [
                                        {
                                            "name": "envoy.filters.http.router",
                                            "typed_config": {"@type": f"{_ENVOY_FILTERS}.http.router.v3.Router"},
                                        }
                                    ],
                                },
                            }
                        ]
                    }
                ],
            }
        ],
        "clusters": [
            {
                "name": "up",
                "connect_timeout": "1s",
                "type": "STATIC",
                "load_assignment": {
                    "cluster_name": "up",
                    "endpoints": [
                        {
                            "lb_endpoints": [
                                {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}}}
                            ]
                        }
                    ],
                },
            }
        ],
    }
}


class Goal(NamedTuple):
    """A ratio (or a time) that the product aims at."""

    name: str
    value: float
    wanted: float
    at_least: bool = True
    by_cpu: float | None = None
    """The same ratio in requests per second of CPU: steadier where other work shares the cores."""

    @property
    def met(self) -> bool:
        return self.value >= self.wanted if self.at_least else self.value <= self.wanted


@dataclass
class Contender:
    """Something that answers at a URL, and the processes that do it."""

    name: str
    url: str
    headers: dict[str, str]
    running: Running | None
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    """Seconds for 10,000 requests."""

    @property
    def rate(self) -> float:
        return median(self.rates)

    @property
    def cost(self) -> float:
        return median(self.cpu)


def pinned(cores: str, *command: str | Path) -> list[str | Path]:
    """A command on some cores only, where there are several."""
    return ["taskset", "-c", cores, *command] if (os.cpu_count() or 1) > 1 and shutil.which("taskset") else [*command]


ASSET: Final = "/static/site.css"
PAGE: Final = "/profiles/1"

PROXY_CORE: Final = "0"
LOAD_CORE: Final = "1"


def cpu_seconds(running: Running) -> float:
    """User and system time that a process and its children have taken so far."""
    ticks = 0
    for pid in running.family():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def wrk(url: str, headers: dict[str, str], seconds: float) -> tuple[float, int]:
    """Requests a second, and how many in all. A forwarded request that is not answered with 200, or a rejected one that is,
    makes the whole figure worthless, so it ends the run."""
    options = [option for name, value in headers.items() for option in ("-H", f"{name}: {value}")]
    if headers is VARYING:
        options += ["-s", str(Path(__file__).with_name("varying.lua"))]
    command = pinned(LOAD_CORE, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", *options, url)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    total = re.search(r"(\d+) requests in", said)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    wanted = total[1] if total and headers is SCRIPT else "0"
    if rate is None or total is None or total[1] == "0" or (refused[1] if refused else "0") != wanted:
        raise RuntimeError(f"{url}: {wanted} refusals expected, wrk said:\n{said}")
    return float(rate[1]), int(total[1])


def measure(contender: Contender, seconds: float) -> None:
    """One run."""
    before = cpu_seconds(contender.running) if contender.running else 0.0
    rate, total = wrk(contender.url, contender.headers, seconds)
    contender.rates.append(rate)
    if contender.running and total:
        contender.cpu.append((cpu_seconds(contender.running) - before) / total * 10_000)


def latencies(url: str, seconds: float) -> list[float]:
    """Milliseconds of each request at LATENCY_RATE requests a second over LATENCY_CLIENTS connections (`spaced`)."""
    parts = urlsplit(url)
    fields = {"Host": parts.netloc, **STYLE_READER}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    request = f"GET {parts.path} HTTP/1.1\r\n{head}\r\n".encode()
    peers = [socket.create_connection((parts.hostname or "", parts.port or 80)) for _ in range(LATENCY_CLIENTS)]
    try:
        for peer in peers:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return spaced(peers, request, LATENCY_RATE, seconds)
    finally:
        for peer in peers:
            peer.close()


@contextlib.contextmanager
def running(command: list[str | Path], log: Path, port: int, **environment: str) -> Iterator[Running]:
    """A server process, until it listens and until the end of the block."""
    process = Running.start(command, log, **environment)
    try:
        process.wait_for(lambda: accepts(port), f"{command} listens")
        yield process
    finally:
        process.end(seconds=40)


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """The upstream: one worker, a page of 1 KiB."""
    port, config = free_port(), folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(_NGINX.format(user=user, folder=folder, port=port, page="x" * 1024))
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    command = pinned(LOAD_CORE, program, "-p", folder, "-c", config, "-e", folder / "error.log")
    with running(command, folder / "nginx.log", port):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def mitmdump(folder: Path, upstream: str, *, tls: bool) -> Iterator[tuple[str, Running]]:
    """Stock mitmdump with the trivial addon."""
    port, addon = free_port(), folder / "addon.py"
    addon.write_text(_ADDON)
    scheme = "https" if tls else "http"
    program = Path(sys.executable).with_name("mitmdump")
    command = pinned(
        PROXY_CORE, program, "--quiet", "--mode", f"reverse:{upstream}", "--listen-host", "127.0.0.1",
        "--listen-port", str(port), "-s", addon, "--set", f"confdir={folder / 'mitmproxy'}",
        *(("--certs", f"*={folder / 'both.pem'}") if tls else ()),
    )  # fmt: skip
    with running(command, folder / f"mitmdump-{scheme}.log", port) as process:
        yield f"{scheme}://127.0.0.1:{port}", process


@contextlib.contextmanager
def ours(
    folder: Path,
    upstream: str,
    *,
    tls: bool = False,
    workers: int = 1,
    name: str = "proxyguard",
    python: Sequence[str | Path] = (sys.executable,),
    rules: Path = RULES,
) -> Iterator[tuple[str, Running]]:
    """proxyguard as an operator runs it; `python` starts another version, whose files are called by its `name`."""
    port, admin_port, scheme = free_port(), free_port(), "https" if tls else "http"
    files = folder / f"{name}-{scheme}-{workers}"
    config = files.with_suffix(".yaml")
    config.write_text(certificate_lines(folder) if tls else "{}\n")
    options = front_options(config, port, admin_port, upstream, files.with_suffix(".jsonl"), rules)
    cores = PROXY_CORE if workers == 1 else f"{PROXY_CORE},{LOAD_CORE}"
    command = pinned(cores, *python, "-m", "proxyguard", *options, "--workers", str(workers))
    process = Proxyguard.start(command, files.with_suffix(".log"))
    process.admin_port = admin_port
    try:
        process.wait_for(process.ready, "readiness")
        yield f"{scheme}://127.0.0.1:{port}", process
    finally:
        process.end(seconds=45)


@contextlib.contextmanager
def envoy(folder: Path, upstream: str) -> Iterator[tuple[str, Running] | None]:
    """Envoy with one thread, proxying and nothing else; None where it is not installed."""
    program = Path(sys.executable).with_name("envoy")
    if not program.exists():
        yield None
        return
    port, config = free_port(), folder / "envoy.json"
    text = json.dumps(_ENVOY)
    upstream_port = upstream.rpartition(":")[2]
    for value in (str(port), upstream_port):
        text = text.replace('"port_value": 0', f'"port_value": {value}', 1)
    config.write_text(text)
    command = pinned(
        PROXY_CORE, program, "-c", config, "--concurrency", "1", "-l", "error", "--disable-hot-restart"
    )  # fmt: skip
    with running(command, folder / "envoy.log", port) as process:
        yield f"http://127.0.0.1:{port}", process


def rules_without_records(folder: Path) -> Path:
    """The bundled rules, under which a client without cookies that reads pages has no record. Returns their folder."""
    copy = folder / "without-records"
    shutil.copytree(RULES, copy)
    for name, pattern, text in (
        ("60-page-limits.yaml", r"(rate: |burst: )\d+", r"\g<1>1000000000"),
        ("40-header-consistency.yaml", r"(- name: cookies-never-returned\n)", r'\1    mode: "off"\n'),
    ):
        file = copy / name
        said, count = re.subn(pattern, text, file.read_text().partition("\ntests:\n")[0])
        if not count:
            raise RuntimeError(f"{file}: nothing is like {pattern}")
        file.write_text(said)
    return copy


def make_certificate(folder: Path) -> None:
    """A self-signed certificate for localhost, P-256, as chain.pem and key.pem, and both in one file for mitmdump."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", folder / "key.pem", "-out", folder / "chain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    (folder / "both.pem").write_text((folder / "key.pem").read_text() + (folder / "chain.pem").read_text())


def throughput(folder: Path, upstream: str, seconds: float, rounds: int) -> dict[str, Contender]:
    """All contenders up at once, idle but for the one that is measured."""
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        plain, stock = enter(ours(folder, upstream)), enter(mitmdump(folder, upstream, tls=False))
        plain_tls, stock_tls = enter(ours(folder, upstream, tls=True)), enter(mitmdump(folder, upstream, tls=True))
        bare = enter(ours(folder, upstream, name="without-records", rules=rules_without_records(folder)))
        contenders = [
            Contender("nginx itself", upstream + ASSET, STYLE_READER, None),
            Contender("mitmdump forwards", stock[0] + ASSET, STYLE_READER, stock[1]),
            Contender("proxyguard forwards", plain[0] + ASSET, STYLE_READER, plain[1]),
            Contender("proxyguard forwards, varying", plain[0] + ASSET, VARYING, plain[1]),
            Contender("proxyguard forwards and records", plain[0] + PAGE, READER, plain[1]),
            Contender("proxyguard forwards the page only", bare[0] + PAGE, READER, bare[1]),
            Contender("mitmdump rejects", stock[0] + PAGE, SCRIPT, stock[1]),
            Contender("proxyguard rejects", plain[0] + PAGE, SCRIPT, plain[1]),
            Contender("mitmdump forwards over TLS", stock_tls[0] + ASSET, STYLE_READER, stock_tls[1]),
            Contender("proxyguard forwards over TLS", plain_tls[0] + ASSET, STYLE_READER, plain_tls[1]),
        ]
        beside = enter(envoy(folder, upstream))
        if beside is not None:
            contenders.append(Contender("Envoy forwards", beside[0] + ASSET, STYLE_READER, beside[1]))
            contenders.append(Contender("Envoy forwards, varying", beside[0] + ASSET, VARYING, beside[1]))
        for name in ("nginx", "haproxy"):
            made = refusing(name, folder, upstream)
            if made is not None:
                command, port = made
                process = enter(running(pinned(PROXY_CORE, *command), folder / f"refusing-{name}.log", port))
                contenders.append(Contender(f"{name} rejects", f"http://127.0.0.1:{port}{PAGE}", SCRIPT, process))
        for contender in contenders:
            wrk(contender.url, contender.headers, 1)
        for _ in range(rounds):
            for contender in contenders:
                measure(contender, seconds)
    return {contender.name: contender for contender in contenders}


def added_latency(folder: Path, upstream: str, seconds: float, rounds: int) -> dict[str, tuple[float, float]]:
    """p50 and p99 in milliseconds of nginx itself, of ours, and what ours adds."""
    direct: list[tuple[float, float]] = []
    through: list[tuple[float, float]] = []
    with ours(folder, upstream) as (url, _):
        for target in (upstream, url):
            latencies(target + ASSET, 1)
        for _ in range(rounds):
            for target, found in ((upstream, direct), (url, through)):
                cuts = quantiles(latencies(target + ASSET, seconds), n=100)
                found.append((cuts[49], cuts[98]))
    middle: Callable[[list[tuple[float, float]]], tuple[float, float]] = lambda found: (  # noqa: E731 - used twice, here
        median(p50 for p50, _ in found),
        median(p99 for _, p99 in found),
    )
    nginx_itself, guarded = middle(direct), middle(through)
    return {
        "nginx itself": nginx_itself,
        "through proxyguard": guarded,
        "added": (guarded[0] - nginx_itself[0], guarded[1] - nginx_itself[1]),
    }


def two_workers(folder: Path, upstream: str, seconds: float) -> Contender:
    """CPU for 10,000 requests with two workers: where it stays as with one, cores add up."""
    with ours(folder, upstream, workers=2) as (url, process):
        contender = Contender("proxyguard forwards, two workers", url + ASSET, STYLE_READER, process)
        wrk(url + ASSET, STYLE_READER, 1)
        measure(contender, seconds)
        return contender


def goals(rates: dict[str, Contender], latency: dict[str, tuple[float, float]], pair: Contender) -> list[Goal]:
    """What the figures mean."""

    def times(goal: str, one: str, other: str, wanted: float) -> Goal:
        ours, theirs = rates[one], rates[other]
        return Goal(goal, ours.rate / theirs.rate, wanted, by_cpu=theirs.cost / ours.cost)

    recorded, page = rates["proxyguard forwards and records"], rates["proxyguard forwards the page only"]
    found = [
        times("forwarded, times mitmdump", "proxyguard forwards", "mitmdump forwards", 12),
        times("rejected, times mitmdump", "proxyguard rejects", "mitmdump rejects", 40),
        times("recorded, times forwarded", "proxyguard forwards and records", "proxyguard forwards", 0.6),
        times("forwarded over TLS, times mitmdump", "proxyguard forwards over TLS", "mitmdump forwards over TLS", 8),
        Goal("CPU recorded, times the page only", recorded.cost / page.cost, 1.3, at_least=False),
        Goal("added latency p50, ms", latency["added"][0], 0.2, at_least=False),
        Goal("added latency p99, times nginx itself", latency["added"][1] / latency["nginx itself"][1], 2.0, at_least=False),
        Goal("CPU a request with two workers, times one", pair.cost / rates["proxyguard forwards"].cost, 1.15, at_least=False),
    ]
    if "Envoy forwards" in rates:
        found.insert(4, times("forwarded, times Envoy", "proxyguard forwards", "Envoy forwards", 1.2))
        found.insert(5, times("varying, times Envoy", "proxyguard forwards, varying", "Envoy forwards, varying", 0.9))
    if "nginx rejects" in rates:
        found.insert(2, times("rejected, times nginx with rules", "proxyguard rejects", "nginx rejects", 0.2))
    return found


def widest_gap(seconds: float = 1.0) -> float:
    """Milliseconds of the longest time for which something that only spins was not let run: the noise of the machine."""
    widest, last = 0.0, time.perf_counter()
    end = last + seconds
    while last < end:
        now = time.perf_counter()
        widest, last = max(widest, now - last), now
    return widest * 1000


def built() -> str:
    """The interpreter, and how it was built. Debian's says nothing of being optimised by profile, and is."""
    return f"Python {platform.python_version()}, {platform.python_compiler()}, {sysconfig.get_config_var('CONFIG_ARGS')}"


def show(rates: dict[str, Contender], latency: dict[str, tuple[float, float]], found: list[Goal]) -> None:
    """Three tables."""
    console = Console(width=100)
    console.print(f"{built()}; widest gap of an idle spinner {widest_gap():.2f} ms")
    table = Table("contender", "requests/s", "CPU s / 10,000", title=f"Keep-alive, {CONNECTIONS} connections, medians")
    for contender in rates.values():
        cpu = f"{contender.cost:.2f}" if contender.cpu else "-"
        table.add_row(contender.name, f"{contender.rate:,.0f}", cpu)
    console.print(table)
    table = Table("latency", "p50 ms", "p99 ms", title=f"At {LATENCY_RATE:,} requests a second")
    for name, (p50, p99) in latency.items():
        table.add_row(name, f"{p50:.3f}", f"{p99:.3f}")
    console.print(table)
    table = Table("goal", "found", "by CPU", "wanted", "")
    for goal in found:
        by_cpu = "" if goal.by_cpu is None else f"{goal.by_cpu:.2f}"
        wanted = f"{'≥' if goal.at_least else '≤'} {goal.wanted:g}"
        table.add_row(goal.name, f"{goal.value:.2f}", by_cpu, wanted, "met" if goal.met else "missed")
    console.print(table)


def main() -> int:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each run (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="of all contenders (default 3)")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a goal is missed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="proxyguard-bench-") as name:
        folder = Path(name)
        make_certificate(folder)
        with nginx(folder) as upstream:
            rates = throughput(folder, upstream, options.seconds, options.rounds)
            latency = added_latency(folder, upstream, options.seconds, options.rounds)
            pair = two_workers(folder, upstream, options.seconds)
    rates[pair.name] = pair
    found = goals(rates, latency, pair)
    show(rates, latency, found)
    if options.json:
        figures = {
            "requests_per_second": {contender.name: contender.rates for contender in rates.values()},
            "cpu_seconds_per_10000": {contender.name: contender.cpu for contender in rates.values()},
            "latency_ms": {name: {"p50": p50, "p99": p99} for name, (p50, p99) in latency.items()},
            "goals": {
                goal.name: {"found": goal.value, "by_cpu": goal.by_cpu, "wanted": goal.wanted, "met": goal.met} for goal in found
            },
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return int(options.check and not all(goal.met for goal in found))


if __name__ == "__main__":
    sys.exit(main())
