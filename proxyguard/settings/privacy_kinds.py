"""The kinds of values that only the privacy settings have: paths that name people, patterns, the key of the sealed log."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.yaml.kinds import Kind, Schema, items_of, one_or_more, plain
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_each, read_scalar, read_text
from proxyguard.policy.parse.patterns import check_regex

MAX_PEOPLE: Final = 200
MAX_PATTERNS: Final = 50
KEY_BYTES: Final = 32

_KEY_HINT: Final = "proxyguard privacy keys --out reveal.key makes a pair and prints it"
_TEXT: Final[Schema] = {"type": "string", "minLength": 1}


def _people(node: Node, report: Report, subject: str, _around: Any) -> tuple[str, ...]:
    """Paths that end in `*`; may be empty."""
    items = items_of(node)
    if len(items) > MAX_PEOPLE:
        raise Fault(f"{subject} has {len(items)} entries", f"at most {MAX_PEOPLE}")

    def read(item: Node) -> str:
        written = read_text(item, subject, 200)
        if not written.startswith("/") or not written.endswith("*") or "*" in written[:-1] or written == "/*":
            raise Fault(f"{subject}: {quoted(written)} is no path whose next segment names a person", "such as /users/* or /@*")
        return written

    return read_each(items, report, read)


def _patterns(node: Node, report: Report, subject: str, _around: Any) -> tuple[str, ...]:
    items = items_of(node)
    if len(items) > MAX_PATTERNS:
        raise Fault(f"{subject} has {len(items)} entries", f"at most {MAX_PATTERNS}")

    def read(item: Node) -> str:
        written = read_scalar(item, subject, "a regular expression", r"\bK-[0-9]{6}\b")
        check_regex(written)
        return written

    return read_each(items, report, read)


def _public_key(node: Node, subject: str) -> bytes:
    """32 bytes in base64."""
    written = read_scalar(node, subject, "a public key", "the one that `proxyguard privacy keys` prints")
    try:
        key = base64.b64decode(written, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise Fault(f"{subject} is no public key: it must be {KEY_BYTES} bytes in base64", _KEY_HINT)
    return key


PEOPLE_PATHS: Final = Kind(_people, "list of paths", one_or_more({"type": "string", "pattern": r"^/[^*]+\*$"}))
PATTERNS: Final = Kind(_patterns, "list of regular expressions", one_or_more(_TEXT))
PUBLIC_KEY: Final = Kind(plain(_public_key), "key", {"type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$"})
