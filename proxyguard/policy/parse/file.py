"""A rule file from text to the model: rule set, rules, and every problem with its place.

Strict: unknown, duplicate and misspelt keys, wrong types and rules that could do harm by accident are all problems, and one
run reports all of them. Knows nothing of directories (`load`) or of how rules are evaluated.
"""

from __future__ import annotations

from typing import Any, Final

from proxyguard.core.problems import Fault, Problem, Report
from proxyguard.core.yaml.kinds import KEBAB, Key, KeyTable, Kind, prose
from proxyguard.core.yaml.nodes import Node, read_as_far_as_possible
from proxyguard.core.yaml.values import complain, read_name, report_fault
from proxyguard.policy.meant import meant
from proxyguard.policy.model import RuleSet
from proxyguard.policy.parse.classes import ACCOUNT_KIND, CLASSES
from proxyguard.policy.parse.conditions import ConditionReader
from proxyguard.policy.parse.forms import FORMS
from proxyguard.policy.parse.items import ITEMS
from proxyguard.policy.parse.lists import LISTS, ListFiles, Lists
from proxyguard.policy.parse.modes import MODE
from proxyguard.policy.parse.names import check_names
from proxyguard.policy.parse.overrides import IMPORT_KIND, OVERRIDE_KIND
from proxyguard.policy.parse.parsed_file import ParsedFile, Surroundings
from proxyguard.policy.parse.restrictions import RESTRICTIONS
from proxyguard.policy.parse.rules import MAX_PROSE_CHARACTERS, RULES
from proxyguard.policy.parse.tests import TESTS


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
    root = read_as_far_as_possible(text, report)
    parsed.readable = root is not None and not report.is_partial
    if root is None:
        return parsed
    lists = Lists(report, list_files)
    conditions = ConditionReader(parsed, lists)
    try:
        found = FILE.read(root, report, Surroundings(parsed, lists.define, conditions.read))
    except Fault as fault:
        report_fault(report, root, fault)
        return parsed
    is_nameless = "name" not in found.nodes and bool(
        found.nodes.keys() & {*CONTENT, "lists", "mode"} or not found.nodes.keys() & {*BY_REFERENCE}
    )
    if is_nameless and not report.is_partial:
        complain(report, root, "the rule set has no name", "name: scripted-clients")
    if not found.nodes.keys() & {*CONTENT, *BY_REFERENCE} and not report.is_partial:
        complain(report, root, "the file has neither rules nor tests", "rules: [{name: …, when: …, action: …}]")
    if found.is_sound and not report.count and "name" in found.nodes:
        parsed.rule_set = RuleSet(**found.attributes(file=file))
    return parsed


def _name(node: Node, _report: Report, subject: str, around: Any) -> str:
    name = read_name(node, subject)
    around.parsed.name = (name, node.line, node.column)
    return name


CONTENT: Final = ("rules", "restrictions", "tests", "account", "classes", "items", "form_guard")
"""A file has at least one of these, and a name; or it imports or overrides."""

BY_REFERENCE: Final = ("import", "override")

FILE: Final = KeyTable(
    subject="a rule file",
    example="it begins with name: and rules:",
    meant=meant("file"),
    keys={
        "name": Key(Kind(_name, "name", KEBAB.schema),
            "The name of the rule set: lower-case letters, digits and hyphens.",
            examples=("scripted-clients",), subject="the rule set"),
        "description": Key(prose(MAX_PROSE_CHARACTERS), "What the rule set is for, for those who read it next.",
            examples=("Library user agents do not read pages; they have the API host.",)),
        "import": Key(IMPORT_KIND,
            "Rule sets that come with proxyguard: `bundled/10-ai-crawlers`, or `bundled` for all. They come before this file.",
            examples=("bundled", ["bundled/10-ai-crawlers", "bundled/30-scanners"]), attribute=None),
        "override": Key(OVERRIDE_KIND,
            "What is different about imported rules, by name: `mode`, `limit`, `action`, `expires`.",
            examples=({"http-libraries": {"mode": "shadow"}},), attribute=None),
        "mode": Key(MODE,
            "The most that any rule of this file may do: `enforce`, `shadow` (record, never act) or `off`."),
        "lists": Key(LISTS,
            "Lists of addresses or texts, used as `$name`: inline, or `{file: lists/NAME.txt}` with one entry a line.",
            examples=({"offices": ["192.0.2.10", "2001:db8:7::/48"]}, {"names": {"file": "lists/names.txt"}}),
            attribute=None),
        "account": Key(ACCOUNT_KIND,
            "How the site says whose session it is: by a response header, remembered for a cookie or header."),
        "classes": Key(CLASSES,
            "Classes of clients; a request is of the first whose condition holds, else `anonymous`. In one file only."),
        "items": Key(ITEMS,
            "What an item of the site is, by kind: which pages disclose one, and what of the request says which.",
            examples=({"profiles": {"path": "/profiles/*", "id": "path_segment.2"}},)),
        "form_guard": Key(FORMS,
            "Forms whose posts must bring a token that reading them gave; rules look at it as `form`.",
            examples=({"sign-up": {"read": "/signup", "post": "/signup"}},), attribute="forms"),
        "rules": Key(RULES, "The rules, in order."),
        "restrictions": Key(RESTRICTIONS, "Temporary restrictions by class. Each says why, and must end."),
        "tests": Key(TESTS, "Requests and what must be decided about them; run whenever the file is loaded."),
    },
)  # fmt: skip
