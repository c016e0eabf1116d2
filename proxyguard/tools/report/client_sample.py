"""What happened to single clients, of all of them or of a fair sample: bounded whatever number of clients there is.

Clients are kept by a keyed hash of their name, all of them until CAPACITY is reached; then every second one, every fourth, and
so on. Who is kept does not depend on what a client does, so figures about the kept, times `scale`, are those about all.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

CAPACITY: Final = 20_000
"""Clients that are kept: about 10 MiB."""

MAX_RULES: Final = 8
"""Rules of which a client's refusals are kept apart; a ninth is not kept."""


class SampledClient:
    """Of one client: refusals by rule, forwarded requests, of them those with a browser's user agent, the last reference."""

    __slots__ = ("as_browser", "forwarded", "mark", "reference", "rules")

    def __init__(self, mark: int) -> None:
        self.mark = mark
        self.rules: dict[str, int] = {}
        self.forwarded = 0
        self.as_browser = 0
        self.reference = ""

    def refuse(self, rule: str, reference: str) -> None:
        """Count a refusal."""
        if rule in self.rules or len(self.rules) < MAX_RULES:
            self.rules[rule] = self.rules.get(rule, 0) + 1
        self.reference = reference


class ClientSample:
    """All clients, or one of every `scale`."""

    def __init__(self, key: bytes, capacity: int = CAPACITY) -> None:
        """`key`: of this run, so that nobody can choose to be in the sample or out of it."""
        self._key = key
        self._capacity = capacity
        self._clients: dict[str, SampledClient] = {}
        self.scale = 1

    def of(self, client: str) -> SampledClient | None:
        """What is kept of a client; None when it is not in the sample."""
        found = self._clients.get(client)
        if found is not None:
            return found
        mark = int.from_bytes(blake2b(client.encode(), key=self._key, digest_size=8).digest())
        if mark % self.scale:
            return None
        while len(self._clients) >= self._capacity:
            self.scale *= 2
            self._clients = {name: kept for name, kept in self._clients.items() if not kept.mark % self.scale}
        if mark % self.scale:
            return None
        found = self._clients[client] = SampledClient(mark)
        return found

    def __iter__(self) -> Iterator[SampledClient]:
        return iter(self._clients.values())
