"""Nonces that any worker of an instance has seen: a table in one file, so that a signature is new for one of them only.

Places are found by a keyed hash, so that no signer can choose to crowd those of others. What is written counts until its time has
passed. Whoever finds no room, no lock at once or no file gets no word, and the signature is unknown then.
"""

from __future__ import annotations

import fcntl
import os
import struct
from hashlib import blake2b
from pathlib import Path
from typing import Final

SLOTS: Final = 1 << 18
"""Three times what one worker remembers. 6 MiB when all were used once."""
PROBES: Final = 32
TRIES: Final = 1000
"""For the lock, which others hold for some microseconds."""
MARK_BYTES: Final = 16

_END: Final = struct.Struct("<d")
_ENTRY_BYTES: Final = MARK_BYTES + _END.size
_NEVER_USED: Final = bytes(_ENTRY_BYTES)


class SharedNonces:
    """One per worker, all over the same file."""

    def __init__(self, path: Path, secret: bytes) -> None:
        """`secret` is the instance's. Raises OSError."""
        self._key = blake2b(secret, digest_size=32, person=b"nonces").digest()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def add(self, mark: bytes, now: float, end: float) -> bool | None:
        """Whether a mark is new, which then counts until `end` (Unix seconds); None: it cannot be told, or be remembered."""
        mark = blake2b(mark, key=self._key, digest_size=MARK_BYTES).digest()
        try:
            if not self._lock():
                return None
            try:
                return self._put(mark, now, end)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        except OSError:
            return None

    def _put(self, mark: bytes, now: float, end: float) -> bool | None:
        place = int.from_bytes(mark) % SLOTS * _ENTRY_BYTES
        seen = os.pread(self._file, PROBES * _ENTRY_BYTES, place).ljust(PROBES * _ENTRY_BYTES, b"\0")
        free = -1
        for at in range(0, len(seen), _ENTRY_BYTES):
            entry = seen[at : at + _ENTRY_BYTES]
            if entry == _NEVER_USED:  # nothing was ever put behind it
                free = at if free < 0 else free
                break
            if _END.unpack_from(entry, MARK_BYTES)[0] <= now:
                free = at if free < 0 else free
            elif entry.startswith(mark):
                return False
        if free < 0:
            return None
        os.pwrite(self._file, mark + _END.pack(end), place + free)
        return True

    def _lock(self) -> bool:
        for _ in range(TRIES):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            return True
        return False
