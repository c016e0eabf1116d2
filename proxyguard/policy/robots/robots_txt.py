"""A site's robots.txt (RFC 9309), read, and asked what it says of a client and a path.

The client is known by its user agent: the group whose name the user agent has as a product applies, else that of `*`. A name is
also found in front of a hyphen (`googlebot` in `Googlebot-Image`), as crawlers that have several names say of themselves. Where a
user agent fits several groups, all of them must forbid. Knows nothing of where the text comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.core.reading import STRICT, percent_decode
from proxyguard.core.request import Request
from proxyguard.core.request_paths import inspected_path
from proxyguard.core.robots import RobotsVerdict, RobotsWord
from proxyguard.policy.robots.path_rules import MAX_LOOKED_AT, PathRules

MAX_BYTES: Final = 500 * 1024
"""Of the file that are read, to the last whole line: what RFC 9309 (section 2.5) asks of every crawler."""

MAX_NAME: Final = 64
"""Bytes of a group's name."""

MAX_PHRASES: Final = 64
"""Names of several words: each is looked for in every new user agent."""

MAX_DELAY_SECONDS: Final = 86_400.0

MAX_AGENT: Final = 512
"""Bytes of a user agent in which names are looked for."""

MAX_REMEMBERED: Final = 128
"""User agents whose groups are remembered, for each file, up to 80 KiB: there may be as many files as hosts. All are forgotten
when there are more; to find them anew takes 10 µs."""

EVERYONE: Final = b"*"

_DELAY: Final = re.compile(rb"[0-9]{1,6}(?:\.[0-9]{1,3})?")
_PRODUCT: Final = re.compile(rb"(?<![\w./@-])(?<!like )[a-z0-9][\w.!+-]*")
"""What a user agent may call itself, in lower case: not what it is like, nor a part of an address."""

_NOT_NAMES: Final = frozenset({b"mozilla", b"compatible"})
"""What nearly every user agent says, browsers included."""


class Group:
    """Lines that belong together: from one or several User-agent lines to the next."""

    __slots__ = ("_lines", "_rules", "delay")

    def __init__(self) -> None:
        self._lines: list[tuple[bytes, bool]] = []
        self._rules: PathRules | None = None
        self.delay: float | None = None

    def add(self, pattern: bytes, *, allows: bool) -> None:
        self._lines.append((pattern, allows))

    @property
    def rules(self) -> PathRules:
        """The lines about paths; made when they are first asked."""
        if self._rules is None:
            self._rules = PathRules(self._lines)
            self._lines = []
        return self._rules


Applying = tuple[tuple[bytes, tuple[Group, ...]], ...]
"""The groups that apply to a user agent, by the name that was found, the longest first."""


