"""The `rules:` of a rule file: each rule from its node to the model, and rules that are well formed and yet cannot be meant."""

from __future__ import annotations

from typing import Any, Final

from proxyguard.core.decision import Action, Allow, Ban, Maze, Prove
from proxyguard.core.jar import ASKED, NONE, OLD, PROVEN
from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.units import duration_text
from proxyguard.core.yaml.kinds import KEBAB, TRUTH, Found, Key, KeyTable, Kind, listed_in, made, prose
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_name
from proxyguard.limits.limit import CountKind, KeyKind, Limit
from proxyguard.policy.actions.kind import Effect
from proxyguard.policy.actions.registry import ACTION, kind_of
from proxyguard.policy.meant import meant
from proxyguard.policy.model import (
    ALWAYS,
    Absent,
    AllOf,
    AnyOf,
    Condition,
    Field,
    FieldKind,
    Not,
    Present,
    Rule,
    Test,
    Text,
    TextKind,
)
from proxyguard.policy.parse.classes import looks_at
from proxyguard.policy.parse.limits import read_limit
from proxyguard.policy.parse.modes import MODE
from proxyguard.policy.parse.names import RESERVED, listed_reserved
from proxyguard.policy.parse.parsed_file import CONDITION, place_of
from proxyguard.policy.parse.times import MOMENT

MAX_RULES: Final = 50_000
"""In one file, and in a whole policy. Ten times the largest rule sets in the field; loads in some ten seconds."""

MAX_PROSE_CHARACTERS: Final = 1000


_TO_PROVE: Final = (
    Test(Field(FieldKind.METHOD), Text(TextKind.EQUAL, (b"GET",))),
    Test(Field(KeyKind.JAR), Text(TextKind.EQUAL, (NONE,))),
    Not(Test(Field(KeyKind.JAR), Text(TextKind.EQUAL, (ASKED,)))),
    Test(Field(FieldKind.HEADER, "authorization"), Absent()),
)
"""Who can be sent for a cookie jar: who has none, once, never with a body to lose, and never with credentials of its own."""

_SIGNED_OUT: Final = Test(Field(FieldKind.ACCOUNT), Absent())
_JAR_UNPROVEN: Final = Not(Test(Field(KeyKind.JAR), Text(TextKind.EQUAL, (PROVEN, OLD))))

_TO_BE_LOST: Final = (
    Test(Field(FieldKind.METHOD), Text(TextKind.EQUAL, (b"GET", b"HEAD"))),
    Not(Test(Field(FieldKind.PATH), Text(TextKind.EQUAL, (b"/robots.txt",)))),
    Test(Field(FieldKind.HEADER, "authorization"), Absent()),
    _SIGNED_OUT,
    _JAR_UNPROVEN,
    AnyOf(
        (
            Test(Field("verified"), Text(TextKind.EQUAL, (b"false",))),
            AllOf(
                (
                    Test(Field("claimed_identity"), Absent()),
                    Not(Test(Field("verified"), Text(TextKind.EQUAL, (b"true",)))),
                    AnyOf(
                        (
                            Not(Test(Field("robots"), Text(TextKind.EQUAL, (b"allowed",)))),
                            Test(Field("robots_group"), Absent()),
                            Test(Field("robots_group"), Text(TextKind.EQUAL, (b"*",))),
                        )
                    ),
                )
            ),
        )
    ),
)
"""Who can be led into a maze: who reads, without credentials, and was not known as a browser for a day or by its assets. Of bots
those whose claim is refuted, or that claim nothing that can be verified and that robots.txt does not let in by their name."""

_NEVER_IN_AN_EMERGENCY: Final = (
    Test(Field("identity"), Absent()),
    _SIGNED_OUT,
    Not(Test(Field("visitor"), Text(TextKind.EQUAL, (b"known",)))),
    _JAR_UNPROVEN,
)
"""Whom no rule for emergencies touches: verified bots, the signed in, who was here on an earlier day, whose cookie jar is from
then or has fetched an asset."""

_FORM: Final = "form"
_POSTED: Final = Test(Field(_FORM), Present())
"""What a condition that looks at the token of a form is about, so that `form: {not: good}` is not about every other page."""

SHARED_KEYS: Final = {KeyKind.SITE, KeyKind.HOST, KeyKind.PATH, KeyKind.ITEM}
"""Parts of a key that all clients have in common."""


def _name(node: Node, _report: Report, subject: str, around: Any) -> str:
    """The name, noted with its place even when the rest of the rule is faulty."""
    name = read_name(node, subject)
    if name in RESERVED:
        raise Fault(f"the rule name {quoted(name)} is taken", f"{listed_reserved()} name decisions that no rule makes")
    around.parsed.rule_names.append((name, node.line, node.column))
    return name


def spared(action: Action, when: Condition) -> Condition:
    """The condition without those to whom the action must not happen."""
    match action:
        case Prove():
            return AllOf((*_TO_PROVE, when))
        case Maze():
            return AllOf((*_TO_BE_LOST, when))
        case _:
            return when


def of_posts(when: Condition) -> Condition:
    """The condition; about posts of guarded forms alone where it looks at their tokens."""
    return AllOf((_POSTED, when)) if looks_at(when, (_FORM,)) else when


