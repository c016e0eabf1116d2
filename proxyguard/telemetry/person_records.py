"""The lines that logs have of one client: finds them, and erases them in place, so that no writer is disturbed.

An erased line of the audit log leaves a tombstone as long as itself (`audit_chain`), one of the sealed log an empty one. A
compressed file is written anew. Knows the form of both logs and nothing of how a client's names are found.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from proxyguard.telemetry.audit_chain import tombstone
from proxyguard.telemetry.rotated import lines_of, rotated_files, unpacking

_CLIENT: Final = re.compile(rb'"client":"([^"\\]{1,64})"')
_CLIENTS: Final = re.compile(rb'"clients":\[([^\]]*)\]')


class CannotErase(Exception):
    """A file whose lines cannot be erased, with the reason."""


def is_about(line: bytes, names: frozenset[bytes]) -> bool:
    """Whether a line is about a client that has one of these names: pseudonyms, or its address."""
    found = _CLIENT.search(line)
    if found is not None and found[1] in names:
        return True
    several = _CLIENTS.search(line)
    return several is not None and any(each.strip(b' "') in names for each in several[1].split(b","))


def files_of(log: Path) -> list[Path]:
    """A log and its rotated files, the newest first. Raises OSError."""
    return rotated_files(log, 0.0, doubles=True)


def lines_about(log: Path, names: Iterable[str]) -> Iterator[tuple[Path, bytes]]:
    """The lines about a client in a log and its rotated files, and the file of each. Raises one of `rotated.BROKEN`."""
    wanted = frozenset(name.encode() for name in names)
    for path in files_of(log):
        yield from ((path, line) for line in lines_of(path) if is_about(line, wanted))


def erase(path: Path, names: Iterable[str], time: float) -> int:
    """Erase the lines about a client from a file, whose time stays; how many. Raises one of `rotated.BROKEN`, and CannotErase."""
    wanted = frozenset(name.encode() for name in names)
    with path.open("rb") as raw:
        unpack = unpacking(raw)
    if unpack is not None:
        if not any(is_about(line, wanted) for line in lines_of(path)):
            return 0
        if unpack is not gzip.open:
            raise CannotErase("it is packed in a way that is not written here: unpack it, and try again")
        return _rewrite(path, wanted, time)
    count = 0
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # writers hold it while they append
        state = os.fstat(file.fileno())
        while line := file.readline():
            if is_about(line, wanted):
                at = file.tell()
                file.seek(at - len(line))
                file.write(erased(line, time))
                file.seek(at)
                count += 1
        file.flush()
        os.fsync(file.fileno())
        with contextlib.suppress(PermissionError):  # only who owns it sets its time, by which it is deleted when that is over
            os.utime(file.fileno(), ns=(state.st_atime_ns, state.st_mtime_ns))
    return count


def erased(line: bytes, time: float) -> bytes:
    """What takes the place of a line, as long as it was."""
    stone = tombstone(line, time)
    if stone is not None:
        return stone
    end = line[len(line.rstrip(b"\r\n")) :]
    room = len(line) - len(end)
    short = b'{"time":%.3f,"kind":"erased"}' % time
    return (short if len(short) <= room else b"").ljust(room) + end


def _rewrite(path: Path, names: frozenset[bytes], time: float) -> int:
    """Write a packed file anew, with the owner, mode and time it had; until then nobody else reads it."""
    state, fresh = path.stat(), path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        count = _write_without(path, fresh, names, time)
        with contextlib.suppress(PermissionError):  # only root gives a file away
            os.chown(fresh, state.st_uid, state.st_gid)
        fresh.chmod(state.st_mode & 0o7777)
        os.utime(fresh, ns=(state.st_atime_ns, state.st_mtime_ns))
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)  # nobody else would ever delete it
        raise
    return count


def _write_without(path: Path, fresh: Path, names: frozenset[bytes], time: float) -> int:
    """Write the lines of one packed file to another that nobody else reads; how many are erased there."""
    count = 0
    private = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(private, "wb") as raw, gzip.open(raw, "wb") as file:
        for line in lines_of(path):
            found = is_about(line, names)
            count += found
            file.write(erased(line, time) if found else line)
    return count
