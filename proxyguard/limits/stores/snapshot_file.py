"""The snapshot on disk: bans with their strikes, notes, and counters that last, in one SQLite file (WAL).

Blocking calls for one thread. Knows rows, not stores. A file that is damaged is set aside under another name, never deleted.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import batched, chain
from pathlib import Path
from typing import Final, NamedTuple

from proxyguard.limits import sketch, sliding_log
from proxyguard.limits.clock import ClockStamp
from proxyguard.limits.stores.codec import CodecError, decode_ban, encode_ban
from proxyguard.limits.stores.mirror import StoreChange
from proxyguard.limits.stores.notes import StoreNote
from proxyguard.limits.stores.snapshot_seal import MARK, KeySeal, is_sealed
from proxyguard.limits.stores.store import BanRecord

VERSION: Final = 1
"""Of the tables below. A file of another version is set aside like a damaged one."""

APPLICATION: Final = 0x50475344
"""Marks the file as ours (SQLite's application_id)."""

MAX_AHEAD_SECONDS: Final = 100 * 86_400.0
"""No counter lasts longer (a month, twice the burst, and some); a row that says so is damaged."""

ROWS_A_STATEMENT: Final = 250
"""Counters written by one statement. The other threads wait for this one while it hands over a statement's values, and each
statement is a chance for the scheduler to stop it meanwhile. SQLite takes at least 999 values."""

OVER: Final = "(forget_at >= 0 AND forget_at <= ?) OR (forget_at < 0 AND -forget_at <= ?)"
"""Of a row that does not matter any more, now on the line and on the wall."""

PLAIN: Final = f"typeof(key) = 'text' AND (key < '{MARK}' OR key >= '{chr(ord(MARK) + 1)}')"
"""Of a row whose key is not sealed: found by the index, however many are."""

DELETE_STEP: Final = 5_000
"""Rows removed at a time, so that no transaction grows without bound."""

TABLES: Final = """
CREATE TABLE bans (key TEXT PRIMARY KEY, until REAL NOT NULL, forget_at REAL NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE counters (key TEXT PRIMARY KEY, forget_at REAL NOT NULL, rest NOT NULL) WITHOUT ROWID;
CREATE INDEX counters_by_end ON counters (forget_at);
"""

NOTES: Final = """
CREATE TABLE IF NOT EXISTS notes (key TEXT PRIMARY KEY, text TEXT NOT NULL, since REAL NOT NULL, forget_at REAL NOT NULL)
WITHOUT ROWID
"""
"""Younger than the other tables. A release that does not know it leaves it alone, so the version stays."""

CLOCK_ROW: Final = """
CREATE TABLE IF NOT EXISTS clock
(only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
 boot TEXT NOT NULL, since_boot REAL NOT NULL, wall REAL NOT NULL, line REAL NOT NULL)
"""
"""When it was last written, by all clocks. Younger still; a file without it has times of the wall."""

_UNREADABLE: Final = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What SQLite raises for a damaged file. Its own words about it may have bytes of the damage in them."""

CounterRow = tuple[str, float, float | bytes]
"""Key, when it may be forgotten (negative: on the wall), and the rest of its state: a double, or a whole sketch or log."""


class SnapshotDamaged(Exception):
    """The file is not a sound snapshot of this version. Whose fault: the disk's, or whoever wrote it."""


class Restored(NamedTuple):
    """What a file held that still matters."""

    bans: list[tuple[BanRecord, float]]
    """In force or not; each with the time when its strike is forgotten."""
    counters: list[CounterRow]
    notes: list[StoreNote]
    unreadable: int
    """Rows that were not what they should be, and were left out."""


class SnapshotFile:
    """An open snapshot. Made, used and closed by one thread; other processes are kept out."""

    def __init__(self, path: Path, seal: KeySeal | None = None) -> None:
        """Open or make the file. `seal`: of what it holds of people; None: as it is.

        Raises SnapshotDamaged, and sqlite3.Error or OSError when it cannot be opened or locked."""
        self.path = path
        self._seal = seal
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        self._connection = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        self._connection.close()

    def stamp(self) -> ClockStamp | None:
        """When the file was written. Raises SnapshotDamaged."""
        try:
            row = self._connection.execute("SELECT boot, since_boot, wall, line FROM clock").fetchone()
        except _UNREADABLE as error:
            raise SnapshotDamaged(str(error)) from error
        if row is None or not isinstance(row[0], str) or not all(map(_is_moment, row[1:])):
            return None
        return ClockStamp(*row)

    def restore(self, now: float, wall: float | None = None) -> Restored:
        """Everything that is not forgotten yet at `now` of the line, or by the calendar at `wall`. Raises SnapshotDamaged."""
        wall = now if wall is None else wall
        bans: list[tuple[BanRecord, float]] = []
        counters: list[CounterRow] = []
        notes: list[StoreNote] = []
        unreadable = 0
        try:
            self._seal_older()
            for sealed, stored in self._connection.execute("SELECT key, record FROM bans WHERE forget_at > ?", (now,)):
                try:
                    key = self._opened(sealed)
                    ban, forget_at = decode_ban(self._seal.open(stored) if self._seal and is_sealed(sealed) else stored)
                except (CodecError, TypeError, ValueError):
                    unreadable += 1
                    continue
                if ban.key == key and math.isfinite(ban.until):
                    bans.append((ban, forget_at))
                else:
                    unreadable += 1
            rows = self._connection.execute(f"SELECT key, forget_at, rest FROM counters WHERE NOT ({OVER})", (now, wall))  # noqa: S608 - a constant
            for sealed, forget_at, rest in rows:
                counted = self._opened_or_none(sealed)
                if (
                    counted is not None
                    and isinstance(forget_at, float)
                    and forget_at <= now + MAX_AHEAD_SECONDS
                    and -forget_at <= wall + MAX_AHEAD_SECONDS
                    and is_rest(rest)
                ):
                    counters.append((counted, forget_at, rest))
                else:
                    unreadable += 1
            for row in self._connection.execute("SELECT * FROM notes WHERE forget_at > ?", (now,)):
                note = StoreNote(*row)
                if isinstance(note.name, str) and isinstance(note.text, str) and all(map(_is_moment, note[2:])):
                    notes.append(note)
                else:
                    unreadable += 1
        except _UNREADABLE as error:
            raise SnapshotDamaged(str(error)) from error
        return Restored(bans, counters, notes, unreadable)

    def write(
        self, news: Iterable[StoreChange], counters: Iterable[CounterRow], stamp: ClockStamp | None = None, *, anew: bool = False
    ) -> None:
        """Put changes on disk, all or none; with `anew` in place of all bans and notes there. Raises sqlite3.Error."""
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            if stamp is not None:
                connection.execute("INSERT OR REPLACE INTO clock VALUES (1, ?, ?, ?, ?)", stamp)
            if anew:
                connection.execute("DELETE FROM bans")
                connection.execute("DELETE FROM notes")
            for one in news:
                if isinstance(one, StoreNote):
                    connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?, ?, ?)", one)
                elif one.record is None:
                    connection.execute("DELETE FROM bans WHERE key = ?", (self._sealed(one.key),))
                else:
                    record = encode_ban(one.record, one.forget_at)
                    sealed = record if self._seal is None else self._seal.record(record)
                    row = (self._sealed(one.key), one.record.until, one.forget_at, sealed)
                    connection.execute("INSERT OR REPLACE INTO bans VALUES (?, ?, ?, ?)", row)
            for rows in batched(counters, ROWS_A_STATEMENT):
                places = ", ".join(["(?, ?, ?)"] * len(rows))
                statement = f"INSERT OR REPLACE INTO counters VALUES {places}"  # noqa: S608 - places for values, no values
                connection.execute(statement, tuple(chain.from_iterable((self._sealed(key), *rest) for key, *rest in rows)))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def forget(self, now: float, wall: float | None = None) -> int:
        """Remove some rows that do not matter any more; how many. Raises sqlite3.Error."""
        removed = 0
        for table in ("bans", "notes", "counters"):
            cursor = self._connection.execute(
                f"DELETE FROM {table} WHERE key IN (SELECT key FROM {table} WHERE {OVER} LIMIT {DELETE_STEP})",  # noqa: S608 - all are constants of this module
                (now, now if wall is None else wall),
            )
            removed += cursor.rowcount
        return removed

    def _sealed(self, key: str) -> str:
        return key if self._seal is None else self._seal.key(key)

    def _opened(self, key: str) -> str:
        return self._seal.open_key(key) if self._seal is not None and is_sealed(key) else key

    def _opened_or_none(self, key: object) -> str | None:
        try:
            return self._opened(key) if isinstance(key, str) else None
        except ValueError:
            return None

    def _seal_older(self) -> None:
        """Seal the rows that an older version left as they are; they are younger than what is sealed of the same key."""
        seal, connection = self._seal, self._connection
        if seal is None:
            return
        bans = connection.execute(f"SELECT key, record FROM bans WHERE {PLAIN} AND typeof(record) = 'blob'").fetchall()  # noqa: S608 - a constant
        counted = connection.execute(f"SELECT key FROM counters WHERE {PLAIN}").fetchall()  # noqa: S608 - a constant
        if not bans and not counted:
            return
        sealed = ((seal.key(key), seal.record(record), key) for key, record in bans)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("UPDATE OR REPLACE bans SET key = ?, record = ? WHERE key = ?", sealed)
        connection.executemany(
            "UPDATE OR REPLACE counters SET key = ? WHERE key = ?", ((seal.key(key), key) for (key,) in counted)
        )
        connection.execute("COMMIT")
        connection.execute("VACUUM")

    def _prepare(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        try:
            application, version = (
                connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
            )
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if tables == 0 and application == 0:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(
                    f"BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; {TABLES} COMMIT;"
                )
            elif application != APPLICATION:
                raise SnapshotDamaged("it is a database of something else")
            elif version != VERSION:
                raise SnapshotDamaged(f"it has version {version}; this release reads version {VERSION}")
            else:
                sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if sound != "ok":
                    raise SnapshotDamaged(str(sound))
                connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            raise
        except _UNREADABLE as error:
            raise SnapshotDamaged(str(error)) from error
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(NOTES)
        connection.execute(CLOCK_ROW)


def set_aside(path: Path, stamp: str) -> Path:
    """Rename a damaged file, and what belongs to it, to `NAME.damaged-STAMP`; the new name. Raises OSError."""
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        belonging = path.with_name(path.name + suffix)
        if belonging.exists():
            belonging.rename(aside.with_name(aside.name + suffix))
    return aside


def is_damage(error: Exception) -> bool:
    """Whether an error while writing means that the file is damaged, rather than full, locked or gone."""
    if isinstance(error, SnapshotDamaged):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _is_moment(value: object) -> bool:
    """Whether a value can be a time: a damaged row may have a text there."""
    return isinstance(value, float) and math.isfinite(value)


def is_rest(rest: object) -> bool:
    """Whether a value can be the rest of a state."""
    if isinstance(rest, bytes):
        return sliding_log.is_sound(rest) if sliding_log.is_log(rest) else sketch.is_sound(rest)
    return _is_moment(rest)


def read_once(path: Path, now: Callable[[ClockStamp | None], tuple[float, float]], seal: KeySeal | None = None) -> Restored:
    """Open, restore, close. `now` makes of when the file was written what time it is, on the line and on the wall.

    Raises as `SnapshotFile` and `restore` do.
    """
    with closing(SnapshotFile(path, seal)) as file:
        return file.restore(*now(file.stamp()))
