"""A rule file from text to the model: rule set, rules, and every problem with its place.

Strict: unknown, duplicate and misspelt keys, wrong types and rules that could do harm by accident are all problems, and one
run reports all of them. Knows nothing of directories (`load`) or of how rules are evaluated.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.problems import Problem, Report
from proxyguard.core.yaml.nodes import Mapping, Node, read_yaml
from proxyguard.core.yaml.values import complain, read_keys, read_mapping, read_name, read_prose
from proxyguard.policy.model import AccountSource, ClientClass, Restriction, RuleSet, RuleTest
from proxyguard.policy.parse.classes import read_account, read_classes
from proxyguard.policy.parse.conditions import ConditionReader
from proxyguard.policy.parse.lists import ListFiles, Lists
from proxyguard.policy.parse.modes import read_mode
from proxyguard.policy.parse.names import check_names
from proxyguard.policy.parse.parsed_file import ParsedFile
from proxyguard.policy.parse.restrictions import Surroundings, read_restrictions
from proxyguard.policy.parse.rules import MAX_PROSE_CHARACTERS, RuleReader
from proxyguard.policy.parse.tests import TestReader

FILE_KEYS: Final = ("name", "description", "mode", "lists", "account", "classes", "rules", "restrictions", "tests")

_MEANT_FILE: Final = {
    **dict.fromkeys(("rule", "ruleset", "rule_set", "policies", "policy"), "did you mean 'rules'?"),
    **dict.fromkeys(("list", "sets", "groups"), "did you mean 'lists'?"),
    **dict.fromkeys(("class", "tiers", "tier"), "did you mean 'classes'?"),
    **dict.fromkeys(("restriction", "temporary", "quotas"), "did you mean 'restrictions'?"),
    **dict.fromkeys(("accounts", "session"), "did you mean 'account'?"),
    **dict.fromkeys(("version", "apiversion", "kind"), "leave it out: a rule file needs no version"),
    **dict.fromkeys(("when", "action", "limit"), "it belongs to a rule, below rules:"),
    **dict.fromkeys(("expires",), "it belongs to a rule: each rule ends by itself"),
}


def parse_rule_set(
    text: str | bytes, file: str = "rules.yaml", list_files: ListFiles | None = None
) -> tuple[RuleSet | None, tuple[Problem, ...]]:
    """Read one rule file. The rule set is None exactly when there are problems.

    Without `list_files`, lists can only be inline. Tests may name rules of other files; `load_policy` looks at those.
    """
    parsed = parse_file(text, file, list_files)
    check_names([parsed], whole=False)
    problems = parsed.report.finished() + (list_files.problems if list_files else ())
    return (None if problems else parsed.rule_set), problems


def parse_file(text: str | bytes, file: str, list_files: ListFiles | None) -> ParsedFile:
    """Read one rule file, without comparing its names with each other or those of other files."""
    report = Report(file)
    parsed = ParsedFile(report)
    root = read_yaml(text, report)
    if root is None:
        parsed.readable = False
        return parsed
    mapping = read_mapping(root, report, "a rule file", "it begins with name: and rules:")
    if mapping is not None:
        _FileReader(parsed, list_files).read(mapping)
    return parsed


class _FileReader:
    """Reads the parts of one rule file."""

    def __init__(self, parsed: ParsedFile, list_files: ListFiles | None) -> None:
        self._parsed = parsed
        self._report = parsed.report
        self._lists = Lists(parsed.report, list_files)
        self._conditions = ConditionReader(
            parsed.report, self._lists, class_uses=parsed.class_uses, account_uses=parsed.account_uses
        )

    def read(self, mapping: Mapping) -> None:
        report, parsed = self._report, self._parsed
        values = read_keys(mapping, FILE_KEYS, report, "a rule file", _MEANT_FILE)
        name = None
        if "name" in values:
            name = read_name(values["name"], report, "the rule set")
            if name is not None:
                parsed.name = (name, values["name"].line, values["name"].column)
        else:
            complain(report, mapping, "the rule set has no name", "name: scripted-clients")
        description = self._description(values)
        mode = read_mode(values, report)
        if "lists" in values:
            self._lists.define(values["lists"])
        account = self._account(values["account"]) if "account" in values else None
        classes = self._classes(values["classes"]) if "classes" in values else ()
        rules = RuleReader(parsed, self._conditions).read(values["rules"]) if "rules" in values else ()
        restrictions = self._restrictions(values["restrictions"]) if "restrictions" in values else ()
        tests: tuple[RuleTest, ...] = ()
        if "tests" in values:
            reader = TestReader(report)
            tests = reader.read(values["tests"])
            parsed.expected_rules = reader.expected_rules
            parsed.expected_restrictions = reader.expected_restrictions
        elif not {"rules", "restrictions", "account", "classes"} & values.keys():
            complain(report, mapping, "the file has neither rules nor tests", "rules: [{name: …, when: …, action: …}]")
        if name is not None and mode is not None and not report.problems:
            parsed.rule_set = RuleSet(
                name=name,
                file=report.file,
                description=description or "",
                mode=mode,
                rules=rules,
                tests=tests,
                account=account,
                classes=classes,
                restrictions=restrictions,
            )

    def _description(self, values: dict[str, Node]) -> str | None:
        if "description" not in values:
            return ""
        return read_prose(values["description"], self._report, "description", MAX_PROSE_CHARACTERS)

    def _restrictions(self, node: Node) -> tuple[Restriction, ...]:
        parsed, report = self._parsed, self._report
        around = Surroundings(
            self._conditions.read,
            lambda values: read_mode(values, report),
            parsed.class_uses,
            parsed.account_uses,
            parsed.restriction_names,
            parsed.rule_names,
        )
        return read_restrictions(node, report, around)

    def _account(self, node: Node) -> AccountSource | None:
        self._parsed.account = (node.line, node.column)
        return read_account(node, self._report)

    def _classes(self, node: Node) -> tuple[ClientClass, ...]:
        return read_classes(node, self._report, self._conditions.read, self._parsed.classes) or ()
