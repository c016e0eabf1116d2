"""What was learned, as a file: cohorts in numbers and known words, and the families of paths of the site.

The file is read as strictly as a stranger's would be: sizes are bounded, words and labels are of the forms that are written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from proxyguard.core.problems import quoted
from proxyguard.tools.range.learning.software import software_of

VERSION: Final = 1
QUANTILES: Final = 21
"""Of requests a session and of waits: the smallest, every twentieth, the largest."""

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
MAX_FAMILIES: Final = 500
MAX_SOFTWARE: Final = 100
MAX_COHORTS: Final = 60
MAX_SESSIONS: Final = 1_000_000

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
FamilyPath = Annotated[str, msgspec.Meta(pattern=r"^(/([A-Za-z0-9_.-]|\{number\}|\{word\})*)+$", max_length=400)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Quantiles = Annotated[tuple[Amount, ...], msgspec.Meta(min_length=QUANTILES, max_length=QUANTILES)]
Hours = Annotated[tuple[Annotated[int, msgspec.Meta(ge=0, le=100_000_000)], ...], msgspec.Meta(min_length=24, max_length=24)]


class LearnedFamily(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A family of paths of the site, and what it answers with."""

    path: FamilyPath
    status: Annotated[int, msgspec.Meta(ge=100, le=599)] = 200
    bytes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)] = 10_000
    items: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 0


class LearnedReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a cohort asks for a family, by its number in `site`, and with which method."""

    family: Annotated[int, msgspec.Meta(ge=0, lt=MAX_FAMILIES)]
    share: Share
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"


class LearnedSoftware(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a client is of this label (`software.label_of`)."""

    label: Annotated[str, msgspec.Meta(max_length=60)]
    share: Share


class LearnedCohort(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A cohort: how many sessions and addresses a day, when, how long, how fast, with what."""

    name: Name
    kind: Literal["legitimate", "adversary"]
    sessions_a_day: Annotated[int, msgspec.Meta(ge=1, le=MAX_SESSIONS)]
    addresses_a_day: Annotated[int, msgspec.Meta(ge=1, le=MAX_SESSIONS)]
    hours: Hours
    requests: Quantiles
    waits: Quantiles
    software: Annotated[tuple[LearnedSoftware, ...], msgspec.Meta(min_length=1, max_length=MAX_SOFTWARE)]
    first: Annotated[tuple[LearnedReading, ...], msgspec.Meta(min_length=1, max_length=MAX_FAMILIES)]
    following: Annotated[tuple[LearnedReading, ...], msgspec.Meta(max_length=MAX_FAMILIES)] = ()
    fields: dict[Literal["referer", "accept", "accept-language", "accept-encoding", "cookie"], Share] = {}
    """Of those header fields that the log has: the share of requests with them."""


class LearnedTraffic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file."""

    site: Annotated[tuple[LearnedFamily, ...], msgspec.Meta(max_length=MAX_FAMILIES)] = ()
    cohorts: Annotated[tuple[LearnedCohort, ...], msgspec.Meta(max_length=MAX_COHORTS)] = ()
    version: Literal[1] = VERSION


class LearnedError(Exception):
    """A file of learned cohorts cannot be used; the message says which and why."""


def format_learned(learned: LearnedTraffic) -> str:
    """The text of a file."""
    return msgspec.json.format(msgspec.json.encode(learned), indent=1).decode() + "\n"


def read_learned(path: Path) -> LearnedTraffic:
    """Raises LearnedError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise LearnedError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise LearnedError(f"{path}: larger than {MAX_FILE_BYTES // 1024**2} MiB, the most that `range learn` writes")
    try:
        learned = msgspec.json.decode(data, type=LearnedTraffic)
    except msgspec.DecodeError as error:
        raise LearnedError(f"{path}: {error}\n  hint: write it with proxyguard range learn") from error
    _check(path, learned)
    return learned


def _check(path: Path, learned: LearnedTraffic) -> None:
    """What types do not say. Raises LearnedError."""
    names = [cohort.name for cohort in learned.cohorts]
    if len(set(names)) < len(names):
        raise LearnedError(f"{path}: two cohorts have one name")
    for cohort in learned.cohorts:
        for reading in (*cohort.first, *cohort.following):
            if reading.family >= len(learned.site):
                raise LearnedError(f"{path}: {cohort.name} reads family {reading.family}; site has {len(learned.site)}")
        for software in cohort.software:
            try:
                software_of(software.label)
            except ValueError:
                raise LearnedError(f"{path}: {cohort.name}: {quoted(software.label)} is not the label of a client") from None
