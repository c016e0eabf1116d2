"""Names for client addresses that say nothing to whoever lacks the key: the same for one day, another on the next.

A keyed hash (BLAKE2b, RFC 7693) of the address, with a key for each day derived from the instance's secret. Workers and instances
with the same secret give the same names. Who holds the secret can try all addresses: it is as private as the secret is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from proxyguard.core.at_hand import keep_at_hand

DAY_SECONDS: Final = 86_400.0

HASH_BYTES: Final = 6
"""Of a name: one in a thousand to meet another among 750,000 clients of a day."""

PATTERN: Final = re.compile(rf"c-[0-9a-f]{{{2 * HASH_BYTES}}}")
"""What a name looks like: `c-5f2b8e01c77a`."""

MAX_REMEMBERED: Final = 1024
"""Names of the day that are kept at hand, about 200 KiB: who is recorded once is recorded again."""

DAYS_LOOKED_BACK: Final = 2
"""Names of today and yesterday are found; older ones mean nothing to a running instance."""


class Pseudonyms:
    """Gives names to client keys, such as `192.0.2.7` and `2001:db8::/64`."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret[:64]
        self._begins = -DAY_SECONDS
        """The start of the day whose names are given (Unix seconds)."""
        self._key = b""
        self._remembered: dict[str, str] = {}
        """Names of this day by their clients."""

    def name(self, client: str, wall: float) -> str:
        """The name of a client at a time (Unix seconds)."""
        remembered = self._remembered
        if not self._begins <= wall < self._begins + DAY_SECONDS:
            day = int(wall // DAY_SECONDS)
            self._begins, self._key = day * DAY_SECONDS, self._key_of(day)
            remembered.clear()
        name = remembered.get(client)
        if name is None:
            name = keep_at_hand(remembered, MAX_REMEMBERED, client, _name(client, self._key))
        return name

    def forget(self, client: str) -> None:
        """Keep the name of a client no longer at hand."""
        self._remembered.pop(client, None)

    def names(self, client: str, wall: float, days: int) -> list[str]:
        """The names of a client on so many days back.

        The day after, too: a record of just before midnight, looked for just after it, by a clock that is ahead.
        """
        return [self.name(client, wall - day * DAY_SECONDS) for day in range(-1, days + 1)]

    def find(self, name: str, clients: Iterable[str], wall: float) -> str | None:
        """Whose name it is or was yesterday, of these clients; None when it is nobody's."""
        keys = [self._key_of(int(wall // DAY_SECONDS) - days) for days in range(DAYS_LOOKED_BACK)]
        return next((client for client in clients if any(_name(client, key) == name for key in keys)), None)

    def _key_of(self, day: int) -> bytes:
        return blake2b(max(0, day).to_bytes(8), key=self._secret, digest_size=32, person=b"pseudonym").digest()


def _name(client: str, key: bytes) -> str:
    return "c-" + blake2b(client.encode(), key=key, digest_size=HASH_BYTES).hexdigest()
