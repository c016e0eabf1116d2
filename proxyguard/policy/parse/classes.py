"""Accounts and classes: how a rule file says whose a session is and which clients belong together, from nodes to the model.

Knows nothing of what is limited by class, or of how an account becomes known.
"""

from __future__ import annotations

from typing import Any, Final

from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.yaml.kinds import KEBAB, Key, KeyTable, Kind, duration, listed_in, plain
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_name, read_scalar, read_text
from proxyguard.policy.meant import meant
from proxyguard.policy.model import (
    ANONYMOUS,
    AccountSource,
    AllOf,
    AnyOf,
    ClientClass,
    Condition,
    Field,
    FieldKind,
    Not,
    Test,
)  # fmt: skip
from proxyguard.policy.parse.parsed_file import CONDITION, place_of
from proxyguard.policy.parse.texts import read_field_name

MAX_CLASSES: Final = 20
"""Each is a label of metrics and is asked about with every request."""

MAX_REMEMBER_SECONDS: Final = 31 * 86_400


_OF_THE_FRONT: Final = frozenset(
    {"connection", "content-length", "content-type", "date", "location", "set-cookie", "transfer-encoding", "vary"}
)
"""Response headers that must reach the client."""


def _session(node: Node, _subject: str) -> Field:
    hint = "cookie.NAME or header.NAME"
    text = read_scalar(node, "key", "a cookie or a header", hint)
    kind, _, name = text.partition(".")
    if kind not in (FieldKind.COOKIE, FieldKind.HEADER) or not name:
        raise Fault(f"key cannot be {quoted(text)}", hint)
    return Field(kind, read_field_name(kind, name))


def _header(node: Node, subject: str) -> str:
    text = read_text(node, subject, 256)
    name = read_field_name(FieldKind.HEADER, text)
    if name in _OF_THE_FRONT:
        hint = "the header is taken out of responses: let the site send one of its own, such as x-account-class"
        raise Fault(f"{subject} cannot be {quoted(text)}", hint)
    return name


def _account(node: Node, report: Report, _subject: str, around: Any) -> AccountSource:
    around.parsed.account = (node.line, node.column)
    return ACCOUNT.read(node, report, around).fill(AccountSource)


def _name(node: Node, _report: Report, subject: str, around: Any) -> str:
    """The name, noted with its place even when the rest of the class is faulty."""
    name = read_name(node, subject)
    known: dict[str, tuple[int, int]] = around.parsed.classes
    if name == ANONYMOUS:
        raise Fault(f"the class {ANONYMOUS} needs no definition", "it is whoever is in no other")
    if name in known:
        raise Fault(f"the class {quoted(name)} is already on line {known[name][0]}", "name it otherwise")
    known[name] = (node.line, node.column)
    return name


def _condition(node: Node, _report: Report, subject: str, around: Any) -> Condition:
    when: Condition = around.read_condition(node, subject)
    if looks_at(when, (FieldKind.SCORE, FieldKind.TAG, FieldKind.CLASS, FieldKind.REFUSED)):
        hint = "a class says who a client is: use account, cookies, headers, client"
        raise Fault("classes are known before there is any score, tag or class, and before refusals are counted", hint)
    return when


def _class(node: Node, report: Report, _subject: str, around: Any) -> ClientClass:
    found = CLASS.read(node, report, around)
    return found.fill(ClientClass, place=place_of(found))


def looks_at(condition: Condition, kinds: tuple[str, ...]) -> bool:
    """Whether a condition asks about a field of one of these kinds."""
    match condition:
        case Test(field=tested):
            return tested.kind in kinds
        case AllOf(conditions=conditions) | AnyOf(conditions=conditions):
            return any(looks_at(inner, kinds) for inner in conditions)
        case Not(condition=inner):
            return looks_at(inner, kinds)


_ACCOUNT_EXAMPLE: Final = "account: {key: cookie.session, class_header: x-account-class}"

ACCOUNT: Final = KeyTable(
    subject="account",
    example=_ACCOUNT_EXAMPLE,
    meant=meant("account"),
    is_quiet=True,
    keys={
        "key": Key(Kind(plain(_session), "cookie or header", {"type": "string", "pattern": r"^(header|cookie)\..+$"}),
            "What identifies a session: `cookie.NAME` or `header.NAME`. Kept as a keyed hash only.",
            ("account has no key", _ACCOUNT_EXAMPLE), ("cookie.session",), "session"),
        "class_header": Key(Kind(plain(_header), "name of a header", {"type": "string"}),
            "The response header by which the site says what the account is. Clients never see or send it.",
            ("account has no class_header", _ACCOUNT_EXAMPLE), ("x-account-class",), "header"),
        "remember": Key(duration(1, MAX_REMEMBER_SECONDS), "How long it is believed; an hour unless given.",
            attribute="remember_seconds"),
    },
)  # fmt: skip

CLASS: Final = KeyTable(
    subject="a class",
    example="{name: signed-in, when: {account: present}}",
    meant=meant("class"),
    keys={
        "name": Key(Kind(_name, "name", KEBAB.schema), "The name of the class; it becomes a metric label.",
            ("the class has no name", "name: signed-in"), ("verified",), subject="the class"),
        "when": Key(Kind(_condition, CONDITION.takes, CONDITION.schema), "What makes a client one of this class.",
            ("the class has no condition", "when: {account: present}"), ({"account": "present"},)),
    },
)  # fmt: skip

ACCOUNT_KIND: Final = Kind(_account, "account", {"$ref": "#/definitions/account"})
CLASSES: Final = listed_in(
    "classes",
    Kind(_class, CLASS.subject, {"$ref": "#/definitions/class"}),
    MAX_CLASSES,
    example="[{name: signed-in, when: {account: present}}]",
)
