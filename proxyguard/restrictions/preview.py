"""What of a restriction can be tried on the last hour: its limits, and the paths that it is about; and what cannot is named.

Workers remember who asked how often for which part of the site (`history`), not requests. Knows nothing of commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from proxyguard.limits.limit import Limit, Window
from proxyguard.policy.model import AllOf, AnyOf, Condition, FieldKind, Restriction, Test, Text, TextKind, tests_of
from proxyguard.restrictions.history import PIECE_SECONDS, PIECES, Allowance, PathText, Reads, Tried, tried

HOUR_SECONDS: Final = PIECES * PIECE_SECONDS

type Paths = tuple[PathText, ...] | None
"""None: all."""


class Trial(NamedTuple):
    """Limits by class on these paths; `left_out` are the fields of its condition that nothing is remembered of."""

    limits: tuple[tuple[str, Limit], ...]
    paths: Paths
    left_out: tuple[str, ...]

    def plain(self) -> list[Any]:
        """For the workers, as JSON."""
        paths = None if self.paths is None else [[path.text.decode(), path.is_prefix] for path in self.paths]
        return [[name, *allowances(limit), paths] for name, limit in self.limits]

    def added_up(self, answers: Sequence[Sequence[Sequence[Any]]]) -> list[Tried]:
        """What it would have done by the reads that all workers saw, by limit."""
        return [tried(allowance_from(plain), [Reads(*one[at]) for one in answers]) for at, plain in enumerate(self.plain())]


def trial_of(restriction: Restriction) -> Trial:
    """What of it can be tried."""
    paths, left_out = _paths(restriction.when)
    return Trial(restriction.limits, paths, tuple(sorted(set(left_out))))


def allowance_from(plain: Sequence[Any]) -> Allowance:
    """What a worker tries; see `Trial.plain`."""
    name, in_piece, in_hour, paths = plain
    texts = None if paths is None else tuple(PathText(str(text).encode(), bool(is_prefix)) for text, is_prefix in paths)
    return Allowance(str(name), float(in_piece), float(in_hour), texts)


def allowances(limit: Limit) -> tuple[float, float]:
    """How many a limit lets through in five minutes and in an hour, from rest."""
    if limit.window is not Window.SLIDING:
        spans = (max(1.0, seconds / limit.period_seconds) for seconds in (PIECE_SECONDS, HOUR_SECONDS))
        in_piece, in_hour = (limit.amount * span for span in spans)
        return in_piece, in_hour
    return limit.burst + PIECE_SECONDS / limit.interval_seconds, limit.burst + HOUR_SECONDS / limit.interval_seconds


def _paths(when: Condition) -> tuple[Paths, list[str]]:
    """The paths that a condition is about, or more than those; and the fields that it asks besides."""
    match when:
        case Test(field=field, matcher=Text(kind=TextKind.PREFIX | TextKind.EQUAL as kind, texts=texts)):
            if field.kind == FieldKind.PATH:
                return tuple(PathText(text, kind is TextKind.PREFIX) for text in texts), []
        case AllOf(conditions=conditions):
            found = [_paths(each) for each in conditions]
            about = [paths for paths, _ in found if paths is not None]
            more = ["path"] if len(about) > 1 else []
            return (about[0] if about else None), [*more, *(field for _, fields in found for field in fields)]
        case AnyOf(conditions=conditions):
            found = [_paths(each) for each in conditions]
            if all(paths is not None and not fields for paths, fields in found):
                return tuple(path for paths, _ in found for path in paths or ()), []
        case _:
            pass
    return None, [str(test.field) for test in tests_of(when)]
