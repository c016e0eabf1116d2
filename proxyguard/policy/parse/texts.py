"""Texts that a field is compared with: normalised as the field is, and refused when they could never, or always, match.

The registry of fields says what each field takes. Knows nothing of YAML; raises Fault.
"""

from __future__ import annotations

from typing import Final

from proxyguard.core.problems import Fault, folded, name_hint, quoted
from proxyguard.policy.fields.field_type import FieldType
from proxyguard.policy.fields.registry import field_type, field_types, named_values
from proxyguard.policy.meant import meant
from proxyguard.policy.model import TextKind
from proxyguard.policy.parse.patterns import check_regex

MAX_BYTES: Final = 4096
"""Half of the longest header field that a front lets in (`settings.Bounds.field_bytes`)."""

_PUNCTUATION: Final = "".join(chr(code) for code in range(32, 127) if not chr(code).isalnum())


_TYPOGRAPHIC: Final = frozenset("\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb")
"""Quotes of word processors and chats, which YAML does not take for quotes."""


def read_text_value(field: str, kind: TextKind, text: str, *, alone: bool = False) -> bytes:
    """The bytes that a matcher compares with. `alone`: the value stands without a matcher. Raises Fault."""
    if kind is TextKind.REGEX:
        check_regex(text)
        return text.encode()
    row = field_type(field)
    _check_characters(row, kind, text)
    if "*" in text and not row.has_stars:
        _check_star(kind, text, alone=alone)
    checked = (row.check(kind, text) if row.check is not None else text).encode()
    return checked.lower() if kind is TextKind.CONTAINS_ANY else checked


def _check_characters(field: FieldType, kind: TextKind, text: str) -> None:
    anything = "leave the condition out" if field.is_always_there else "use present"
    if not text and kind is not TextKind.EQUAL:
        raise Fault(f"the text for {kind} is empty: it would match every value", anything)
    if len(text) > MAX_BYTES or len(text.encode()) > MAX_BYTES:
        raise Fault(f"the text has {len(text)} characters", f"at most {MAX_BYTES} bytes")
    if text[:1] in _TYPOGRAPHIC and text[-1:] in _TYPOGRAPHIC:
        raise Fault(f"{quoted(text)} stands in typographic quotes, which would be part of it", 'write straight ones: "…"')
    if not text.isprintable():
        raise Fault(f"{quoted(text)} has a control character", "no field of a request can hold one; use a regex for odd bytes")
    if kind is TextKind.GLOB and not text.strip("*"):
        raise Fault(f"the glob {quoted(text)} matches every value", anything)
    if kind is TextKind.GLOB:
        _check_glob(text)
    elif kind is TextKind.WORD:
        _check_word(text)


def _check_star(kind: TextKind, text: str, *, alone: bool) -> None:
    """Refuse a * that stands for itself where values have none, unless `in` or a regex says that it is meant so."""
    if kind is TextKind.GLOB or (kind is TextKind.EQUAL and not alone):
        return
    message = f"{quoted(text)} is compared as it stands, * included"
    if kind is TextKind.EQUAL:
        raise Fault(message, f"if * means anything: {{glob: {quoted(text)}}}; if it does not: {{in: [{quoted(text)}]}}")
    hint = "leave the * out" if text.strip("*") and "*" not in text.strip("*") else "use glob"
    raise Fault(message, f"{hint}; for a * that is meant as it stands use regex: '\\*'")


def _check_word(text: str) -> None:
    """Refuse a word whose end could only match before a blank: `curl/` is not a word of `curl/8.5.0`."""
    ends = text[0] + text[-1]
    if ends.isalnum() or not any(char.isascii() and not char.isalnum() for char in ends):
        return
    bare = text.strip(_PUNCTUATION)
    hint = f"did you mean {quoted(bare)}? or use contains" if bare else "use contains"
    raise Fault(f"the word {quoted(text)} does not begin and end with a letter or a digit", hint)


def _check_glob(text: str) -> None:
    if "[" in text:
        raise Fault(f"the glob {quoted(text)} has a [", "globs know * and ? only; use regex")
    if "{" in text:
        raise Fault(f"the glob {quoted(text)} has a {{", "globs know * and ? only; write a list of globs")


def read_field_name(kind: str, name: str) -> str:
    """The name of a header (lower case), cookie or query parameter, as requests are indexed by it. Raises Fault."""
    named = named_values(kind)
    if named is None:
        raise TypeError(f"the field {kind} takes no name")
    return named.read_name(name)


_MEANT: Final = meant("field")


def field_hint(name: str) -> str:
    """What an unknown field was probably meant to be, by the whole of its name or by what stands before its first dot."""
    kind = name.partition(".")[0]
    hint = _MEANT.get(folded(name)) or _MEANT.get(folded(kind))
    return hint or name_hint(kind, (*field_types(), "any", "all", "not"), "fields")
