"""What the processes on one store tell each other of what they see: 64-bit numbers, each with how often, by subject.

Told ten times a second, to all others, without an answer: what is lost while the store is down stays known where it was
seen. A message begins with a mark of the secret that its numbers were made with, as others' numbers would say nothing here.
Knows nothing of what the numbers mean, of stores or of clocks.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import IntEnum
from hashlib import blake2b
from itertools import islice
from typing import Final

import msgspec

MOST_NUMBERS: Final = 256
"""Of a subject in one message: all of one take a hearer a millisecond. More wait for the next."""

MOST_WAITING: Final = 4_096
"""Numbers of a subject that wait to be told; more are not."""

MOST_COUNT: Final = 65_535

TELL_SECONDS: Final = 0.1
"""Between two messages."""

MARK_BYTES: Final = 8

_Content = dict[int, dict[int, int]]

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Content).decode


class Subject(IntEnum):
    """What a number is about. Part of what is sent: a release may add some, and gives none another meaning."""

    READ = 0
    """An item that was read."""
    RARE_READ = 1
    """An item that was read and is rarely read."""
    ASSET = 2
    """A fresh cookie jar that fetched an asset."""
    VISITOR = 3
    """A client that was let through."""


class Sightings:
    """What one process has to tell, and who listens to what others tell."""

    __slots__ = ("_listeners", "_mark", "_pending", "_self", "heard", "untold")

    def __init__(self, secret: bytes) -> None:
        self._mark = blake2b(secret, digest_size=MARK_BYTES, person=b"sightings").digest()
        self._self = os.urandom(MARK_BYTES)
        self._pending: dict[int, dict[int, int]] = {subject.value: {} for subject in Subject}
        self._listeners: dict[int, Callable[[int, int], None]] = {}
        self.heard = 0
        """Numbers that others told."""
        self.untold = 0
        """Sightings that found no room among those that wait."""

    def listen(self, subject: Subject, listener: Callable[[int, int], None]) -> None:
        """Have a function called with each number that another process tells, and how often it was seen there."""
        self._listeners[subject.value] = listener

    def tell(self, subject: int, number: int) -> None:
        """Tell the others of a number, with the next message."""
        pending = self._pending[subject]
        seen = pending.get(number, 0)
        if seen:
            pending[number] = min(seen + 1, MOST_COUNT)
        elif len(pending) < MOST_WAITING:
            pending[number] = 1
        else:
            self.untold += 1

    def message(self) -> bytes:
        """What waits to be told, the oldest first and as much as a message holds; empty when that is nothing."""
        content = {}
        for subject, numbers in self._pending.items():
            if numbers:
                content[subject] = told = dict(islice(numbers.items(), MOST_NUMBERS))
                self._pending[subject] = dict(islice(numbers.items(), len(told), None))
        if not content:
            return b""
        return self._mark + self._self + _encode(content)

    def hear(self, message: bytes) -> None:
        """Give the listeners what a message of another process says. What is no message of ours says nothing."""
        sender = 2 * MARK_BYTES
        if message[:MARK_BYTES] != self._mark or message[MARK_BYTES:sender] == self._self:
            return
        try:
            content: dict[int, dict[int, int]] = _decode(message[sender:])
        except msgspec.MsgspecError:
            return
        for subject, numbers in content.items():
            listener = self._listeners.get(subject)
            if listener is None or len(numbers) > MOST_NUMBERS:
                continue
            for number, seen in numbers.items():
                if 0 <= number < 1 << 64 and 0 < seen <= MOST_COUNT:
                    listener(number, seen)
                    self.heard += 1
