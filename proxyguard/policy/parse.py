"""A rule file from text to the model: rule set, rules, and every problem with its place.

Strict: unknown, duplicate and misspelt keys, wrong types and rules that could do harm by accident are all problems, and one
run reports all of them. Knows nothing of directories (`load`) or of how rules are evaluated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from proxyguard.decision import (
    ACTION_NAMES,
    DEFAULT_RULE,
    FAILURE_RULE,
    STORE_RULE,
    Action,
    Allow,
    Ban,
    Delay,
    Drop,
    Mode,
    Pass,
    Reject,
    Tarpit,
)  # fmt: skip
from proxyguard.limits.limit import KeyKind, Limit
from proxyguard.policy.model import (
    ALWAYS,
    ANONYMOUS,
    AccountSource,
    ClientClass,
    Condition,
    FieldKind,
    Place,
    Rule,
    RuleSet,
    RuleTest,
)  # fmt: skip
from proxyguard.policy.parse_actions import read_action
from proxyguard.policy.parse_classes import looks_at, read_account, read_classes
from proxyguard.policy.parse_conditions import ConditionReader
from proxyguard.policy.parse_limits import read_limit
from proxyguard.policy.parse_lists import ListFiles, Lists
from proxyguard.policy.parse_restrictions import Surroundings, read_restrictions
from proxyguard.policy.parse_tests import TestReader
from proxyguard.policy.parse_times import read_expiry
from proxyguard.policy.restriction import SUSPECTED, Restriction
from proxyguard.problems import Problem, Report, name_hint, quoted
from proxyguard.yaml_nodes import Mapping, Node, read_yaml
from proxyguard.yaml_values import (
    complain,
    read_choice,
    read_keys,
    read_mapping,
    read_name,
    read_prose,
    read_sequence,
)

MAX_RULES: Final = 50_000
"""In one file, and in a whole policy. Ten times the largest rule sets in the field; loads in some ten seconds."""

MAX_PROSE_CHARACTERS: Final = 1000

FILE_KEYS: Final = ("name", "description", "mode", "lists", "account", "classes", "rules", "restrictions", "tests")
RULE_KEYS: Final = ("name", "why", "when", "limit", "action", "mode", "expires")

RESERVED: Final = (DEFAULT_RULE, FAILURE_RULE, STORE_RULE)
"""Names of decisions that no rule makes."""

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

_MEANT_RULE: Final = {
    **dict.fromkeys(("if", "condition", "conditions", "match", "where", "on", "filter"), "did you mean 'when'?"),
    **dict.fromkeys(("then", "do", "actions", "decision", "verdict"), "did you mean 'action'?"),
    **dict.fromkeys(
        ("rate", "rate_limit", "ratelimit", "throttle", "burst", "per"), "did you mean limit: {rate: 10/minute}?"
    ),
    **dict.fromkeys(("description", "reason", "comment", "note"), "did you mean 'why'?"),
    **dict.fromkeys(("until", "end", "ends", "expiry", "ttl"), "did you mean 'expires'?"),
    **dict.fromkeys(("id", "title"), "did you mean 'name'?"),
    **dict.fromkeys(("enabled", "disabled", "active", "shadow"), "did you mean 'mode'? enforce, shadow or off"),
    **dict.fromkeys(
        ("path", "client", "user_agent", "header", "host", "method", "query", "cookie"), "fields go below when:"
    ),
    **dict.fromkeys(("reject", "tarpit", "ban", "delay", "score", "tag", "allow", "drop"), "actions go below action:"),
    **dict.fromkeys(("tests", "test", "expect"), "tests go below tests:, beside rules:"),
}

MEANT_MODE: Final = {
    **dict.fromkeys(("on", "enabled", "active", "true", "yes", "live", "block"), "did you mean 'enforce'?"),
    **dict.fromkeys(("dry_run", "log", "monitor", "report", "observe", "test", "count"), "did you mean 'shadow'?"),
    **dict.fromkeys(("disabled", "false", "no", "none", "inactive"), "did you mean 'off'?"),
}


@dataclass(slots=True)
class ParsedFile:
    """One rule file as far as it could be read. Names are kept even when the rest of their rule is faulty."""

    report: Report
    rule_set: RuleSet | None = None
    readable: bool = True
    """Whether it was YAML at all."""
    name: tuple[str, int, int] | None = None
    rule_names: list[tuple[str, int, int]] = field(default_factory=list)
    expected_rules: list[tuple[str, int, int]] = field(default_factory=list)
    account: tuple[int, int] | None = None
    """Where it says how accounts are known."""
    account_uses: list[tuple[str, int, int]] = field(default_factory=list)
    classes: dict[str, tuple[int, int]] = field(default_factory=dict)
    class_uses: list[tuple[str, int, int]] = field(default_factory=list)
    restriction_names: list[tuple[str, int, int]] = field(default_factory=list)
    expected_restrictions: list[tuple[str, int, int]] = field(default_factory=list)


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


def check_names(files: Iterable[ParsedFile], *, whole: bool) -> None:
    """Report names that are taken, and, when `whole`, tests that expect a rule which is nowhere."""
    rule_sets: dict[str, str] = {}
    rules: dict[str, str] = {}
    restrictions: dict[str, str] = {}
    every = list(files)
    for parsed in every:
        report = parsed.report
        if parsed.name is not None:
            _claim(parsed.name, "rule set", rule_sets, report)
        for rule_name in parsed.rule_names:
            _claim(rule_name, "rule", rules, report)
        for restriction_name in parsed.restriction_names:
            _claim(restriction_name, "restriction", restrictions, report)
    check_only_once(every)
    if not whole or not all(parsed.readable for parsed in every):
        return
    check_classes(every)
    _check_during(every, sorted(restrictions))
    known = {*rules, *RESERVED, *_shedding(every, restrictions)}
    for parsed in every:
        for name, line, column in parsed.expected_rules:
            if name not in known:
                hint = name_hint(name, sorted(known), "rules")
                parsed.report.add(line, column, f"the test expects the rule {quoted(name)}, which is in no file", hint)


def check_only_once(files: list[ParsedFile]) -> None:
    """Report what may be said once in a policy and is said again."""
    first: dict[str, str] = {}
    for parsed in files:
        report = parsed.report
        places = {"account": parsed.account, "classes": next(iter(parsed.classes.values()), None)}
        for noun, place in places.items():
            if place is None:
                continue
            told = first.setdefault(noun, f"{report.file}:{place[0]}")
            if told != f"{report.file}:{place[0]}":
                report.add(*place, f"{noun} is already said in {told}", "all files share it: say it once")


def _shedding(files: list[ParsedFile], restrictions: Iterable[str]) -> set[str]:
    """What the rules of restrictions that shed load can be called: by the classes that any file defines."""
    steps = (SUSPECTED, ANONYMOUS, *(name for parsed in files for name in parsed.classes))
    return {f"{name}-{step}" for name in restrictions for step in steps}


def _check_during(files: list[ParsedFile], known: list[str]) -> None:
    """Report tests that take place during a restriction which no file defines."""
    for parsed in files:
        for name, line, column in parsed.expected_restrictions:
            if name not in known:
                hint = name_hint(name, known, "restrictions") if known else "no file defines restrictions"
                parsed.report.add(line, column, f"there is no restriction {quoted(name)}", hint)


def check_classes(files: list[ParsedFile]) -> None:
    """Report classes that no file defines, and accounts that no file says how to know."""
    defined = {name for parsed in files for name in parsed.classes}
    known = sorted({*defined, ANONYMOUS})
    has_account = any(parsed.account for parsed in files)
    for parsed in files:
        for name, line, column in parsed.class_uses:
            if name not in known:
                hint = name_hint(name, known, "classes") if defined else "no file defines classes: {name, when}"
                parsed.report.add(line, column, f"there is no class {quoted(name)}", hint)
        for name, line, column in parsed.account_uses if not has_account else ():
            hint = "account: {key: cookie.session, class_header: x-account-class}, once in any file"
            parsed.report.add(line, column, f"{name} needs to know accounts, and no file says how", hint)


def _claim(name: tuple[str, int, int], noun: str, taken: dict[str, str], report: Report) -> None:
    text, line, column = name
    first = taken.setdefault(text, f"{report.file}:{line}")
    if first != f"{report.file}:{line}":
        hint = "metrics and records tell rules apart by name: choose another"
        report.add(line, column, f"the {noun} {quoted(text)} is already in {first}", hint)


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
        description = _prose(values, "description", report)
        mode = _mode(values, report)
        if "lists" in values:
            self._lists.define(values["lists"])
        account = self._account(values["account"]) if "account" in values else None
        classes = self._classes(values["classes"]) if "classes" in values else ()
        rules = self._rules(values["rules"]) if "rules" in values else ()
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

    def _restrictions(self, node: Node) -> tuple[Restriction, ...]:
        parsed, report = self._parsed, self._report
        around = Surroundings(
            self._conditions.read,
            lambda values: _mode(values, report),
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

    def _rules(self, node: Node) -> tuple[Rule, ...]:
        sequence = read_sequence(node, self._report, "rules", "each rule begins with - name:")
        if sequence is None:
            return ()
        if len(sequence.items) > MAX_RULES:
            message = f"the file has {len(sequence.items)} rules"
            complain(self._report, node, message, f"at most {MAX_RULES}; put addresses and words into lists")
            return ()
        rules = (self._rule(item) for item in sequence.items)
        return tuple(rule for rule in rules if rule is not None)

    def _rule(self, node: Node) -> Rule | None:
        report = self._report
        mapping = read_mapping(node, report, "a rule", "{name: …, when: …, action: …}")
        if mapping is None:
            return None
        before = len(report.problems)
        values = read_keys(mapping, RULE_KEYS, report, "a rule", _MEANT_RULE)
        name = self._rule_name(mapping, values)
        why = _prose(values, "why", report)
        when: Condition | None = ALWAYS
        if "when" in values:
            when = self._conditions.read(values["when"], "when")
        limit = read_limit(values["limit"], report) if "limit" in values else None
        if limit is not None and any(part.kind is KeyKind.ACCOUNT for part in (*limit.per, limit.count.of) if part):
            self._parsed.account_uses.append(("per: account", values["limit"].line, values["limit"].column))
        action = read_action(values["action"], report) if "action" in values else None
        if "action" not in values:
            complain(report, mapping, _of_rule("has no action", name), "action: reject")
        mode = _mode(values, report)
        expires = read_expiry(values["expires"], report) if "expires" in values else None
        if len(report.problems) > before or name is None or when is None or action is None or mode is None:
            return None
        self._check_sense(mapping, values, action, when, limit)
        place = Place(report.file, mapping.line, mapping.column)
        return Rule(
            name=name, action=action, when=when, limit=limit, mode=mode, why=why or "", expires=expires, place=place
        )

    def _rule_name(self, mapping: Mapping, values: dict[str, Node]) -> str | None:
        if "name" not in values:
            complain(self._report, mapping, "the rule has no name", "name: sign-up-flood; it becomes a metric label")
            return None
        node = values["name"]
        name = read_name(node, self._report, "the rule")
        if name in RESERVED:
            hint = f"{listed_reserved()} name decisions that no rule makes"
            complain(self._report, node, f"the rule name {quoted(name)} is taken", hint)
            return None
        if name is not None:
            self._parsed.rule_names.append((name, node.line, node.column))
        return name

    def _check_sense(
        self, mapping: Mapping, values: dict[str, Node], action: Action, when: Condition, limit: Limit | None
    ) -> None:
        """Report what is well formed and yet cannot be meant."""
        report = self._report
        word = ACTION_NAMES[type(action)]
        if limit is not None and isinstance(action, Allow | Pass):
            hint = "a rule with a limit applies when the limit is exceeded: use reject, tarpit, delay, ban or score"
            complain(report, values["limit"], f"{word} cannot have a limit", hint)
        if isinstance(action, Ban) and limit is not None and {part.kind for part in limit.per} <= _SHARED_KEYS:
            hint = "a ban is for the key of the limit: add client, network, a header or a cookie to per"
            complain(report, values["limit"], "the ban would be for everybody", hint)
        if isinstance(action, Allow) and looks_at(when, (FieldKind.CLASS,)):
            hint = (
                "say what makes the class, such as account: present; or use pass, which keeps its place among the rules"
            )
            complain(report, values["when"], "allow rules are looked at before the class is known", hint)
        if isinstance(action, Allow) and looks_at(when, (FieldKind.SCORE, FieldKind.TAG)):
            hint = "use pass, which keeps its place among the rules"
            complain(report, values["when"], "allow rules are looked at before there is any score or tag", hint)
        if "when" in values or limit is not None:
            return
        if isinstance(action, Allow):
            hint = "write mode: off for the whole rule set, or say when"
            complain(report, mapping, "the rule would allow every request and switch all others off", hint)
        elif isinstance(action, Reject | Tarpit | Drop | Ban | Delay):
            hint = "say when, or give it a limit; to close the site on purpose: when: {path: {prefix: /}}"
            complain(report, mapping, f"the rule would {word} every request", hint)


_SHARED_KEYS: Final = {KeyKind.SITE, KeyKind.HOST, KeyKind.PATH}
"""Parts of a key that all clients have in common."""


def _of_rule(fault: str, name: str | None) -> str:
    return f"the rule {quoted(name)} {fault}" if name else f"the rule {fault}"


def listed_reserved() -> str:
    """The reserved names, for a hint."""
    *others, last = (quoted(name) for name in RESERVED)
    return f"{', '.join(others)} and {last}"


def _prose(values: dict[str, Node], key: str, report: Report) -> str | None:
    return read_prose(values[key], report, key, MAX_PROSE_CHARACTERS) if key in values else ""


def _mode(values: dict[str, Node], report: Report) -> Mode | None:
    if "mode" not in values:
        return Mode.ENFORCE
    word = read_choice(values["mode"], report, "mode", tuple(Mode), MEANT_MODE)
    return None if word is None else Mode(word)