def _made_rule(found: Found) -> Rule:
    when = of_posts(spared(found.values["action"], found.get("when", ALWAYS)))
    if found.get("emergency", False):
        when = AllOf((*_NEVER_IN_AN_EMERGENCY, when))
        if "limit" not in found.nodes:
            found.complain(
                "emergency", "a rule for emergencies has no limit", "limit: {…, learned: {times: 6, at_most: 1000000}}"
            )
    _check_limit(found, found.values["action"])
    _check_sense(found, found.values["action"], when)
    return Rule(**found.attributes(when=when, place=place_of(found)))


def _check_limit(found: Found, action: Action) -> None:
    """Report a limit that the action cannot go by."""
    limit: Limit | None = found.get("limit")
    if limit is None:
        return
    if kind_of(action).effect is Effect.FORWARD:
        hint = "a rule with a limit applies when the limit is exceeded: use reject, tarpit, delay, ban or score"
        found.complain("limit", f"{kind_of(action).name} cannot have a limit", hint)
    if isinstance(action, Ban) and limit.count.kind is CountKind.REFUSALS and action.for_seconds < limit.period_seconds:
        longer = duration_text(limit.period_seconds)
        hint = f"for: {longer} or longer; a shorter one ends while its refusals still count, and the next request is banned again"
        found.complain("action", f"the ban is shorter than the {longer} in which refusals are counted", hint)
    if isinstance(action, Ban) and {part.kind for part in limit.per} <= SHARED_KEYS:
        hint = "a ban is for the key of the limit: add client, network, a header or a cookie to per"
        found.complain("limit", "the ban would be for everybody", hint)


def _check_sense(found: Found, action: Action, when: Condition) -> None:
    """Report what is well formed and yet cannot be meant."""
    if isinstance(action, Allow) and looks_at(when, (FieldKind.CLASS,)):
        hint = "say what makes the class, such as account: present; or use pass, which keeps its place among the rules"
        found.complain("when", "allow rules are looked at before the class is known", hint)
    if isinstance(action, Allow) and looks_at(when, (FieldKind.REFUSED,)):
        hint = "use pass, which keeps its place among the rules"
        found.complain("when", "allow rules are looked at before it is known how often a client was refused", hint)
    if "limit" in found.nodes and looks_at(when, (FieldKind.REFUSED,)):
        hint = "count: refusals is a limit of them; or leave the limit out, and let this rule tag, score, tarpit or ban"
        found.complain(
            "when", "how often a client was refused is known only when limits are counted: not in a rule with one", hint
        )
    if isinstance(action, Allow) and looks_at(when, (FieldKind.SCORE, FieldKind.TAG)):
        hint = "use pass, which keeps its place among the rules"
        found.complain("when", "allow rules are looked at before there is any score or tag", hint)
    if found.nodes.keys() & {"when", "limit"}:
        return
    if isinstance(action, Allow):
        hint = "write mode: off for the whole rule set, or say when"
        found.complain("when", "the rule would allow every request and switch all others off", hint)
    elif kind_of(action).is_terminal and kind_of(action).effect is not Effect.FORWARD:
        hint = "say when, or give it a limit; to close the site on purpose: when: {path: {prefix: /}}"
        found.complain("when", f"the rule would {kind_of(action).name} every request", hint)


RULE: Final = KeyTable(
    subject="a rule",
    example="{name: …, when: …, action: …}",
    meant=meant("rule"),
    keys={
        "name": Key(Kind(_name, "name", KEBAB.schema),
            "The name of the rule; it becomes a metric label, and stands in the audit log.",
            ("the rule has no name", "name: sign-up-flood; it becomes a metric label"), ("sign-up-flood",),
            subject="the rule"),
        "why": Key(prose(MAX_PROSE_CHARACTERS), "The reason, for the operator; clients never see it.",
            examples=("No person signs up ten times a minute.",)),
        "when": Key(CONDITION, "What must hold for a request. Left out: every request.",
            examples=({"path": {"prefix": "/api/"}},)),
        "limit": Key(Kind(read_limit, "limit", {"$ref": "#/definitions/limit"}),
            "The rule applies when `when` holds and this limit is exceeded.",
            examples=({"rate": "10/minute", "per": ["client"]},)),
        "action": Key(ACTION, "What to do.", ("the rule{named} has no action", "action: reject"),
            ("reject", {"reject": {"status": 404}}, {"score": 40})),
        "mode": Key(MODE, "`enforce`, `shadow` (record, never act) or `off`."),
        "emergency": Key(TRUTH, "Whether it only records until `proxyguard emergency on`, and never touches who is known."),
        "expires": Key(MOMENT, "The day (00:00 UTC) or time from which on the rule is not looked at.",
            examples=("2026-07-01", "2026-07-01T18:00Z")),
    },
)  # fmt: skip

RULES: Final = listed_in(
    "rules",
    Kind(made(RULE, _made_rule), RULE.subject, {"$ref": "#/definitions/rule"}),
    MAX_RULES,
    example="each rule begins with - name:",
    advice="; put addresses and words into lists",
)
