"""What the lints look at: every rule with its mode, its condition in normal form and its source, in the order of evaluation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from proxyguard.core.decision import Allow, Mode, weakest
from proxyguard.core.reading import STRICT, SiteReading
from proxyguard.policy.actions.registry import kind_of
from proxyguard.policy.bundled import is_bundled
from proxyguard.policy.compile.normal_form import Node
from proxyguard.policy.model import Place, Policy, Rule, RuleSet
from proxyguard.tools.lint.findings import Edit, Finding
from proxyguard.tools.lint.logic import normal
from proxyguard.tools.lint.source import SourceFile


@dataclass
class RuleView:
    rule: Rule
    rule_set: RuleSet
    source: SourceFile
    """The file where an operator changes it: its own, or that of the override."""
    mode: Mode

    @cached_property
    def when(self) -> Node:
        return normal(self.rule.when)

    @property
    def refuses(self) -> bool:
        return kind_of(self.rule.action).refuses

    @property
    def is_terminal(self) -> bool:
        return kind_of(self.rule.action).is_terminal

    @property
    def allows(self) -> bool:
        return isinstance(self.rule.action, Allow)

    def finding(
        self, code: str, message: str, hint: str = "", *, place: Place | None = None, edits: tuple[Edit, ...] = ()
    ) -> Finding:
        """A finding about this rule, at its place unless another is given."""
        at = place or self.rule.place
        also = (self.rule.place.line,) if at.file == self.rule.place.file else ()
        return Finding(at, code, message, hint, also, edits, rule=self.rule.name)


@dataclass
class PolicyView:
    """A policy, its sources, and the time (Unix seconds)."""

    policy: Policy
    sources: dict[str, SourceFile]
    now: float
    reading: SiteReading = STRICT
    """How the site reads paths."""

    @cached_property
    def every(self) -> list[RuleView]:
        """All rules that an operator wrote or imported, in file order, those that are off included.

        An imported one that is overridden has the place of its override.
        """
        overrides = dict(self.policy.overrides)
        return [
            self._view(rule, rule_set, overrides.get(rule.name) if is_bundled(rule_set.file) else None)
            for rule_set in self.policy.rule_sets
            if not rule_set.common
            for rule in rule_set.rules
        ]

    def _view(self, rule: Rule, rule_set: RuleSet, override: Place | None) -> RuleView:
        seen = rule if override is None else replace(rule, place=override)
        return RuleView(seen, rule_set, self.sources[seen.place.file or rule_set.file], weakest(rule.mode, rule_set.mode))

    @cached_property
    def live(self) -> list[RuleView]:
        """Rules that are looked at now, in the order in which they are: allow rules first."""
        live = [view for view in self.every if view.mode is not Mode.OFF and not self.is_expired(view.rule)]
        return sorted(live, key=lambda view: not view.allows)

    def is_expired(self, rule: Rule) -> bool:
        return rule.expires is not None and self.now >= rule.expires
