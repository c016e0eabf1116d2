"""The `rules:` of a rule file: each rule from its node to the model, and rules that are well formed and yet cannot be meant."""

from __future__ import annotations

from typing import Final

from proxyguard.core.decision import ACTION_NAMES, Action, Allow, Ban, Delay, Drop, Pass, Reject, Tarpit
from proxyguard.core.problems import quoted
from proxyguard.core.yaml.nodes import Mapping, Node
from proxyguard.core.yaml.values import complain, read_keys, read_mapping, read_name, read_prose, read_sequence
from proxyguard.limits.limit import KeyKind, Limit
from proxyguard.policy.model import ALWAYS, Condition, FieldKind, Place, Rule
from proxyguard.policy.parse.actions import read_action
from proxyguard.policy.parse.classes import looks_at
from proxyguard.policy.parse.conditions import ConditionReader
from proxyguard.policy.parse.limits import read_limit
from proxyguard.policy.parse.modes import read_mode
from proxyguard.policy.parse.names import RESERVED, listed_reserved
from proxyguard.policy.parse.parsed_file import ParsedFile
from proxyguard.policy.parse.times import read_expiry

MAX_RULES: Final = 50_000
"""In one file, and in a whole policy. Ten times the largest rule sets in the field; loads in some ten seconds."""

MAX_PROSE_CHARACTERS: Final = 1000

RULE_KEYS: Final = ("name", "why", "when", "limit", "action", "mode", "expires")

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

_SHARED_KEYS: Final = {KeyKind.SITE, KeyKind.HOST, KeyKind.PATH}
"""Parts of a key that all clients have in common."""


class RuleReader:
    """Reads the rules of one file. Names go into the parsed file even when the rest of their rule is faulty."""

    def __init__(self, parsed: ParsedFile, conditions: ConditionReader) -> None:
        self._parsed = parsed
        self._report = parsed.report
        self._conditions = conditions

    def read(self, node: Node) -> tuple[Rule, ...]:
        """The rules of a file without a fault, those with one reported."""
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
        why = read_prose(values["why"], report, "why", MAX_PROSE_CHARACTERS) if "why" in values else ""
        when: Condition | None = ALWAYS
        if "when" in values:
            when = self._conditions.read(values["when"], "when")
        limit = read_limit(values["limit"], report) if "limit" in values else None
        if limit is not None and any(part.kind == KeyKind.ACCOUNT for part in (*limit.per, limit.count.of) if part):
            self._parsed.account_uses.append(("per: account", values["limit"].line, values["limit"].column))
        action = read_action(values["action"], report) if "action" in values else None
        if "action" not in values:
            complain(report, mapping, _of_rule("has no action", name), "action: reject")
        mode = read_mode(values, report)
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


def _of_rule(fault: str, name: str | None) -> str:
    return f"the rule {quoted(name)} {fault}" if name else f"the rule {fault}"
