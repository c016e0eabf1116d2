"""A relay between Unix sockets that holds every answer back for as long as the last line of standard input says, in seconds.

Run as a program: `python -m tests.end_to_end.slow_relay LISTEN TARGET`. A process of its own, so that tests do not slow it down.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.end_to_end.processes import wait_until
from tests.paths import ROOT


class Relay:
    """The running relay, as a test sees it."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        self.path = path
        self._process = process

    def delay(self, seconds: float) -> None:
        """Hold answers back from now on."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seconds}\n".encode())
        self._process.stdin.flush()


@contextlib.contextmanager
def slow_relay(folder: Path, target: Path) -> Iterator[Relay]:
    """Run a relay to `target`, which need not be there yet; no delay at first."""
    path = folder / "relay.sock"
    words = [sys.executable, "-m", "tests.end_to_end.slow_relay", str(path), str(target)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, cwd=ROOT) as process:
        try:
            wait_until(path.exists, "the relay listens")
            yield Relay(path, process)
        finally:
            process.kill()


async def relay(listen: str, target: str) -> None:
    """Relay until standard input ends."""
    delay = 0.0

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, slow: bool) -> None:
        try:
            while data := await source.read(65536):
                if slow and delay:
                    await asyncio.sleep(delay)
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pump(reader, upstream_writer, slow=False), pump(upstream_reader, writer, slow=True))

    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    await asyncio.start_unix_server(accept, listen)
    while line := await commands.readline():
        delay = float(line)


if __name__ == "__main__":
    asyncio.run(relay(*sys.argv[1:]))
