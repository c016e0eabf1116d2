"""What was learned, as a file: cohorts in numbers and known words, and the families of paths of the site.

The file is read as strictly as a stranger's would be: sizes are bounded, words and labels are of the forms that are written.
"""

from __future__ import annotations

from collections.abc import Iterator
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
MAX_REQUESTS: Final = 1_000_000
"""Of one session: a program that never pauses has one a day, and ten requests a second in it."""

MAX_PROBLEMS: Final = 10
"""Of one file that are named."""

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,59}$")]
FamilyPath = Annotated[str, msgspec.Meta(pattern=r"^(/(\{number\}|\{word\})?[A-Za-z0-9_.-]*)+$", max_length=400)]
"""At most one placeholder in a segment, at its begin: two side by side could be matched in very many ways."""
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
RequestCount = Annotated[float, msgspec.Meta(ge=0, le=MAX_REQUESTS)]
Waits = Annotated[tuple[Amount, ...], msgspec.Meta(min_length=QUANTILES, max_length=QUANTILES)]
RequestCounts = Annotated[tuple[RequestCount, ...], msgspec.Meta(min_length=QUANTILES, max_length=QUANTILES)]
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
    requests: RequestCounts
    waits: Waits
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


HINT: Final = "\n  hint: write it with proxyguard range learn"


class LearnedError(Exception):
    """A file of learned cohorts cannot be used; the message says which, where in it and why."""


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
        learned = msgspec.json.decode(data.decode(), type=LearnedTraffic)
    except UnicodeDecodeError as error:
        raise LearnedError(f"{path}: byte {error.start + 1} is not UTF-8{HINT}") from error
    except msgspec.DecodeError as error:
        raise LearnedError(f"{path}: {error}{HINT}") from error
    problems = list(_problems(learned))
    if problems:
        more = len(problems) - MAX_PROBLEMS
        shown = problems[:MAX_PROBLEMS] + ([f"and {more:,} more like these"] if more > 0 else [])
        raise LearnedError("\n".join(f"{path}: {each}" for each in shown) + HINT)
    return learned


def _problems(learned: LearnedTraffic) -> Iterator[str]:
    """What types do not say, each with its place as in msgspec's own messages."""
    names: set[str] = set()
    for at, cohort in enumerate(learned.cohorts):
        place = f"`$.cohorts[{at}]`"
        if cohort.name in names:
            yield f"a second cohort is called {quoted(cohort.name)} - at {place}"
        names.add(cohort.name)
        for reading in (*cohort.first, *cohort.following):
            if reading.family >= len(learned.site):
                yield f"{cohort.name} reads family {reading.family}; site has {len(learned.site)} - at {place}"
        for name, values in (("requests", cohort.requests), ("waits", cohort.waits)):
            if list(values) != sorted(values):
                yield f"{name} of {cohort.name} are quantiles, and do not fall - at {place}"
        for software in cohort.software:
            try:
                software_of(software.label)
            except ValueError:
                yield f"{quoted(software.label)} is not the label of a client - at {place}"
