"""A real mitmdump or mitmweb with the addon, in front of an upstream."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.processes import Running, accepts, command
from tests.ports import free_port


@dataclass
class Mitmproxy(Running):
    """mitmproxy, ready to serve."""

    port: int = 0
    web_port: int = 0
    """Of the pages of mitmweb."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def script() -> str:
    """What `proxyguard addon` prints."""
    found = subprocess.run([str(part) for part in command("addon")], capture_output=True, text=True, check=True, timeout=60)
    return found.stdout.strip()


def start(folder: Path, upstream: str, *options: str, tool: str = "mitmdump") -> Mitmproxy:
    """Start one; `options` are further arguments. It may not come up: wait for it."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    program = Path(sys.executable).with_name(tool)
    where = ("--mode", f"reverse:{upstream}", "--listen-host", "127.0.0.1", "--listen-port", str(port))
    running = Mitmproxy.start(
        (program, "-s", script(), "--set", f"confdir={folder / 'conf'}", *where, *options), folder / f"{tool}.log"
    )
    running.port = port
    return running


@contextlib.contextmanager
def mitmproxy(folder: Path, upstream: str, *options: str, tool: str = "mitmdump") -> Iterator[Mitmproxy]:
    """One for the length of a block."""
    running = start(folder, upstream, *options, tool=tool)
    try:
        running.wait_for(lambda: accepts(running.port), f"{tool} listens")
        yield running
    finally:
        running.end()
