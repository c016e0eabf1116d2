"""A guarded form of the site, and what a request for it brought. Values only; tokens are made in `guard.forms`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FormState(StrEnum):
    """What the token of a post shows."""

    NONE = "none"
    """No token of ours came."""
    EARLY = "early"
    """The form was read a moment ago: nobody fills one in so fast."""
    GOOD = "good"
    """The same client read the form, long enough ago and not too long."""
    LATE = "late"
    """The form was read too long ago."""
    FOREIGN = "foreign"
    """The token was given to another network or user agent, for another host, or for another form."""
    USED = "used"
    """The form was posted with it before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedForm:
    """One form: globs of the paths where it is read and where it is posted, and which token a post must bring."""

    name: str
    read: tuple[bytes, ...]
    post: tuple[bytes, ...]
    after_seconds: float = 2.0
    within_seconds: float = 7_200.0
    uses: int = 1


class FormVisit:
    """The guarded form of one request. `states` is empty where the form is read."""

    __slots__ = ("guarded", "is_kept", "states")

    def __init__(self, guarded: GuardedForm, states: tuple[bytes, ...]) -> None:
        self.guarded = guarded
        self.states = states
        self.is_kept = False
        """Whether the client keeps the token that it has."""
