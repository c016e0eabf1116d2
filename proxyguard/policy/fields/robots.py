"""What the site's own robots.txt says of a client and a path. The guard looks it up when a rule in force asks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from proxyguard.core.problems import Fault, quoted
from proxyguard.core.request import Request, Values
from proxyguard.core.robots import NOT_READ, RobotsVerdict, RobotsWord
from proxyguard.policy.fields.field_type import EXACT, NUMBERS, AnyValues, FieldType, KeyForm, SingleValue
from proxyguard.policy.fields.words import one_of
from proxyguard.policy.model import TextKind

_WORDS: Final = {word: word.encode() for word in RobotsWord}
_SECONDS: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?", re.ASCII)


def _group_values(request: Request) -> Values:
    verdict = request.robots
    return () if verdict is None or not verdict.group else (verdict.group.encode("utf-8"),)


def _delay_values(request: Request) -> Values:
    verdict = request.robots
    return () if verdict is None or verdict.crawl_delay is None else (b"%g" % verdict.crawl_delay,)


def _group(_kind: TextKind, text: str) -> str:
    return text.lower()


def _delay(_kind: TextKind, text: str) -> str:
    if not _SECONDS.fullmatch(text):
        raise Fault(f"{quoted(text)} is not a number of seconds", "such as 10 or 0.5")
    return f"{float(text):g}"


def read_robots(words: Mapping[str, str]) -> RobotsVerdict | None:
    """The verdict that somebody describes by the words of these fields; None: by none. Raises Fault."""
    checks = {row.kind: row.check for row in ROWS}
    given = {name: check(TextKind.EQUAL, words[name]) for name, check in checks.items() if check is not None and name in words}
    if not given:
        return None
    delay = given.get("crawl_delay")
    return RobotsVerdict(
        RobotsWord(given.get("robots", RobotsWord.ALLOWED)),
        given.get("robots_group", ""),
        None if delay is None else float(delay),
    )


ROBOTS: Final = FieldType(
    kind="robots",
    example="disallowed",
    description="`allowed`, `disallowed` or `unknown`: what the site's robots.txt says of the user agent and the path.",
    source=SingleValue(lambda request: _WORDS[(request.robots or NOT_READ).word]),
    matchers=EXACT,
    check=one_of("word of robots.txt", RobotsWord),
    key=KeyForm.PLAIN,
    of_robots=True,
)
ROBOTS_GROUP: Final = FieldType(
    kind="robots_group",
    example="gptbot",
    description="The group of robots.txt that applies, lower case: `gptbot`, or `*`; absent when none does.",
    source=AnyValues(_group_values),
    matchers=EXACT,
    check=_group,
    key=KeyForm.HASHED,
    of_robots=True,
)
CRAWL_DELAY: Final = FieldType(
    kind="crawl_delay",
    example="10",
    description="Seconds between two requests that robots.txt asks of the user agent; absent when it asks for none.",
    source=AnyValues(_delay_values),
    matchers=(*EXACT, *NUMBERS),
    check=_delay,
    key=KeyForm.PLAIN,
    of_robots=True,
)
ROWS: Final = (ROBOTS, ROBOTS_GROUP, CRAWL_DELAY)
