"""Mazes: pages for clients that a rule has given up, made while the budget lasts.

A page is drawn from a keyed hash of host and target, so it is the same whenever it is asked for and nothing of it is kept. What
was spent is counted by minute, in all and by client; the table of clients has no more entries than pages were made meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from time import thread_time
from typing import Final

from proxyguard.core.maze_budget import MazeBudget
from proxyguard.core.request import Request
from proxyguard.core.settings import RefusalPage, Settings
from proxyguard.guard.canaries import Canaries
from proxyguard.http.languages import preferred
from proxyguard.http.maze_page import HEADERS, maze_page, notice_for_people
from proxyguard.http.responses import Answer

PERIOD_SECONDS: Final = 60.0


class _Spent:
    """Pages, their bytes, and the processor time of making them."""

    __slots__ = ("page_bytes", "pages", "seconds")

    def __init__(self) -> None:
        self.pages = 0
        self.page_bytes = 0
        self.seconds = 0.0

    def add(self, page_bytes: int, seconds: float) -> None:
        self.pages += 1
        self.page_bytes += page_bytes
        self.seconds += seconds

    def exceeded(self, budget: MazeBudget, shares: int) -> str:
        """The name of the bound that is used up; empty: none."""
        if self.pages * shares >= budget.pages:
            return "maze_pages"
        if self.page_bytes * shares >= budget.page_bytes:
            return "maze_bytes"
        return "maze_cpu" if self.seconds * shares >= budget.page_seconds else ""


class Mazes:
    """Makes the pages of one process."""

    __slots__ = (
        "_all", "_budget", "_by_client", "_notices", "_on_exceeded", "_page", "_period", "_secret", "_token",
        "held_seconds", "total",
    )  # fmt: skip

    def __init__(
        self,
        budget: MazeBudget,
        page: RefusalPage,
        secret: bytes,
        token: Callable[[float, str, str], str] | None,
        on_exceeded: Callable[[str], None],
    ) -> None:
        """`token` makes the canary of a time, a rule and a reference; None: pages have none."""
        self._budget = budget
        self._page = page
        self._notices: dict[str, tuple[str, str]] = {}
        """Of the languages there are, as far as they were asked for."""
        self._secret = blake2b(secret, digest_size=32, person=b"maze").digest()
        self._token = token
        self._on_exceeded = on_exceeded
        self._period = -1
        self._all = _Spent()
        self._by_client: dict[str, _Spent] = {}
        self.total = _Spent()
        self.held_seconds = 0.0

    @classmethod
    def of(cls, settings: Settings, secret: bytes, on_exceeded: Callable[[str], None]) -> Mazes:
        """As the settings say. `secret` is the instance's, and `key_secret` where canaries are to be read again."""
        marks = settings.maze.canary_domain and settings.key_secret
        return cls(settings.maze, settings.refusal_page, secret, Canaries(secret).token if marks else None, on_exceeded)

    def spent(self) -> tuple[int, int, float, float]:
        """Pages made since the start, their bytes, the processor time of making them, and the seconds that clients waited."""
        return self.total.pages, self.total.page_bytes, self.total.seconds, self.held_seconds

    def answer(self, request: Request, client: str, rule: str, reference: str, time: float, now: float) -> Answer | None:
        """The page for a request; None: the budget, or this client's share of it, is used up. `time` is the wall's."""
        budget = self._budget
        period = int(now / PERIOD_SECONDS)
        if period != self._period:
            self._period, self._all = period, _Spent()
            self._by_client.clear()
        own = self._by_client.get(client) or _Spent()
        exceeded = self._all.exceeded(budget, 1) or own.exceeded(budget, budget.shares)
        if exceeded:
            self._on_exceeded(exceeded)
            return None
        began = thread_time()
        canary = "" if self._token is None else f"{self._token(time, rule, reference)}@{budget.canary_domain}"
        seed = blake2b(request.host + b"\0" + request.target, key=self._secret, digest_size=32).digest()
        code = preferred(request.first(b"accept-language") or b"", self._page.language)
        notice = self._notices.get(code)
        if notice is None:
            notice = self._notices[code] = notice_for_people(self._page, code)
        body = maze_page(seed, canary, f"{notice[0]}{reference}{notice[1]}")
        took = thread_time() - began
        self._by_client[client] = own
        for spent in (self._all, own, self.total):
            spent.add(len(body), took)
        return Answer(200, b"OK", HEADERS, body)
