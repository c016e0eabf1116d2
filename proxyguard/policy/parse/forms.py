"""The `form_guard:` of a rule file: which forms ask for a token, from nodes to values."""

from __future__ import annotations

from typing import Any, Final

from proxyguard.core.form import GuardedForm
from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.yaml.kinds import NAME_PATTERN, Key, KeyTable, Kind, duration, whole
from proxyguard.core.yaml.nodes import MappingEntry, Node
from proxyguard.core.yaml.values import NodeFault, read_each, read_mapping, read_name, read_scalar
from proxyguard.policy.fields.path import PATH
from proxyguard.policy.meant import meant
from proxyguard.policy.model import FieldKind, TextKind
from proxyguard.policy.parse.path_lists import path_list
from proxyguard.policy.parse.texts import read_text_value

MAX_FORMS: Final = 20
MAX_USES: Final = 10

MAX_AFTER_SECONDS: Final = 30.0
"""People with a password manager are faster than that; a longer wait refuses them."""

MAX_WITHIN_SECONDS: Final = 86_400.0
"""How long a used token is remembered at most."""

_EXAMPLE: Final = "form_guard: {sign-up: {read: /signup, post: /signup}}"


def _path(node: Node, subject: str) -> bytes:
    text = read_scalar(node, subject, "a path, with * for what differs", "/signup")
    if not text.startswith("/"):
        raise NodeFault(node, f"{subject}: the path {quoted(text)} does not begin with /", "/signup")
    if "?" in text:
        raise NodeFault(node, f"{subject}: the path {quoted(text)} has a query", "forms are told by their path alone")
    if "*" in text:
        return read_text_value(FieldKind.PATH, TextKind.GLOB, text)
    if PATH.check is not None:
        PATH.check(TextKind.EQUAL, text)
    return read_text_value(FieldKind.PATH, TextKind.EQUAL, text)


_PATHS: Final = path_list("path", _path)

FORM_GUARD: Final = KeyTable(
    subject="a guarded form",
    example="{read: /signup, post: /signup}",
    meant=meant("form"),
    keys={
        "read": Key(_PATHS, "The paths where the form is read by GET: each answer there gives a token. `*` is any text.",
            ("the form has no read", _EXAMPLE), ("/signup",)),
        "post": Key(_PATHS, "The paths where it is posted, by any method but GET, HEAD, OPTIONS; those of `read` unless given.",
            examples=("/api/signup",)),
        "after": Key(duration(0, MAX_AFTER_SECONDS), "A post sooner after the reading is early; 2s unless given.",
            examples=("2s",), attribute="after_seconds"),
        "within": Key(duration(60, MAX_WITHIN_SECONDS), "A post later is late; 2h unless given.",
            examples=("2h",), attribute="within_seconds"),
        "uses": Key(whole(1, MAX_USES), "How many posts one reading is good for; 1 unless given."),
    },
)  # fmt: skip


def _form(entry: MappingEntry, report: Report, around: Any) -> GuardedForm:
    name = read_name(entry.key, "the form")
    around.parsed.forms.append((name, entry.key.line, entry.key.column))
    found = FORM_GUARD.read(entry.value, report, around).sound()
    return GuardedForm(**{"post": found.values["read"], **found.attributes(name=name)})


def _forms(node: Node, report: Report, _subject: str, around: Any) -> tuple[GuardedForm, ...]:
    mapping = read_mapping(node, "form_guard", _EXAMPLE)
    if not 0 < len(mapping.entries) <= MAX_FORMS:
        raise Fault(f"form_guard has {len(mapping.entries)} entries", f"one to {MAX_FORMS}")
    return read_each(mapping.entries, report, lambda entry: _form(entry, report, around))


FORMS: Final = Kind(_forms, "guarded forms by name", {
    "type": "object", "minProperties": 1, "maxProperties": MAX_FORMS, "propertyNames": {"pattern": NAME_PATTERN},
    "additionalProperties": FORM_GUARD.schema(),
})  # fmt: skip
