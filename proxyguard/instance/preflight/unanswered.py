"""What rules ask about addresses and no table of the settings can answer, for `check --config` and the log of a start."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import Mode
from proxyguard.core.origin import NetworkKind
from proxyguard.core.origin_settings import OriginTables
from proxyguard.core.problems import Problem
from proxyguard.guard.origin.origin_data import table_paths
from proxyguard.policy.bundled import bundled_rule_sets
from proxyguard.policy.compile.compile import asked_about
from proxyguard.policy.fields.origin import ASN, COUNTRY, NETWORK_KIND
from proxyguard.policy.model import Policy, Rule, Text, tests_of

_KNOWN_BY_LISTS: Final = (NetworkKind.HOSTING.encode(),)
"""The kind of network that the bundled lists know."""


def unanswered(policy: Policy, tables: OriginTables) -> list[Problem]:
    """One problem for each field that no table answers, at the first rule that asks for it. Bundled rules do without."""
    bundled = bundled_rule_sets()
    own = [each for each in policy.rule_sets if each.name not in bundled]
    acting = [rule for each in own for rule in each.rules if each.mode_of(rule, Mode.ENFORCE) is not Mode.OFF]
    country, asn = table_paths(tables)
    found = []
    for kind, what, name, path in (
        (COUNTRY.kind, "countries", "country", country),
        (ASN.kind, "autonomous systems", "asn", asn),
        (NETWORK_KIND.kind, "autonomous systems", "asn", asn),
    ):
        asking = [rule for rule in acting if _asks(rule, kind)]
        if path is None and asking:
            found.append(_problem(asking, kind, what, name))
    return found


def _asks(rule: Rule, kind: str) -> bool:
    if kind not in asked_about(rule):
        return False
    of_kind = [test.matcher for test in tests_of(rule.when) if test.field.kind == kind]
    by_lists = kind == NETWORK_KIND.kind and of_kind and rule.limit is None
    return not (by_lists and all(isinstance(each, Text) and each.texts == _KNOWN_BY_LISTS for each in of_kind))


def _problem(asking: list[Rule], kind: str, what: str, name: str) -> Problem:
    first, others = asking[0], len(asking) - 1
    who = f"'{first.name}'" if not others else f"'{first.name}' and {others} other{'' if others == 1 else 's'}"
    never = "hosting alone is known" if kind == NETWORK_KIND.kind else "it is never known"
    message = f"{who} ask{'' if others else 's'} for {kind}, and {never}: there is no table of {what}"
    hint = f"set origin.{name}_file; or origin.directory, and: proxyguard lists update {name} --from FILE"
    return Problem(first.place.file, first.place.line, first.place.column, message, hint)
