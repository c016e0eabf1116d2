"""Sums of stopped requests: by rule, in enforce and in shadow, and by difference between two policies.

Knows decisions and client rows; nothing of logs. Every table is bounded by the number of rules or by a constant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from proxyguard.core.distinct import Distinct
from proxyguard.tools.replay.clients import ClientRow
from proxyguard.tools.replay.frequent import Frequent

TOP_PATHS: Final = 64

EXACT_UP_TO: Final = 2047
"""Clients and networks of a rule that are counted exactly."""

REGISTER_BITS: Final = 13
"""For more of them: a standard error of 1.2 %, twice that around 20,000."""


def _distinct() -> Distinct:
    return Distinct(EXACT_UP_TO, REGISTER_BITS)


@dataclass(slots=True, eq=False)
class Sum:
    """A number of requests with their clients and networks."""

    requests: int = 0
    logged_in: int = 0
    verified: int = 0
    clients: Distinct = field(default_factory=_distinct)
    networks: Distinct = field(default_factory=_distinct)

    def add(self, row: ClientRow, *, logged_in: bool) -> None:
        self.requests += 1
        self.logged_in += logged_in
        self.verified += row.verified
        self.clients.add(row.hashed)
        self.networks.add(row.network.hashed)


@dataclass(slots=True, eq=False)
class RuleSum(Sum):
    """The requests that one rule decided or would have decided, with the most frequent paths and user agents."""

    agents: Frequent = field(default_factory=lambda: Frequent(TOP_PATHS))
    paths: Frequent = field(default_factory=lambda: Frequent(TOP_PATHS))

    def add_request(self, row: ClientRow, path: bytes, agent: bytes, *, logged_in: bool) -> None:
        """Count one request with its path and user agent."""
        self.add(row, logged_in=logged_in)
        self.paths.add(path[:MAX_TEXT])
        self.agents.add(agent[:MAX_TEXT])


MAX_TEXT: Final = 200
"""Bytes of a path or a user agent that are kept."""


class RuleKey(NamedTuple):
    """A rule with its action, which was only recorded if `shadow`."""

    rule: str
    action: str
    shadow: bool


class Change(NamedTuple):
    """The rules that stop a request under the old and the new policy; '' if none does."""

    before: str
    after: str
