"""Somebody who asks a site whether accounts exist, and guesses from everything that comes back: tests of uniform answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

BINS = 24


@dataclass(frozen=True, slots=True)
class Observation:
    """One try: whether the account exists, and what the client saw of the answer."""

    exists: bool
    status: int
    headers: tuple[tuple[str, str], ...]
    """Without Date."""
    body: bytes
    seconds: float
    is_kept: bool
    """Whether the connection could be used again."""


Feature = Callable[[Observation], Hashable]


def accuracies(tries: Sequence[Observation]) -> dict[str, float]:
    """How often a guess is right, by what it goes by. Learned on one half of the tries and judged on the other, both ways.

    `tries` are in the order in which they were asked: those asked together are late together on a busy machine, so that halves
    drawn at random would tell each other how many of them were of accounts that exist. A coin is right in 50 % of n with a
    standard deviation of 64 % / sqrt(n): what one half has by chance is right or wrong both ways.
    """
    bins = _bins(tries)
    features: dict[str, Feature] = {
        "status": lambda seen: seen.status,
        "length": lambda seen: len(seen.body),
        "headers": lambda seen: seen.headers,
        "body": lambda seen: seen.body,
        "connection": lambda seen: seen.is_kept,
        "time in bins": lambda seen: bins(seen.seconds),
        "all": lambda seen: (seen.status, seen.headers, seen.body, seen.is_kept, bins(seen.seconds)),
    }
    guessed = {name: _cross(tries, lambda half, feature=feature: _majority(half, feature)) for name, feature in features.items()}  # type: ignore[misc]
    return guessed | {"time": _cross(tries, _threshold)}


Guess = Callable[[Observation], bool]


def _cross(tries: Sequence[Observation], learn: Callable[[Sequence[Observation]], Guess]) -> float:
    half = len(tries) // 2
    parts = (tries[:half], tries[half:])
    right = 0
    for learned, judged in (parts, parts[::-1]):
        guess = learn(learned)
        right += sum(guess(seen) is seen.exists for seen in judged)
    return right / len(tries)


def _majority(half: Sequence[Observation], feature: Feature) -> Guess:
    votes: defaultdict[Hashable, Counter[bool]] = defaultdict(Counter)
    for seen in half:
        votes[feature(seen)][seen.exists] += 1
    return lambda seen: votes[feature(seen)][True] >= votes[feature(seen)][False]


def _threshold(half: Sequence[Observation]) -> Guess:
    """The one time that tells both kinds apart best."""
    ordered = sorted(half, key=lambda seen: seen.seconds)
    above = sum(seen.exists for seen in ordered)
    below = 0
    best, limit, is_slow_real = 0, 0.0, True
    for at, seen in enumerate(ordered, 1):
        below += seen.exists
        right = (at - below) + (above - below)  # those that do not exist are faster
        for count, slow in ((right, True), (len(ordered) - right, False)):
            if count > best:
                best, limit, is_slow_real = count, seen.seconds, slow
    return lambda seen: (seen.seconds > limit) is is_slow_real


def _bins(tries: Sequence[Observation]) -> Callable[[float], int]:
    ordered = sorted(seen.seconds for seen in tries)
    edges = [ordered[len(ordered) * at // BINS] for at in range(1, BINS)]
    return lambda seconds: sum(seconds > edge for edge in edges)
