"""`mask`: forward, and take personal data out of the answer."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.decision import Mask
from proxyguard.core.problems import Fault, quoted
from proxyguard.core.yaml.kinds import Found, Key, KeyTable, Kind, listed_in, plain, size
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import NodeFault, read_choice, read_text
from proxyguard.policy.actions.kind import ActionKind, Effect, options

PATTERNS: Final = ("email", "phone")

MOST_NAMED: Final = 64
"""Fields, or elements, of one rule: each is looked for in every answer."""

LEAST_BYTES: Final = 1024
MOST_BYTES: Final = 4 * 1024 * 1024
"""An answer is read whole, in a process that has this in memory several times."""

_EXAMPLE: Final = "action: {mask: {json: [email, users.*.phone], patterns: [email]}}"

_PATH: Final = re.compile(r"[^.\s]+(?:\.[^.\s]+){0,15}")
_NAME: Final = r"[A-Za-z_-][\w-]*"
_ATTRIBUTE: Final = rf"\[{_NAME}(?:[~|^$*]?=(?:{_NAME}|\"[^\"\\]*\"))?\]"
_SIMPLE: Final = rf"(?:\.{_NAME}|#{_NAME}|{_ATTRIBUTE})"
_COMPOUND: Final = rf"(?:(?:\*|{_NAME}){_SIMPLE}*|{_SIMPLE}+)"
_SELECTOR: Final = re.compile(rf"{_COMPOUND}(?:(?: +| *> *){_COMPOUND}){{0,7}}", re.ASCII)
"""Element, class, id, attribute, inside of, child of. What looks at neighbours or counts takes the square of a page's size."""

_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+-]*", re.ASCII)


def _read_path(node: Node, subject: str) -> str:
    text = read_text(node, subject, 200)
    names = text.split(".")
    if not _PATH.fullmatch(text):
        hint = "names with dots between them: user.email, items.*.phone, **.email"
        raise Fault(f"{quoted(text)} is not the path of a field", hint)
    if names.count("**") > 1:
        raise Fault(f"{quoted(text)} has ** more than once", "**.email is the field email, however deep it lies")
    if names[-1] == "**":
        raise Fault(f"{quoted(text)} ends with **", "* is everything in there: user.*")
    return text


def _read_selector(node: Node, subject: str) -> str:
    text = read_text(node, subject, 200)
    if not _SELECTOR.fullmatch(text):
        hint = 'elements, classes, ids and attributes, inside of each other: .email, a[href^="mailto:"], #profile > dd.phone'
        raise Fault(f"{quoted(text)} is not a selector that can be used here", hint)
    return text


def _read_type(node: Node, subject: str) -> str:
    text = read_text(node, subject, 100).lower()
    if not _TYPE.fullmatch(text):
        raise Fault(f"{quoted(text)} is not the beginning of a content type", "image/, font/, text/css")
    return text


def _listed(noun: str, item: Kind, example: str) -> Kind:
    return listed_in(noun, item, MOST_NAMED, example=example, owner="mask")


_TEXT: Final = {"type": "string"}

OPTIONS: Final = KeyTable(
    subject="mask",
    example=_EXAMPLE,
    meant={"css": "did you mean 'html'?", "selectors": "did you mean 'html'?", "fields": "did you mean 'json'?"},
    keys={
        "json": Key(_listed("fields", Kind(plain(_read_path), "path of a field", _TEXT), "json: [email, users.*.phone]"),
            "Fields that become null, by path; * is any name or place, ** any number of them."),
        "html": Key(_listed("elements", Kind(plain(_read_selector), "CSS selector", _TEXT), "html: [.email]"),
            "Elements that are left out, by CSS selector."),
        "patterns": Key(_listed("patterns", Kind(plain(read_choice, PATTERNS), "pattern", {"enum": list(PATTERNS)}),
            "patterns: [email, phone]"), "E-mail addresses and phone numbers in text."),
        "untouched": Key(_listed("content types", Kind(plain(_read_type), "content type", _TEXT), "untouched: [image/]"),
            "Beginnings of content types that pass as they are."),
        "up_to": Key(size(LEAST_BYTES, MOST_BYTES), "The largest answer that is masked; a larger one is refused.",
            attribute="most_bytes", examples=("1MiB",)),
    },
)  # fmt: skip


def _made(found: Found) -> Mask:
    mask = Mask(**found.attributes())
    if not (mask.json or mask.html or mask.patterns):
        raise NodeFault(found.mapping, "mask hides nothing", _EXAMPLE)
    return mask


ROW: Final = ActionKind(
    value=Mask,
    effect=Effect.ALTER,
    about="Forward, and take personal data out of the answer; refuse an answer that cannot be read.",
    options=options(OPTIONS, _made),
    example=_EXAMPLE,
    meant=("redact", "censor", "hide"),
    unjudged=lambda _: "what it would hide is missing here",
)
