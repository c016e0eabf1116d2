"""What a replay costs: seconds for a million lines and the largest memory, through the bundled rules, by format.

`python -m bench.replay [--lines N] [--keep FILE] [combined|nginx-json|caddy|envoy|against|swarm]`

The log is made up: people who load pages with their assets, some of them logged in, over a day; declared crawlers, scripts, a
sign-up flood. `swarm` has a new address in every second line. Each format runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import gmtime as utc
from time import perf_counter, process_time, strftime
from typing import NamedTuple

from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.load import load_policy
from proxyguard.tools.replay.html_report import html_report
from proxyguard.tools.replay.judgeable import judgeable
from proxyguard.tools.replay.log_files import Journal, LogFile, in_time_order
from proxyguard.tools.replay.report import Judged, replay_report
from proxyguard.tools.replay.run import Replay

MILLION = 1_000_000
START = 1_790_000_000.0
DAY_SECONDS = 86_400
RULES = Path(__file__).parents[1] / "rules"

BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36",
)
ROBOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "python-requests/2.32.3",
    "Scrapy/2.12.0 (+https://scrapy.org)",
)
SITE = "https://www.example.org"


class Logged(NamedTuple):
    """One request of the made-up log."""

    time: float
    client: str
    user: str
    method: str
    target: str
    status: int
    size: int
    referer: str
    agent: str


def requests(count: int, rng: random.Random, *, swarm: bool) -> Iterator[Logged]:
    """So many requests over a day, in order of time."""
    step = DAY_SECONDS / count
    people = [
        (f"2001:db8:{rng.getrandbits(8):x}:{rng.getrandbits(16):x}::{number:x}" if rng.random() < 0.3
         else f"{rng.randint(60, 99)}.{rng.getrandbits(8)}.{rng.getrandbits(8)}.{number & 255}",
         rng.choice(BROWSERS), rng.random() < 0.2)
        for number in range(max(count // 60, 1))
    ]  # fmt: skip
    for number in range(count):
        now = START + number * step
        kind = rng.random()
        if swarm and kind < 0.5:
            client = f"{rng.randint(100, 190)}.{rng.getrandbits(8)}.{rng.getrandbits(8)}.{rng.getrandbits(8)}"
            yield Logged(now, client, "-", "GET", f"/profiles/{rng.getrandbits(20)}", 200, 5120, "-", rng.choice(BROWSERS))
        elif kind < 0.85:
            client, agent, logged_in = people[(number // 40 + rng.getrandbits(3)) % len(people)]
            target = f"/profiles/{rng.getrandbits(16)}" if rng.random() < 0.3 else f"/static/{rng.getrandbits(6):x}.js"
            yield Logged(now, client, "ada" if logged_in else "-", "GET", target, 200, 8192, f"{SITE}/", agent)
        elif kind < 0.97:
            agent = rng.choice(ROBOTS)
            yield Logged(now, f"192.0.2.{rng.getrandbits(6)}", "-", "GET", f"/posts/{number}?page=2", 200, 4096, "-", agent)
        else:
            yield Logged(now, f"198.51.100.{rng.getrandbits(2)}", "-", "POST", "/signup", 200, 512, f"{SITE}/", BROWSERS[0])


def combined(each: Logged) -> str:
    moment = strftime("%d/%b/%Y:%H:%M:%S +0000", utc(each.time))
    line = f'"{each.method} {each.target} HTTP/1.1" {each.status} {each.size} "{each.referer}" "{each.agent}"'
    return f"{each.client} - {each.user} [{moment}] {line}"


def nginx_json(each: Logged) -> str:
    return json.dumps(
        {
            "time_iso8601": strftime("%Y-%m-%dT%H:%M:%S+00:00", utc(each.time)), "remote_addr": each.client,
            "remote_user": each.user.strip("-"), "request_method": each.method, "request_uri": each.target,
            "server_protocol": "HTTP/2.0", "status": str(each.status), "body_bytes_sent": str(each.size),
            "http_referer": each.referer.strip("-"), "http_user_agent": each.agent, "http_host": "www.example.org",
            "scheme": "https", "request_time": "0.012", "upstream_response_time": "0.011", "http_accept_language": "en",
        }
    )  # fmt: skip


def caddy(each: Logged) -> str:
    headers = {"User-Agent": [each.agent], "Accept": ["*/*"], "Accept-Language": ["en"], "Accept-Encoding": ["gzip"]}
    request = {
        "remote_ip": each.client, "remote_port": "4711", "client_ip": each.client, "proto": "HTTP/2.0", "method": each.method,
        "host": "www.example.org", "uri": each.target, "headers": headers, "tls": {"version": 772, "server_name": "x"},
    }  # fmt: skip
    return json.dumps(
        {
            "level": "info", "ts": each.time, "logger": "http.log.access", "msg": "handled request", "request": request,
            "user_id": each.user.strip("-"), "duration": 0.01, "size": each.size, "status": each.status,
            "resp_headers": {"Server": ["Caddy"]},
        }
    )  # fmt: skip


def envoy(each: Logged) -> str:
    moment = strftime("%Y-%m-%dT%H:%M:%S.000Z", utc(each.time))
    return (
        f'[{moment}] "{each.method} {each.target} HTTP/2" {each.status} - 0 {each.size} 12 11 "{each.client}" "{each.agent}" '
        '"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "www.example.org" "10.0.2.1:80"'
    )


WRITERS: dict[str, Callable[[Logged], str]] = {
    "combined": combined, "nginx-json": nginx_json, "caddy": caddy, "envoy": envoy, "against": combined, "swarm": combined,
}  # fmt: skip


def write_log(path: Path, kind: str, lines: int) -> None:
    rng = random.Random(11)
    writer = WRITERS[kind]
    with path.open("w") as log:
        log.writelines(writer(each) + "\n" for each in requests(lines, rng, swarm=kind == "swarm"))


def measure(kind: str, lines: int, keep: Path | None) -> None:
    """Print one line: seconds, microseconds a line, the largest resident memory."""
    with tempfile.TemporaryDirectory() as folder:
        path = keep or Path(folder) / "access.log"
        subprocess.run([sys.executable, "-m", "bench.replay", "--write", str(path), "--lines", str(lines), kind], check=True)
        policy = load_policy(RULES).policy
        assert policy is not None
        log = LogFile(str(path))
        cut = judgeable(policy, log.format.knowledge)
        compiled = compile_policy(cut.policy, secret=b"bench")
        replay = Replay(compiled, compile_policy(cut.policy, secret=b"other") if kind == "against" else None)
        journal = Journal()
        start, started = perf_counter(), process_time()
        findings = replay.run(in_time_order([log], journal, None))
        seconds, worked = perf_counter() - start, process_time() - started
        judged = Judged(directory="rules", policy=policy, unjudged=cut.unjudged)
        report = replay_report(judged, None, [log], log.format.knowledge, journal, findings)
        page = html_report(report)
        whole = perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each, cost = seconds / lines * 1e6, worked / lines * 1e6
    print(
        f"{kind:<12} {lines:>9,} lines {seconds:6.1f} s {each:6.1f} us a line ({cost:5.1f} of processor), "
        f"report {whole - seconds:4.1f} s ({len(page) // 1024} KiB), peak {peak:5.0f} MiB, "
        f"stopped {report.stopped.requests:,}, clients {report.all.clients:,}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=MILLION)
    parser.add_argument("--keep", type=Path, help="write the log there and leave it")
    parser.add_argument("--write", type=Path, help="only write the log")
    parser.add_argument("kinds", nargs="*")
    arguments = parser.parse_args()
    kinds: list[str] = arguments.kinds or list(WRITERS)
    if arguments.write is not None:
        write_log(arguments.write, kinds[0], arguments.lines)
    elif len(kinds) == 1:
        measure(kinds[0], arguments.lines, arguments.keep)
    else:
        for kind in kinds:
            subprocess.run([sys.executable, "-m", "bench.replay", "--lines", str(arguments.lines), kind], check=True)


if __name__ == "__main__":
    main()
