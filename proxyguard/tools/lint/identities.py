"""Identities that nobody can have: PG005. Knows those that come with proxyguard, and how the host of a key directory is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxyguard.core.problems import nearest, quoted
from proxyguard.policy.bots.identities import identity_rows
from proxyguard.policy.compile.normal_form import leaves
from proxyguard.policy.model import Text
from proxyguard.tools.lint.findings import Finding
from proxyguard.tools.lint.view import PolicyView
from proxyguard.tools.lint.words import text_of

_FIELDS: Final = frozenset({"identity", "claimed_identity"})

_VERY_LIKE: Final = 0.85
"""How alike a name with hyphens must be to one that is known: it may be a host of `identity.directories`, `chatgpt-com`."""


def identities(view: PolicyView) -> Iterator[Finding]:
    """PG005, in conditions and in the requests of tests."""
    for item in view.live:
        for leaf in leaves(item.when):
            matcher = leaf.test.matcher
            if leaf.test.field.kind not in _FIELDS or not isinstance(matcher, Text):
                continue
            for name in filter(_is_unknown, map(text_of, matcher.texts)):
                message = f"the rule '{item.rule.name}' asks for the {leaf.test.field} {quoted(name)}, which nobody can have"
                yield item.finding("PG005", message, _hint(name), place=item.source.find_text(item.rule, [name]))
    for step in (step for rule_set in view.policy.rule_sets for test in rule_set.tests for step in test.steps):
        origin = step.request.origin
        claim = None if origin is None else origin.identity or origin.claim
        if claim is not None and _is_unknown(claim):
            message = f"the request of the test has the identity {quoted(claim)}, which nobody can have"
            yield Finding(step.place, "PG005", message, _hint(claim))


def _is_unknown(name: str) -> bool:
    known = identity_rows()
    return name not in known and ("-" not in name or nearest(name, known, _VERY_LIKE) is not None)


def _hint(name: str) -> str:
    near = nearest(name, identity_rows())
    known = "" if near is None else f"did you mean {quoted(near)}? "
    return f"{known}The bots that can prove who they are: docs/guide/identity.md; proxyguard whois shows their names"
