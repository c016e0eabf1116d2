"""Real processes for the end-to-end tests: the proxyguard command, nginx, the sample site. Each is killed at the end.

Nothing here knows what is tested. Waiting is by asking again, with an end; whoever does not come up fails with its own words.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import requests

from tests.paths import ROOT
from tests.ports import free_port

RULES: Final = ROOT / "rules"
START_SECONDS: Final = 90.0


PATIENCE_SECONDS: Final = 60.0
"""For what is promised to happen, but not how soon: a machine that builds and tests other things besides may be slow."""


def wait_until(holds: Callable[[], bool], what: str, *, within: float = PATIENCE_SECONDS) -> None:
    """Ask again until it holds; `within` so many seconds only where that is promised. Raises TimeoutError."""
    deadline = time.monotonic() + within
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {within:g} s")
        time.sleep(0.02)


def accepts(port: int) -> bool:
    """Whether something listens on a port of the loopback interface."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass
class Running:
    """A process with its output in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, command: Sequence[str | Path], log: Path, **environment: str) -> Self:
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, **environment},
            )
        return cls(process, log)

    def wait_for(self, holds: Callable[[], bool], what: str) -> None:
        """Wait for readiness; a process that ends instead fails with what it said."""

        def ready_or_ended() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode} before {what}:\n{self.said()}")
            return holds()

        try:
            wait_until(ready_or_ended, what, within=START_SECONDS)
        except TimeoutError as error:
            raise AssertionError(f"{error}:\n{self.said()}") from error

    def said(self) -> str:
        """All it wrote so far."""
        return self.log.read_text(errors="replace")

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 15.0) -> int:
        """Send a signal (unless it ended) and give the exit status; killed when it does not go."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def memory_bytes(self) -> int:
        """Resident memory of the process and all its children."""
        return sum(_status_bytes(pid, "VmRSS") for pid in self.family())

    def peak_memory_bytes(self) -> int:
        """The highest resident memory since `forget_peak_memory`, of the process and its children."""
        return sum(_status_bytes(pid, "VmHWM") for pid in self.family())

    def forget_peak_memory(self) -> None:
        for pid in self.family():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def family(self) -> list[int]:
        """The process and its children."""
        pids = [self.process.pid]
        for pid in pids:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                pids.extend(int(child) for child in children.read_text().split())
        return pids


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no {name}")


@dataclass
class Proxyguard(Running):
    """The proxyguard command, ready to serve."""

    port: int = 0
    admin_port: int = 0
    scheme: str = "http"
    audit: Path = field(default_factory=Path)
    authority: Path | None = None
    """The certificate to trust, where it serves TLS."""
    alpn: str = ""
    """What a client that speaks everything should negotiate."""

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def get(self, path: str, **options: Any) -> requests.Response:
        """GET with a verified certificate; never waits for ever."""
        return self.ask("GET", path, **options)

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        """Any request with a verified certificate."""
        verify = str(self.authority) if self.authority else True
        return requests.request(method, self.url + path, verify=verify, **{"timeout": 20, **options})

    def connect(self, receive_bytes: int = 0) -> socket.socket:
        """A connection (with TLS where it is served), with a small receive buffer when asked for."""
        connection = socket.socket()
        connection.settimeout(20)
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.connect(("127.0.0.1", self.port))
        if self.authority is None:
            return connection
        return ssl.create_default_context(cafile=self.authority).wrap_socket(connection, server_hostname="localhost")

    def admin(self, path: str) -> str:
        """What the admin port answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=5) as response:
            text: str = response.read().decode()
            return text

    def ready(self) -> bool:
        with contextlib.suppress(OSError):
            self.admin("/readyz")
            return True
        return False

    def records(self) -> list[dict[str, Any]]:
        """The audit records written so far."""
        return [json.loads(line) for line in self.audit.read_text().splitlines() if line.startswith("{")]

    def wait_for_record(self, fits: Callable[[dict[str, Any]], bool], what: str) -> dict[str, Any]:
        """The first record that fits, as soon as it is written."""
        wait_until(lambda: any(fits(record) for record in self.records()), what)
        return next(record for record in self.records() if fits(record))


def command(*arguments: str | Path) -> list[str | Path]:
    """The proxyguard command line under this interpreter."""
    return [sys.executable, "-m", "proxyguard", *arguments]


def tell(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command to the running instance whose control socket is `control.sock` in this folder."""
    whole = (*command(*arguments), "--control", folder / "control.sock")
    return subprocess.run([str(part) for part in whole], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)


def told(folder: Path, *arguments: str) -> dict[str, Any]:
    """A command's JSON."""
    answer: dict[str, Any] = json.loads(tell(folder, *arguments, "--json").stdout)
    return answer


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for this machine: chain and key."""
    chain, key = folder / "chain.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", chain],
        check=True, capture_output=True,
    )  # fmt: skip
    return chain, key


@contextlib.contextmanager
def proxyguard(
    folder: Path,
    upstream: str,
    *,
    rules: Path = RULES,
    settings: str = "",
    alpn: str = "",
    environment: Mapping[str, str] | None = None,
    files: int = 0,
) -> Iterator[Proxyguard]:
    """Run proxyguard in front of an upstream (empty: what `settings` name); `settings` are further lines of its settings file.

    `alpn`: empty for plain HTTP, `http/1.1` for TLS without HTTP/2, `h2` for TLS with it. `files`: how many it may open.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, admin_port = free_port(), free_port()
    config, audit = folder / "proxyguard.yaml", folder / "audit.jsonl"
    audit.touch()
    authority = None
    if alpn:
        authority, key = make_certificate(folder)
        settings += f"certificate: {{chain: {authority}, key: {key}}}\nhttp2: {str(alpn == 'h2').lower()}\n"
    config.write_text(settings or "{}\n")
    exact = {} if "audit:" in settings else {"PROXYGUARD_AUDIT_PASSES": "0"}  # the default is a sample: a matter of luck
    arguments = ("run", "--config", config, "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin_port}")
    more = (*(("--upstream", upstream) if upstream else ()), "--rules", rules, "--audit", audit)
    limited = ("sh", "-c", f'ulimit -n {files} && exec "$@"', "sh") if files else ()
    running = Proxyguard.start(
        (*limited, *command(*arguments, *more)), folder / "proxyguard.log", **(exact | dict(environment or {}))
    )
    running.port, running.admin_port, running.audit = port, admin_port, audit
    running.scheme, running.authority, running.alpn = "https" if alpn else "http", authority, alpn
    try:
        running.wait_for(running.ready, "readiness")
        yield running
    finally:
        running.end(seconds=45)


@contextlib.contextmanager
def sample_site(folder: Path) -> Iterator[str]:
    """Run the sample site; gives its URL."""
    port = free_port()
    running = Running.start([sys.executable, "-m", "proxyguard.tools.sample_site", "--port", str(port)], folder / "site.log")
    try:
        running.wait_for(lambda: accepts(port), "the sample site listens")
        yield f"http://127.0.0.1:{port}"
    finally:
        running.end()
