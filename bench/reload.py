"""How long requests wait while ten thousand rules are put in force: a steady client beside a real process that reloads.

The client sends requests at a fixed rate over one kept-alive connection and measures from when a request was due, so that a
pause counts for every request that it made late. Figures for quiet time and for each reload: p50, p99, worst, how many over
5 ms. The upstream answers at once from this process's own thread.

Run: `python -m bench.reload [--rules 10000] [--reloads 3] [--rate 200] [--workers 1] [--check]`.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import quantiles
from typing import Final

from proxyguard.instance.control.socket_file import control_folder
from tests.end_to_end.processes import accepts, command, proxyguard

ALLOWED_SECONDS: Final = 0.005

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ASKED: Final = b"GET /page HTTP/1.1\r\nHost: example.org\r\nUser-Agent: our-agent/1.0\r\nAccept: */*\r\n\r\n"

ACTIONS: Final = ("reject", "tarpit", "{score: 5}", "{tag: seen}")


def rules_text(count: int, version: int) -> str:
    """A rule file of a mixed lot: words, paths, networks, headers, patterns, limits."""
    lines = ["name: many", "rules:"]
    for number in range(count):
        match number % 6:
            case 0:
                when = f"{{user_agent: {{word: robot-{number}-{version}}}}}"
            case 1:
                when = f"{{path: {{prefix: /area-{number}/}}, method: POST}}"
            case 2:
                when = f"{{client: [198.{18 + number % 2}.{number // 256 % 256}.{number % 256}, 2001:db8:{number:x}::/48]}}"
            case 3:
                when = f"{{header.x-source: [feed-{number}, mirror-{number}], path: {{suffix: .json}}}}"
            case 4:
                when = f"{{query.page: {{regex: '^{number}\\d+$'}}, user_agent: {{contains: agent-{number}}}}}"
            case _:
                when = f"{{path: /hot/{number}}}"
        limit = ", limit: {rate: 10/minute, per: [client]}" if number % 6 == 5 else ""
        lines.append(f"  - {{name: rule-{number}, when: {when}{limit}, action: {ACTIONS[number % 4]}}}")
    return "\n".join(lines) + "\n"


def upstream(listening: socket.socket) -> None:
    """Answer every request on every connection, one thread each."""

    def serve(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65536):
                connection.sendall(ANSWER)

    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


class Client(threading.Thread):
    """Sends one request every 1/rate seconds and keeps (when it was due, how long after that the answer was there)."""

    def __init__(self, port: int, rate: float) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._gap = 1 / rate
        self.seen: list[tuple[float, float]] = []
        self.failed = 0
        self.over = threading.Event()

    def run(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=20) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            due = time.perf_counter()
            while not self.over.is_set():
                wait = due - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
                sent = max(due, time.perf_counter() - self._gap) if wait > 0 else due
                connection.sendall(ASKED)
                answer = b""
                while not answer.endswith(b"ok"):
                    answer += connection.recv(65536)
                self.failed += not answer.startswith(b"HTTP/1.1 200")
                self.seen.append((due, time.perf_counter() - sent))
                due += self._gap

    def between(self, start: float, end: float) -> list[float]:
        """Waits in seconds of the requests that were due in a stretch of time."""
        return [wait for due, wait in self.seen if start <= due <= end]


def said(name: str, waits: list[float]) -> str:
    """One line of figures in milliseconds."""
    cuts = quantiles(waits, n=1000)
    late = sum(wait > ALLOWED_SECONDS for wait in waits)
    p50, p99, worst = cuts[499] * 1000, cuts[989] * 1000, max(waits) * 1000
    return f"{name:<9} {len(waits):5} requests   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   worst {worst:6.2f} ms   over: {late}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rules", type=int, default=10_000)
    parser.add_argument("--reloads", type=int, default=3)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--real-time", action="store_true", help="Keep other programs of a busy machine out of the figures.")
    parser.add_argument("--check", action="store_true", help="Exit with 1 when a reload makes any request wait 5 ms longer.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as listening:
        folder = Path(name)
        rules = folder / "rules"
        rules.mkdir()
        (rules / "10-many.yaml").write_text(rules_text(options.rules, 0))
        threading.Thread(target=upstream, args=(listening,), daemon=True).start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with proxyguard(folder / "guard", url, rules=rules, settings=f"workers: {options.workers}\n") as guard:
            assert accepts(guard.port)
            if options.real_time:
                for pid in (os.getpid(), *guard.family()):
                    for thread in Path(f"/proc/{pid}/task").iterdir():
                        os.sched_setscheduler(int(thread.name), os.SCHED_RR, os.sched_param(10))
            client = Client(guard.port, options.rate)
            client.start()
            time.sleep(1)
            began = time.perf_counter()
            time.sleep(4)
            quiet = client.between(began, time.perf_counter())
            print(said("quiet", quiet))
            worst = 0.0
            for version in range(1, options.reloads + 1):
                (folder / "next.yaml").write_text(rules_text(options.rules, version))
                (folder / "next.yaml").rename(rules / "10-many.yaml")
                began = time.perf_counter()
                config = folder / "guard" / "proxyguard.yaml"
                done = subprocess.run(
                    [str(part) for part in (*command("reload", "--config", config), "--control", control(guard.admin_port))],
                    capture_output=True, text=True, timeout=120, check=False, preexec_fn=ordinary,
                )  # fmt: skip
                on_data = time.perf_counter() - began
                assert done.returncode == 0, done.stdout + done.stderr
                time.sleep(0.5)
                waits = client.between(began, time.perf_counter())
                worst = max(worst, *waits)
                print(said(f"reload {version}", waits), f"  (took {on_data:.1f} s)")
            client.over.set()
            client.join(5)
            print(f"failed requests: {client.failed}; memory {guard.memory_bytes() / 1e6:.0f} MB")
    if options.check and (worst > max(quiet) + ALLOWED_SECONDS or client.failed):
        sys.exit(1)


def ordinary() -> None:
    """The operator's command is no part of what is measured: it gets no priority."""
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def control(admin_port: int) -> str:
    """The control socket of the instance with this admin port."""
    return str(control_folder() / f"{admin_port}.sock")


if __name__ == "__main__":
    main()