class RobotsTxt:
    """What one text says. Remembers which groups apply to whom."""

    __slots__ = ("_groups", "_nothing", "_phrases", "_remembered", "size", "version")

    def __init__(self, text: bytes) -> None:
        self.size = len(text)
        self.version = blake2b(text, digest_size=4).hexdigest()
        self._nothing = RobotsVerdict(RobotsWord.ALLOWED, version=self.version)
        found: dict[bytes, list[Group]] = {}
        for name, group in _read(text):
            groups = found.setdefault(name, [])
            if not groups or groups[-1] is not group:
                groups.append(group)
        self._groups = {name: tuple(groups) for name, groups in found.items()}
        self._phrases = tuple(name for name in self._groups if b" " in name)[:MAX_PHRASES]
        self._remembered: dict[bytes, Applying] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all groups."""
        return tuple(name.decode("utf-8", "replace") for name in self._groups)

    def judge(self, user_agent: bytes, path: bytes) -> RobotsVerdict:
        """What the file says of a client that calls itself so, and a path as `subject_of` has it."""
        applying = self.applying(user_agent)
        if not applying:
            return self._nothing
        words = [_word(groups, path) for _, groups in applying]
        word = min(words, key=_ORDER.index)
        delays = [group.delay for _, groups in applying for group in groups if group.delay is not None]
        name = applying[0][0].decode("utf-8", "replace")
        return RobotsVerdict(word, name, min(delays, default=None), self.version)

    def judge_request(self, request: Request) -> RobotsVerdict:
        """What the file says of a request."""
        return self.judge(request.user_agent or b"", subject_of(request))

    def applying(self, user_agent: bytes) -> Applying:
        """The groups that apply to a user agent; none: the file says nothing to it."""
        agent = user_agent[:MAX_AGENT]
        found = self._remembered.get(agent)
        if found is None:
            found = keep_at_hand(self._remembered, MAX_REMEMBERED, agent, self._find(agent.lower()))
        return found

    def _find(self, agent: bytes) -> Applying:
        groups = self._groups
        names = {phrase for phrase in self._phrases if phrase in agent}
        for product in _PRODUCT.findall(agent):
            name = product
            while name and name not in groups:
                name = name.rpartition(b"-")[0]
            if name and name not in _NOT_NAMES:
                names.add(name)
        if not names and EVERYONE in groups:
            names = {EVERYONE}
        return tuple((name, groups[name]) for name in sorted(names, key=lambda name: (-len(name), name)))


_ORDER: Final = (RobotsWord.ALLOWED, RobotsWord.UNKNOWN, RobotsWord.DISALLOWED)
"""The most generous first."""


def subject_of(request: Request) -> bytes:
    """What patterns are compared with: path and query, decoded, the slashes of the path merged, in the case that was sent."""
    target = request.target
    path = request.path if request.reading is STRICT else inspected_path(target)
    if request.has_query:
        path += b"?" + percent_decode(request.sent_query)
    return path if len(path) <= MAX_LOOKED_AT else path[:MAX_LOOKED_AT]


def _word(groups: tuple[Group, ...], path: bytes) -> RobotsWord:
    if path == b"/robots.txt":
        return RobotsWord.ALLOWED
    found = [rule for rule in (group.rules.find(path) for group in groups) if rule is not None]
    if not found or max(found).allows:
        return RobotsWord.ALLOWED
    return RobotsWord.DISALLOWED if all(group.rules.is_whole for group in groups) else RobotsWord.UNKNOWN


def whole_lines(text: bytes) -> bytes:
    """The part of a file that is read."""
    return text if len(text) <= MAX_BYTES else text[: text.rfind(b"\n", 0, MAX_BYTES) + 1]


def _read(text: bytes) -> Iterator[tuple[bytes, Group]]:
    """Each name with each group that it has lines in."""
    group: Group | None = None
    in_names = False
    for raw in whole_lines(text).removeprefix(b"\xef\xbb\xbf").splitlines():
        key, colon, value = raw.partition(b"#")[0].partition(b":")
        if not colon:
            continue
        key, value = key.strip().lower(), value.strip()
        if key == b"user-agent":
            if group is None or not in_names:
                group = Group()
            in_names = True
            name = _name(value)
            if name:
                yield name, group
        elif group is None or key not in (b"allow", b"disallow", b"crawl-delay"):
            continue
        else:
            in_names = False
            _take(group, key, value)


def _take(group: Group, key: bytes, value: bytes) -> None:
    if key == b"crawl-delay":
        if _DELAY.fullmatch(value) and group.delay is None:
            group.delay = min(float(value), MAX_DELAY_SECONDS)
    elif value:
        group.add(value, allows=key == b"allow")


def _name(value: bytes) -> bytes:
    """The name of a group: without a version, and without a star behind it."""
    if value == EVERYONE:
        return EVERYONE
    return value.partition(b"/")[0].rstrip(b"* ").lower()[:MAX_NAME]


NOTHING_FORBIDDEN: Final = RobotsTxt(b"")
"""What a site without the file says."""
