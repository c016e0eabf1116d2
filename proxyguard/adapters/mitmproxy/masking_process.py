"""The process that masks answers, one per worker: a job comes in on its standard input, what may be shown goes out.

A page that takes long to read, or that the HTML library cannot cope with, costs this process and nobody's time. Frames are a
length of four bytes and MessagePack.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from typing import BinaryIO, Final

import msgspec

from proxyguard.core.decision import Mask
from proxyguard.http.masking import CannotMask, load_html_reader, masked

MEMORY_BYTES: Final = 1024**3
NICE: Final = 5
"""Requests come first."""

READY: Final = b"."
"""What the process writes when it can take its first job."""

MaskJob = tuple[Mask, str, str, bytes]
"""The rule's action, the answer's Content-Type and Content-Encoding, its body."""

MaskResult = tuple[str, str, bytes]
"""Why it cannot be masked, or nothing; else Content-Type and body."""


def frame_of(value: MaskJob | MaskResult) -> bytes:
    """A job or a result as it stands in a pipe, behind its length in four bytes."""
    data = msgspec.msgpack.encode(value)
    return len(data).to_bytes(4) + data


def write_frame(stream: BinaryIO, value: MaskResult) -> None:
    stream.write(frame_of(value))
    stream.flush()


def _done(job: MaskJob) -> MaskResult:
    mask, content_type, encoding, body = job
    try:
        media, shown = masked(mask, content_type, encoding, body)
    except CannotMask as fault:
        return fault.reason, "", b""
    except MemoryError:
        return "mask-size", "", b""
    except Exception:  # noqa: BLE001 - whatever it is, the answer was not masked
        return "mask-error", "", b""
    return "", media, shown


def main() -> None:
    """Work until the worker closes the pipe. Signals are the worker's to act on."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold people's data
    reader, writer = sys.stdin.buffer, sys.stdout.buffer
    load_html_reader()
    writer.write(READY)
    writer.flush()
    decoder = msgspec.msgpack.Decoder(MaskJob)
    while len(size := reader.read(4)) == 4:
        write_frame(writer, _done(decoder.decode(reader.read(int.from_bytes(size)))))


if __name__ == "__main__":
    main()
