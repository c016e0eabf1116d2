"""The store contract: charge what a request costs, remember bans and notes. Two methods a request can reach.

A store knows keys, numbers and time; it knows nothing of requests or rules. One request is one `charge` call. `now` is an
argument (Unix seconds); a remote store may use its server's clock instead and says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from proxyguard.core.decision import Refusal, Reject
from proxyguard.core.value import Value
from proxyguard.limits.charge import NOBODY, Charge, Owner, Usage
from proxyguard.limits.stores.notes import StoreNote

REJECT: Final = Reject()

OPERATOR: Final = "operator"
"""Stands for the rule in a ban that an operator made."""


@dataclass(frozen=True, slots=True)
class BanRecord:
    """A refusal remembered for a key until `until` (Unix seconds)."""

    key: str
    since: float
    until: float
    rule: str
    reason: str = ""
    then: Refusal = REJECT
    strikes: int = 1
    """How many times in a row this key was banned; escalation counts by it."""
    note: str = ""
    network: str = ""
    """The key of the network of the client that it was made for; empty: an operator made it, or an older release."""

    @property
    def gives_way(self) -> bool:
        """Whether it may be dropped for another one when there is no room."""
        return bool(self.network) or self.rule != OPERATOR


class Outcome(Value):
    """What a `charge` call says: the active ban, if any (then nothing was counted), else one usage per charge, in order.

    `counted` False: no store had the charges, so nothing is reserved that could be given back.
    """

    __slots__ = ("ban", "counted", "usages")

    def __init__(self, ban: BanRecord | None, usages: tuple[Usage, ...], *, counted: bool = True) -> None:
        self.ban = ban
        self.usages = usages
        self.counted = counted

    def held(self) -> tuple[object, ...]:
        return self.ban, self.usages, self.counted


def uncounted(charges: Sequence[Charge]) -> Outcome:
    """The outcome of charges that no store had: no limit is exceeded."""
    usages = [Usage(exceeded=False, remaining=charge.limit.burst, retry_after_seconds=0.0) for charge in charges]
    return Outcome(None, tuple(usages), counted=False)


class Store(Protocol):
    """A store that answers at once (in this process)."""

    def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str], now: float) -> Outcome:
        """Look for an active ban of any key, then count the batch: all of it, or nothing when a stopping limit is exceeded."""
        ...

    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float) -> BanRecord:
        """Ban a key, for longer if it was banned before (escalation). Banning a banned key returns the ban in force."""
        ...

    def unban(self, key: str) -> bool:
        """Lift a ban; False when there was none."""
        ...

    def banned(self, key: str, now: float) -> BanRecord | None:
        """The ban in force for a key; None when there is none."""
        ...

    def bans(self, now: float) -> Iterable[BanRecord]:
        """The bans in force."""
        ...

    def put_note(self, name: str, text: str, until: float, now: float) -> bool:
        """Write a note for all who use this store, in place of one of that name. Of two the later holds, wherever it was put.

        False, and nothing changes, when it is longer than `notes.MAX_NOTE_BYTES` or over already, or there is no room.
        """
        ...

    def note(self, name: str, now: float) -> StoreNote | None:
        """The note of a name; None when there is none or it has ended."""
        ...

    def notes(self, now: float) -> Sequence[StoreNote]:
        """The notes that have not ended, by name."""
        ...


class AsyncStore(Protocol):
    """A store that answers later: another process or machine. Only `charge` waits, and never longer than its time-out.

    Bans in force are known in this process, so the other methods answer at once; what they change travels behind.
    """

    def charge(self, charges: Sequence[Charge], ban_keys: Sequence[str], now: float) -> Outcome | Awaitable[Outcome]:
        """As `Store.charge`; an Outcome at once when nobody else has to be asked.

        Raises StoreUnavailable, now or when awaited, when the store is down and its setting says to refuse.
        """
        ...

    def ban(self, key: str, rule: str, reason: str, terms: BanTerms, now: float) -> BanRecord:
        """As `Store.ban`; in force here at once, everywhere within a second."""
        ...

    def unban(self, key: str) -> bool:
        """As `Store.unban`; lifted here at once, everywhere within a second."""
        ...

    def banned(self, key: str, now: float) -> BanRecord | None:
        """As `Store.banned`."""
        ...

    def bans(self, now: float) -> Iterable[BanRecord]:
        """As `Store.bans`."""
        ...

    def put_note(self, name: str, text: str, until: float, now: float) -> bool:
        """As `Store.put_note`; known here at once, everywhere within a second."""
        ...

    def note(self, name: str, now: float) -> StoreNote | None:
        """As `Store.note`."""
        ...

    def notes(self, now: float) -> Sequence[StoreNote]:
        """As `Store.notes`."""
        ...


class BanTerms(NamedTuple):
    """How long a ban lasts, and what the banned get; see `decision.Ban`."""

    for_seconds: float
    then: Refusal
    escalation: float = 1.0
    max_seconds: float = 86_400.0
    forget_seconds: float = 86_400.0
    note: str = ""
    owner: Owner = NOBODY
    """Whose request it was; nobody's: an operator's command."""


class StoreUnavailable(Exception):
    """The store did not answer in time or said something that is not an answer. Whose fault: a neighbour's."""
