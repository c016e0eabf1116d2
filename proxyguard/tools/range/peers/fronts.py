"""Peers that carry the traffic themselves: started in a folder of their own on loopback, measured, and ended."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Final

import proxyguard

CONFIG: Final = Path(__file__).with_name("config")
PACKAGE_ROOT: Final = Path(proxyguard.__file__).parents[1]
"""Where this program was loaded from, so that the peer `proxyguard` is the same build."""

START_SECONDS: Final = 60.0
END_SECONDS: Final = 20.0
WORDS_OF_LOG: Final = 2_000

DEBIAN_FOLDERS: Final = "/usr/sbin:/usr/local/sbin"
"""Where servers lie that are not in everybody's PATH."""


class PeerUnavailable(Exception):
    """A peer cannot be run here; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPeer:
    """A server in front of the site. `config` are files of `config/`, the first of which is given to it."""

    name: str
    about: str
    program: str
    arguments: tuple[str, ...]
    config: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Files that must be there."""
    package: str = ""
    """Of Debian, for who lacks it."""


@dataclass(slots=True)
class PeerUsage:
    """What a peer took while it ran."""

    cpu_seconds: float = 0.0
    memory_bytes: int = 0
    """The most that all of its processes held at an end of the run."""


FRONTS: Final = (
    FrontPeer(
        name="nginx", about="nginx with limit_req by address and the names of ai.robots.txt", program="nginx",
        arguments=("-p", "{folder}", "-e", "{folder}/error.log", "-c", "{folder}/nginx.conf"),
        config=("nginx.conf", "ai-robots.map"), package="nginx",
    ),
    FrontPeer(
        name="haproxy", about="HAProxy with stick tables by address", program="haproxy", arguments=("-f", "{folder}/haproxy.cfg"),
        config=("haproxy.cfg",), package="haproxy",
    ),
    FrontPeer(
        name="modsecurity", about="ModSecurity 3 in nginx with the Core Rule Set as Debian has it", program="nginx",
        arguments=("-p", "{folder}", "-e", "{folder}/error.log", "-c", "{folder}/modsecurity-nginx.conf"),
        config=("modsecurity-nginx.conf", "modsecurity.conf"),
        needs=("/usr/lib/nginx/modules/ngx_http_modsecurity_module.so", "/usr/share/modsecurity-crs/rules"),
        package="libnginx-mod-http-modsecurity modsecurity-crs",
    ),
)  # fmt: skip

OURSELVES: Final = "proxyguard"


def proxyguard_front(rules: Path, preset: str) -> FrontPeer:
    """This program, as it would run with these rules."""
    return FrontPeer(
        name=OURSELVES, about="this program", program=sys.executable,
        arguments=(
            "-m", "proxyguard", "run", "--listen", "127.0.0.1:{port}", "--upstream", "http://127.0.0.1:{site}", "--rules",
            str(rules.resolve()), "--preset", preset, "--admin", "127.0.0.1:{other}", "--audit", "{folder}/audit.log",
        ),
    )  # fmt: skip


@contextmanager
def running(peer: FrontPeer, site_port: int) -> Iterator[tuple[int, PeerUsage]]:
    """Run a peer in front of the site; gives its port, and what it took once it has ended. Raises PeerUnavailable."""
    program = shutil.which(peer.program, path=f"{os.environ.get('PATH', '')}:{DEBIAN_FOLDERS}")
    missing = [peer.program] if program is None else [name for name in peer.needs if not Path(name).exists()]
    if program is None or missing:
        raise PeerUnavailable(f"{peer.name}: {missing[0]} is not here; Debian has it in {peer.package}")
    port, other = free_ports(2)
    usage = PeerUsage()
    with TemporaryDirectory(prefix="proxyguard-peer-") as folder:
        values = {"folder": folder, "port": str(port), "site": str(site_port), "other": str(other)}
        for name in peer.config:
            text = (CONFIG / name).read_text(encoding="utf-8")
            Path(folder, name).write_text(filled(text, values), encoding="utf-8")
        log = Path(folder, "output.log")
        process = None
        try:
            with log.open("wb") as output, _interrupts_held():
                process = subprocess.Popen(  # noqa: S603 - a program of the table, without a shell
                    [program, *(each.format_map(values) for each in peer.arguments)],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True,
                    env={**os.environ, "TMPDIR": folder, "PYTHONPATH": str(PACKAGE_ROOT)},
                )  # fmt: skip
            _wait_until_it_listens(peer, process, port, log)
            yield port, usage
            usage.memory_bytes = sum(map(_resident_bytes, _family(process.pid)))
        finally:
            if process is not None:
                _end(process, usage)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Interrupts wait until this ends: one that came while a process was made would leave it running for good."""
    held: list[int] = []
    handled = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handled = {number: handler for number, handler in handled.items() if callable(handler)}
    for number in handled:
        signal.signal(number, lambda number, _: held.append(number))
    try:
        yield
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
    if held:
        signal.raise_signal(held[0])


def filled(text: str, values: dict[str, str]) -> str:
    """A file of `config/` with its places for values (`@PORT@` for `port`) filled in."""
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", value)
    return text


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _wait_until_it_listens(peer: FrontPeer, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = monotonic() + START_SECONDS
    while True:
        if process.poll() is not None or monotonic() > deadline:
            said = log.read_bytes()[-WORDS_OF_LOG:].decode("utf-8", "replace").strip()
            raise PeerUnavailable(f"{peer.name}: {peer.program} does not listen: {said or 'it says nothing'}")
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return
        sleep(0.05)


def _end(process: subprocess.Popen[bytes], usage: PeerUsage) -> None:
    """End it and all that it started: they are a process group. Counts their CPU."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        process.terminate()
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    usage.cpu_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _family(pid: int) -> list[int]:
    """A process and its children and theirs, as /proc has them."""
    found = [pid]
    for each in found:
        try:
            children = Path(f"/proc/{each}/task/{each}/children").read_text(encoding="ascii").split()
        except OSError:
            continue
        found += map(int, children)
    return found


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except (OSError, IndexError, ValueError):
        return 0
