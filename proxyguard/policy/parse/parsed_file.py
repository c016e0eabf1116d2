"""What the reader found in one rule file, as far as it could be read, and the names in it that other files may take or want."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxyguard.core.problems import Report
from proxyguard.policy.model import RuleSet

type Mention = tuple[str, int, int]
"""A name, with the line and column where it stands."""


@dataclass(slots=True)
class ParsedFile:
    """Names are kept even when the rest of their rule is faulty."""

    report: Report
    rule_set: RuleSet | None = None
    readable: bool = True
    """Whether it was YAML at all."""
    name: Mention | None = None
    rule_names: list[Mention] = field(default_factory=list)
    expected_rules: list[Mention] = field(default_factory=list)
    account: tuple[int, int] | None = None
    """Where it says how accounts are known."""
    account_uses: list[Mention] = field(default_factory=list)
    classes: dict[str, tuple[int, int]] = field(default_factory=dict)
    class_uses: list[Mention] = field(default_factory=list)
    restriction_names: list[Mention] = field(default_factory=list)
    expected_restrictions: list[Mention] = field(default_factory=list)
