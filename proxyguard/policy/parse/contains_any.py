"""`contains_any`: texts that may stand anywhere in a value, of which there may be many, in either case if it is said so."""

from __future__ import annotations

from typing import Final, NamedTuple

from proxyguard.core.problems import Fault, Report
from proxyguard.core.yaml.kinds import TEXT_SCHEMA, TRUTH, Found, Key, KeyTable, Kind, Schema, items_of, plain
from proxyguard.core.yaml.nodes import Mapping, Node
from proxyguard.core.yaml.values import read_text
from proxyguard.policy.model import TextKind

_EXAMPLE: Final = "contains_any: {file: lists/NAME.txt, ignore_case: true}, or {texts: [bot, $names], ignore_case: true}"

_TEXTS: Final[Schema] = {"anyOf": [TEXT_SCHEMA, {"type": "array", "items": TEXT_SCHEMA, "minItems": 1}]}

CONTAINS_ANY: Final = KeyTable(
    subject="contains_any",
    example=_EXAMPLE,
    meant={
        "list": "did you mean 'texts'? texts: $name",
        "values": "did you mean 'texts'?",
        "nocase": "did you mean 'ignore_case'?",
    },
    keys={
        "file": Key(
            Kind(plain(lambda node, subject: read_text(node, subject, 1000)), "path", {"type": "string"}),
            "A list file beside the rule file, one text a line.",
            examples=("lists/names.txt",),
        ),
        "texts": Key(
            Kind(lambda node, _report, _subject, _around: items_of(node), "texts", _TEXTS),
            "The texts, or the names of lists.",
            examples=("$names", ["scrapy", "$names"]),
        ),
        "ignore_case": Key(TRUTH, "Whether upper and lower case are the same (ASCII letters).", examples=(True,)),
    },
)


class AnyTexts(NamedTuple):
    """Where the texts are (a list file, or nodes), and how they are compared."""

    kind: TextKind
    file: Node | None
    items: list[Node]


def read_contains_any(node: Node, report: Report) -> AnyTexts:
    """Texts, the name of a list, or a mapping that says more. Raises Fault."""
    if not isinstance(node, Mapping):
        return AnyTexts(TextKind.CONTAINS, None, items_of(node))
    found: Found = CONTAINS_ANY.read(node, report).sound()
    if ("file" in found.nodes) == ("texts" in found.nodes):
        raise Fault("contains_any takes one of file and texts", _EXAMPLE)
    kind = TextKind.CONTAINS_ANY if found.get("ignore_case", False) else TextKind.CONTAINS
    return AnyTexts(kind, found.nodes.get("file"), list(found.get("texts", ())))
