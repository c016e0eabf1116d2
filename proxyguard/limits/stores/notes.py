"""Notes: short texts under names that all instances on one store read until they end. Few, and written by operators or by alarms.

Of two notes of one name the later holds, and of two of the same instant the one with the greater text; so all instances agree
in whatever order they learn of them. A full table refuses new names rather than let a note give way. Knows nothing of what the
texts say, of clocks or of disks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

MAX_NOTES: Final = 1_000
"""Names at a time, ten times what an instance with many restrictions needs."""

MAX_NOTE_BYTES: Final = 16_384
"""Of a name and its text together; all notes of a full table are 16 MiB."""

TICK_SECONDS: Final = 1e-6
"""A note is later than the one that it replaces by at least so much, whatever the clock says; Unix seconds have 2.4e-7."""


class StoreNote(NamedTuple):
    """A text that holds from `since` to `until`, Unix seconds."""

    name: str
    text: str
    since: float
    until: float

    def outranks(self, other: StoreNote) -> bool:
        """Whether this is the one to keep of two notes of one name."""
        return (self.since, self.text) > (other.since, other.text)


class NoteTable:
    """The notes that hold. `watchers` are called with each note that is put or accepted (not with adopted ones)."""

    __slots__ = ("_notes", "watchers")

    def __init__(self) -> None:
        self.watchers: list[Callable[[StoreNote], None]] = []
        self._notes: dict[str, StoreNote] = {}

    def get(self, name: str, now: float) -> StoreNote | None:
        """The note of a name, unless it has ended."""
        note = self._notes.get(name)
        return note if note is not None and note.until > now else None

    def in_force(self, now: float) -> list[StoreNote]:
        """The notes that have not ended, by name."""
        return sorted(note for note in self._notes.values() if note.until > now)

    def put(self, name: str, text: str, until: float, now: float) -> StoreNote | None:
        """Write a note in place of the one that is there; None when it is too long, over already, or one too many."""
        present = self._notes.get(name)
        since = now if present is None else max(now, present.since + TICK_SECONDS)
        note = StoreNote(name, text, since, until)
        if until <= now or len((name + text).encode()) > MAX_NOTE_BYTES or not self._has_room(name, now):
            return None
        self._write(note)
        return note

    def accept(self, note: StoreNote, now: float) -> StoreNote:
        """Take over a note of another process if it is the one to keep; the one that holds now.

        When there is no room for it, that is the note itself, over already.
        """
        present = self._notes.get(note.name)
        if present is not None and not note.outranks(present):
            return present
        if not self._has_room(note.name, now):
            return note._replace(until=note.since)
        self._write(note)
        return note

    def adopt(self, note: StoreNote, now: float) -> None:
        """Take over a note as whoever decides has it; one that has ended only takes the place of what was there."""
        if note.until > now and self._has_room(note.name, now):
            self._notes[note.name] = note
        else:
            self._notes.pop(note.name, None)

    def _write(self, note: StoreNote) -> None:
        self._notes[note.name] = note
        for watcher in self.watchers:
            watcher(note)

    def _has_room(self, name: str, now: float) -> bool:
        if name not in self._notes and len(self._notes) >= MAX_NOTES:
            self._notes = {each: note for each, note in self._notes.items() if note.until > now}
        return name in self._notes or len(self._notes) < MAX_NOTES
