"""Accounts and classes: how a rule file says whose a session is and which clients belong together, from nodes to the model.

Knows nothing of what is limited by class, or of how an account becomes known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import (
    complain,
    read_duration,
    read_keys,
    read_mapping,
    read_name,
    read_scalar,
    read_sequence,
    read_text,
)
from proxyguard.policy.model import (
    ANONYMOUS,
    REMEMBER_SECONDS,
    AccountSource,
    AllOf,
    AnyOf,
    ClientClass,
    Condition,
    Field,
    FieldKind,
    Not,
    Place,
    Test,
)  # fmt: skip
from proxyguard.policy.parse.texts import read_field_name

MAX_CLASSES: Final = 20
"""Each is a label of metrics and is asked about with every request."""

MAX_REMEMBER_SECONDS: Final = 31 * 86_400

ACCOUNT_KEYS: Final = ("key", "class_header", "remember")
CLASS_KEYS: Final = ("name", "when")

_MEANT_ACCOUNT: Final = {
    **dict.fromkeys(("session", "cookie", "per", "by"), "did you mean 'key'?"),
    **dict.fromkeys(("header", "response_header", "class", "classheader"), "did you mean 'class_header'?"),
    **dict.fromkeys(("ttl", "for", "expires", "keep", "cache"), "did you mean 'remember'?"),
}
_MEANT_CLASS: Final = {
    **dict.fromkeys(("class", "id"), "did you mean 'name'?"),
    **dict.fromkeys(("if", "match", "condition"), "did you mean 'when'?"),
    **dict.fromkeys(("limit", "rate"), "classes say who is who; what each may do belongs to rules and restrictions"),
}

_OF_THE_FRONT: Final = frozenset(
    {"connection", "content-length", "content-type", "date", "location", "set-cookie", "transfer-encoding", "vary"}
)
"""Response headers that must reach the client."""

ReadCondition = Callable[[Node, str], Condition | None]


def read_account(node: Node, report: Report) -> AccountSource | None:
    """The `account` of a rule file. None when a problem was reported."""
    example = "account: {key: cookie.session, class_header: x-account-class}"
    mapping = read_mapping(node, report, "account", example)
    if mapping is None:
        return None
    before = len(report.problems)
    values = read_keys(mapping, ACCOUNT_KEYS, report, "account", _MEANT_ACCOUNT)
    for key in ("key", "class_header"):
        if key not in values and len(report.problems) == before:
            complain(report, node, f"account has no {key}", example)
    session = _session(values["key"], report) if "key" in values else None
    header = _header(values["class_header"], report) if "class_header" in values else None
    remember: float | None = REMEMBER_SECONDS
    if "remember" in values:
        remember = read_duration(values["remember"], report, "remember", 1, MAX_REMEMBER_SECONDS)
    if len(report.problems) > before or session is None or header is None or remember is None:
        return None
    return AccountSource(session, header, remember)


def _session(node: Node, report: Report) -> Field | None:
    hint = "cookie.NAME or header.NAME"
    scalar = read_scalar(node, report, "key", "a cookie or a header", hint)
    if scalar is None:
        return None
    kind, _, name = scalar.text.partition(".")
    if kind not in (FieldKind.COOKIE, FieldKind.HEADER) or not name:
        complain(report, node, f"key cannot be {quoted(scalar.text)}", hint)
        return None
    try:
        return Field(kind, read_field_name(kind, name))
    except Fault as fault:
        complain(report, node, fault.message, fault.hint)
        return None


def _header(node: Node, report: Report) -> str | None:
    text = read_text(node, report, "class_header", 256)
    if text is None:
        return None
    try:
        name = read_field_name(FieldKind.HEADER, text)
    except Fault as fault:
        complain(report, node, fault.message, fault.hint)
        return None
    if name not in _OF_THE_FRONT:
        return name
    hint = "the header is taken out of responses: let the site send one of its own, such as x-account-class"
    complain(report, node, f"class_header cannot be {quoted(text)}", hint)
    return None


def read_classes(
    node: Node, report: Report, read_condition: ReadCondition, named: dict[str, tuple[int, int]]
) -> tuple[ClientClass, ...] | None:
    """The `classes` of a rule file, in order. None when a problem was reported.

    `named` collects the names and their places, of faulty classes too.
    """
    example = "[{name: signed-in, when: {account: present}}]"
    sequence = read_sequence(node, report, "classes", example)
    if sequence is None:
        return None
    if len(sequence.items) > MAX_CLASSES:
        complain(report, node, f"the file has {len(sequence.items)} classes", f"at most {MAX_CLASSES}")
        return None
    classes: list[ClientClass] = []
    before = len(report.problems)
    for item in sequence.items:
        found = _class(item, report, read_condition, named)
        if found is not None:
            classes.append(found)
    return tuple(classes) if len(report.problems) == before else None


def _class(
    node: Node, report: Report, read_condition: ReadCondition, named: dict[str, tuple[int, int]]
) -> ClientClass | None:
    mapping = read_mapping(node, report, "a class", "{name: signed-in, when: {account: present}}")
    if mapping is None:
        return None
    before = len(report.problems)
    values = read_keys(mapping, CLASS_KEYS, report, "a class", _MEANT_CLASS)
    name = read_name(values["name"], report, "the class") if "name" in values else None
    if "name" not in values:
        complain(report, mapping, "the class has no name", "name: signed-in")
    elif name == ANONYMOUS:
        complain(report, values["name"], f"the class {ANONYMOUS} needs no definition", "it is whoever is in no other")
    elif name in named:
        complain(
            report, values["name"], f"the class {quoted(name)} is already on line {named[name][0]}", "name it otherwise"
        )
    elif name is not None:
        named[name] = (values["name"].line, values["name"].column)
    when = read_condition(values["when"], "when") if "when" in values else None
    if "when" not in values:
        complain(report, mapping, "the class has no condition", "when: {account: present}")
    elif when is not None and looks_at(when, (FieldKind.SCORE, FieldKind.TAG, FieldKind.CLASS)):
        hint = "a class says who a client is: use account, cookies, headers, client"
        complain(report, values["when"], "classes are known before there is any score, tag or class", hint)
    if len(report.problems) > before or name is None or when is None:
        return None
    return ClientClass(name, when, Place(report.file, mapping.line, mapping.column))


def looks_at(condition: Condition, kinds: tuple[str, ...]) -> bool:
    """Whether a condition asks about a field of one of these kinds."""
    match condition:
        case Test(field=tested):
            return tested.kind in kinds
        case AllOf(conditions=conditions) | AnyOf(conditions=conditions):
            return any(looks_at(inner, kinds) for inner in conditions)
        case Not(condition=inner):
            return looks_at(inner, kinds)
