"""Matchers that are more than a text, a number or a network: signatures, a part of the day, a share, refusals.

Values only, made by `parse`; part of `model.Matcher`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from proxyguard.core.units import duration_text


class Encoding(StrEnum):
    """How a signature is written as text; padding with `=` may be there or not."""

    BASE64URL = "base64url"
    BASE64 = "base64"
    HEX = "hex"


@dataclass(frozen=True, slots=True)
class Signed:
    """Holds when a value ends with `separator` and the HMAC of what stands before it.

    A value that does not begin with `prefix` is not signed; the prefix is not part of what is signed.
    """

    variable: str
    """The environment variable that held the secret."""
    secret: bytes = field(repr=False)
    separator: bytes = b"."
    digest: str = "sha256"
    encoding: Encoding = Encoding.BASE64URL
    prefix: bytes = b""


@dataclass(frozen=True, slots=True)
class During:
    """Holds from the minute `start` of the day up to, not including, `end`, by the clock of a time zone; over midnight when `end`
    is the smaller. Minutes count from midnight, 0 to 1439; they differ."""

    start: int
    end: int
    time_zone: str = "UTC"
    """An IANA name."""

    def has(self, minute: int) -> bool:
        """Whether a minute of the day lies in it."""
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def __str__(self) -> str:
        return f"{minute_text(self.start)} to {minute_text(self.end)} {self.time_zone}"


def minute_text(minute: int) -> str:
    """A minute of the day as `22:00`."""
    return f"{minute // 60:02}:{minute % 60:02}"


@dataclass(frozen=True, slots=True)
class Sampled:
    """Holds for so many of 1 of all clients, always for the same: those of a smaller share are among those of a larger one."""

    share: float

    def __str__(self) -> str:
        return f"{self.share * 100:g}%"


@dataclass(frozen=True, slots=True)
class Refused:
    """Holds for a client that was refused at least so often within the last `within_seconds`."""

    at_least: int
    within_seconds: float
    rules: tuple[str, ...] = ()
    """The rules whose refusals count; none: the limits that count this client alone. See `policy.compile.refusals`."""

    @property
    def tag(self) -> str:
        """The tag that a hidden rule attaches to requests for which it holds. No rule can attach one: names have no colon."""
        by = "".join(f"+{name}" for name in self.rules)
        return f"{REFUSED_MARK}{self.at_least}/{duration_text(self.within_seconds)}{by}"

    def __str__(self) -> str:
        by = f" by {' or '.join(self.rules)}" if self.rules else ""
        return f"{self.at_least} times in {duration_text(self.within_seconds)}{by}"


REFUSED_MARK = "refused:"  # begins the tags of `Refused`
