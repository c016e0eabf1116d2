"""Rules about robots.txt that also refuse people: PG034."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxyguard.policy.actions.registry import refuses
from proxyguard.policy.model import tests_of
from proxyguard.tools.lint.findings import Finding
from proxyguard.tools.lint.view import PolicyView

TELL_ROBOTS: Final = frozenset(
    {
        "bot", "user_agent", "robots_group", "identity", "claimed_identity", "verified", "client_kind", "claimed_kind",
        "contradiction", "tag", "class",
    }
)  # fmt: skip
"""Fields by which a rule can be about robots alone."""


def robots(view: PolicyView) -> Iterator[Finding]:
    """PG034."""
    for item in view.live:
        kinds = {test.field.kind for test in tests_of(item.rule.when)}
        if "robots" in kinds and refuses(item.rule.action) and kinds.isdisjoint(TELL_ROBOTS):
            message = f"'{item.rule.name}' also refuses people, whom robots.txt is not for"
            yield item.finding("PG034", message, "say whom it is about: bot: [ai-training, ai-search, seo]")
