"""Keeps over restarts what a process learned: of limits and earlier days, of what is read, of who was here.

A file beside the store's snapshot, or one of its own where a server is the store; written every ten minutes and at the end,
whole, sealed as a snapshot is, and swapped in.
Of several workers each writes the same file, and the last one holds: what a limit learns is what the store said, the same to
all, and of the rest they tell each other. Knows nothing of how its parts learn.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from time import time
from typing import Any, Final, Protocol

from proxyguard.core.settings import Settings
from proxyguard.instance.background import working_thread
from proxyguard.instance.kept_file import KeptFile
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.stores.snapshot_seal import KeySeal, seal_for

SAVE_SECONDS: Final = 600.0
"""What a kill -9 can lose of it."""

MAX_BYTES: Final = 64 * 1024 * 1024

MAX_AGE_SECONDS: Final = 8 * 86_400.0
"""What is older says nothing of now."""

PIECES: Final = b"proxyguard learned 2\n"
"""How a sealed file begins: pieces follow, each sealed, behind its length. One without it is sealed as a whole, as before."""

PIECE_CHARACTERS: Final = 64 * 1024
"""Made and sealed at a time, and what one text may have more: what a thread does to it holds up no request."""

_LENGTH_BYTES: Final = 4

logger = logging.getLogger(__name__)


class KeptPart(Protocol):
    """What a process learned of one kind."""

    def as_data(self) -> dict[str, Any]:
        """All of it, as JSON can hold it. Called beside the event loop."""
        ...

    def restore(self, data: dict[str, Any], now: float) -> None:
        """Take over what `as_data` gave; `now` is the line's. May raise anything for what is none, and has taken nothing then."""
        ...


def kept_state(settings: Settings, parts: Mapping[str, KeptPart]) -> KeptState:
    """What keeps it, as the settings say: beside the snapshot and by its secret, in a file of its own, or not at all."""
    beside, path = settings.store.snapshot, settings.store.learned
    if beside is not None:
        path = beside.with_name(f"{beside.name}.learned")
    return KeptState(path, parts, None if path is None else partial(seal_for, beside or path, settings.key_secret))


class KeptState(KeptFile):
    """What one process learned, by kind, and the file that it goes to."""

    def __init__(self, path: Path | None, parts: Mapping[str, KeptPart], seal: Callable[[], KeySeal] | None = None) -> None:
        """`seal`: gives what seals the file, and may raise OSError; None: it is written as it is."""
        super().__init__(path, "what was learned", SAVE_SECONDS)
        self._parts = parts
        self._seal = seal
        self._writing = Lock()
        if path is not None:
            self._load(path)

    async def _save(self, path: Path) -> None:
        with working_thread():
            await asyncio.to_thread(self._write, path)

    def _load(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                text = file.read(MAX_BYTES)
            plain: dict[str, Any] = json.loads(text if self._seal is None else _opened(text, self._seal()))
            if CLOCK.wall(CLOCK()) - float(plain["saved"]) > MAX_AGE_SECONDS:
                return
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001 - whatever is in it, the site starts
            logger.warning("what was learned, in %s, cannot be read, and begins anew: %r", path, error)
            return
        for name, part in self._parts.items():
            try:
                if name in plain:  # an earlier release knew fewer
                    part.restore(plain[name], CLOCK())
            except Exception as error:  # noqa: BLE001 - as above
                logger.warning("what was learned, %r in %s, cannot be read, and begins anew: %r", name, path, error)

    def _write(self, path: Path) -> None:
        """Keys have addresses of clients in them, as those of the snapshot: nobody else may read it.

        One thread at a time: one whose task was cancelled writes on.
        """
        with self._writing:
            self._write_alone(path)

    def _write_alone(self, path: Path) -> None:
        seal = None if self._seal is None else self._seal()
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(b"" if seal is None else PIECES)
                for piece in _pieces({name: part.as_data() for name, part in self._parts.items()}):
                    kept = piece if seal is None else seal.record(piece)
                    file.write(kept if seal is None else len(kept).to_bytes(_LENGTH_BYTES) + kept)
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
        for left in path.parent.glob(f"{path.name}.*.new"):  # of a process that was killed
            with suppress(FileNotFoundError):
                if time() - left.stat().st_mtime > SAVE_SECONDS:
                    left.unlink()


def _pieces(parts: dict[str, Any]) -> Iterator[bytes]:
    """The file's text. Bit by bit: `json.dumps` keeps the interpreter until all is done, 200 ms of a large site."""
    some: list[str] = []
    size = 0
    for each in json.JSONEncoder().iterencode({"saved": CLOCK.wall(CLOCK()), **parts}):
        some.append(each)
        size += len(each)
        if size >= PIECE_CHARACTERS:
            yield "".join(some).encode()
            some, size = [], 0
    yield "".join(some).encode()


def _opened(text: bytes, seal: KeySeal) -> bytes:
    """The text of a sealed file. Raises ValueError when it was sealed with another secret, or is none."""
    if not text.startswith(PIECES):
        return seal.open(text)
    opened = bytearray()
    at = len(PIECES)
    while at < len(text):
        end = at + _LENGTH_BYTES + int.from_bytes(text[at : at + _LENGTH_BYTES])
        opened += seal.open(text[at + _LENGTH_BYTES : end])
        at = end
    return bytes(opened)
