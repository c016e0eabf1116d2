"""The sealed log: which addresses the pseudonyms of refused and flagged clients mean, for the holder of the private key alone.

A JSON line for each client and second, or several, whose `box` is a sealed box (libsodium, X25519 and XSalsa20-Poly1305) to the
operator's public key; this machine cannot open what it wrote. A thread seals and writes, so that neither delays a request; what
waits is bounded.
"""

from __future__ import annotations

import base64
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import batched
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from proxyguard.core.privacy import Privacy
from proxyguard.telemetry.audit_file import AuditFile

MAX_WAITING: Final = 20_000
"""Entries that wait to be sealed: about 5 MiB."""

SECONDS: Final = 1.0
"""Between writes; what a kill -9 can lose."""

MAX_BOXES: Final = 200
"""Clients of one write that have boxes of their own, about 15 ms of work: further ones share some."""

MAX_SIGHTINGS: Final = 128
"""Of one box: its line stays below what readers take for one (`rotated.MAX_LINE_BYTES`, `audit_file.TAIL_BYTES`)."""

SHARED: Final = "several"
"""`client` of a box that several share; `clients` names them."""

logger = logging.getLogger(__name__)


class Sighting(msgspec.Struct, frozen=True, array_like=True):
    """One record of a client: whom its pseudonym means. `time` is UTC, Unix seconds."""

    client: str
    address: str
    port: int | None
    reference: str
    time: float


class SealedLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A line of the sealed log."""

    time: float
    client: str = ""
    clients: list[str] = []
    records: int = 0
    box: str = ""


_encode = msgspec.json.Encoder().encode
_decode_line = msgspec.json.Decoder(SealedLine).decode
_decode_box = msgspec.json.Decoder(list[Sighting]).decode


class SealedLog:
    """Appends to a file. `on_drop(count)` is called when entries are lost."""

    def __init__(self, path: Path, public_key: bytes, on_drop: Callable[[int], None]) -> None:
        """Open it for appending. Raises OSError when that fails, and ValueError for what is no key."""
        self._file = AuditFile(path)
        self._file.follow()
        self._box = SealedBox(PublicKey(public_key))
        self._on_drop = on_drop
        self._waiting: deque[Sighting] = deque()
        self._lines: list[tuple[bytes, int]] = []
        """Sealed, and not written yet; how many entries each stands for."""
        self._fault = ""
        self._looked = monotonic()
        self._closing = threading.Event()
        self._writer = threading.Thread(target=self._run, name="sealed-log", daemon=True)
        self._writer.start()

    def add(self, name: str, address: str, port: int | None, reference: str, time: float) -> None:
        """Queue whom a record means; never blocks, never raises."""
        if len(self._waiting) >= MAX_WAITING:
            self._on_drop(1)
        else:
            self._waiting.append(Sighting(name, address, port, reference, time))

    def waiting(self) -> int:
        """How many entries wait to be written."""
        return len(self._waiting) + sum(entries for _, entries in self._lines)

    def close(self, seconds: float = 5.0) -> None:
        """Write what waits, for at most so long, and stop. What cannot be written is dropped."""
        self._closing.set()
        self._writer.join(seconds)
        lost = self.waiting()
        if lost:
            self._on_drop(lost)
            logger.error("sealed log %s: %d entries that waited are lost", self._file.name, lost)

    def _run(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(SECONDS)
            try:
                fault = self._write()
                if closing:
                    self._write()  # what was sealed before went first
            except OSError as error:
                fault = error.strerror or str(error)
            self._report(fault)
        self._file.close()

    def _write(self) -> str:
        """Seal and append what waits; what could not be written before goes first. Returns why a file that was turned over cannot
        be made anew: then the one of before goes on. Raises OSError when nothing can be written."""
        fault = ""
        if self._waiting and not self._lines:
            taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
            self._lines = [(_encode(line), line.records) for line in sealed_lines(taken, self._box)]
        if self._lines:
            if monotonic() - self._looked >= SECONDS or self._file.is_lost:
                self._looked = monotonic()
                try:
                    self._file.follow()
                except OSError as error:
                    if self._file.is_lost:
                        raise
                    fault = error.strerror or str(error)
            written = self._file.write([line for line, _ in self._lines])
            del self._lines[:written]
        return fault

    def _report(self, fault: str) -> None:
        if fault and fault != self._fault:
            then = f"at most {MAX_WAITING:,} entries wait, more are lost" if self._lines else "the file that was moved goes on"
            logger.error("sealed log %s: %s; %s", self._file.name, fault, then)
        elif self._fault and not fault:
            logger.info("sealed log %s: written again", self._file.name)
        self._fault = fault


def open_sealed(privacy: Privacy, on_drop: Callable[[int], None]) -> SealedLog | None:
    """The sealed log, when there is to be one. Raises OSError."""
    if privacy.sealed is None or privacy.public_key is None:
        return None
    return SealedLog(privacy.sealed, privacy.public_key, on_drop)


def sealed_lines(taken: Iterable[Sighting], box: SealedBox[PublicKey]) -> Iterator[SealedLine]:
    """Lines for each client; beyond MAX_BOXES clients those that all the others share. None has more than MAX_SIGHTINGS."""
    by_client: dict[str, list[Sighting]] = {}
    rest: list[Sighting] = []
    for sighting in taken:
        if sighting.client in by_client or len(by_client) < MAX_BOXES:
            by_client.setdefault(sighting.client, []).append(sighting)
        else:
            rest.append(sighting)
    for client, sightings in by_client.items():
        for part in batched(sightings, MAX_SIGHTINGS):
            yield SealedLine(time=part[-1].time, client=client, records=len(part), box=_sealed(part, box))
    for part in batched(rest, MAX_SIGHTINGS):
        names = list(dict.fromkeys(sighting.client for sighting in part))
        yield SealedLine(time=part[-1].time, client=SHARED, clients=names, records=len(part), box=_sealed(part, box))


def read_line(line: bytes) -> SealedLine | None:
    """A line of the sealed log; None when it is none."""
    try:
        return _decode_line(line)
    except (ValueError, RecursionError):
        return None


def opened(line: SealedLine, key: bytes) -> list[Sighting]:
    """What a line holds. Raises ValueError when the key is not the one that it was sealed to, or the line is damaged."""
    try:
        return _decode_box(SealedBox(PrivateKey(key)).decrypt(base64.b64decode(line.box, validate=True)))
    except (CryptoError, ValueError, TypeError) as error:
        raise ValueError("the key does not open it, or it is damaged") from error


def new_keys() -> tuple[bytes, bytes]:
    """A private key and its public key."""
    key = PrivateKey.generate()
    return bytes(key), bytes(key.public_key)


def _sealed(sightings: tuple[Sighting, ...], box: SealedBox[PublicKey]) -> str:
    return base64.b64encode(box.encrypt(_encode(sightings))).decode()
