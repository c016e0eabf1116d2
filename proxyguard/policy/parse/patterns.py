r"""Regular expressions as an operator writes them: RE2 syntax over bytes, checked once at load.

RE2 runs in time linear in the text, which is why look-around, back-references and possessive repetition do not exist in it.
The only module that knows how a refused pattern is explained. `OPTIONS` are those that patterns are matched with.
"""

from __future__ import annotations

import re
from typing import Any, Final

import re2

from proxyguard.core.problems import Fault, quoted

MAX_CHARACTERS: Final = 1000
"""Longer alternations belong in a list of words."""

_LONG_HINT: Final = (
    f"at most {MAX_CHARACTERS}; make its parts a list, one a line (lists: {{names: {{file: lists/names.txt}}}}), and match "
    "{word: $names}, {contains_any: {texts: $names, ignore_case: true}}, or {regex: $names}"
)

MAX_PROGRAM: Final = 5000
"""RE2 instructions. Ordinary patterns have 10 to 300; a thousand-fold repetition of a class has more than that."""

_LINEAR: Final = "RE2 leaves it out to match in linear time, so that no pattern can stop the site"

_EVERY_BYTE: Final = bytes(range(256))


def _options() -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.dot_nl = True
    return options


OPTIONS: Final = _options()
"""Bytes, one byte a character."""


def check_regex(pattern: str) -> None:
    """Raises Fault when the pattern is empty, too long, too big, not ASCII, not RE2, or holds for every value."""
    if not pattern:
        raise Fault("the regex is empty: it would match every value", "use present, or leave the condition out")
    if len(pattern) > MAX_CHARACTERS:
        raise Fault(f"the regex has {len(pattern)} characters", _LONG_HINT)
    if not pattern.isascii():
        char = next(char for char in pattern if ord(char) > 127)
        escaped = "".join(f"\\x{byte:02X}" for byte in char.encode())
        raise Fault(f"the regex has the character {char!r}", f"patterns match bytes; write it as {escaped}, outside of [ ]")
    if "\0" in pattern:
        raise Fault("the regex has a NUL character")
    try:
        compiled = re2.compile(pattern.encode(), OPTIONS)
    except re2.error as error:
        reported = error.args[0] if error.args else b""
        raise _explained(pattern, reported.decode() if isinstance(reported, bytes) else str(reported)) from error
    size = compiled.programsize
    if size > MAX_PROGRAM:
        raise Fault(f"the regex needs {size} instructions", f"at most {MAX_PROGRAM}; repeat less, such as {{1,20}}")
    if compiled.search(b"") and compiled.search(_EVERY_BYTE):
        raise Fault(f"the regex {quoted(pattern)} matches every value", "some part of it must not be optional; or use present")


_REFUSED: Final = (
    (re.compile(r"\(\?<?[=!]"), "look-around, {found}…), is not available",
     "use two conditions: {{regex: …, not: {{regex: …}}}}"),
    (re.compile(r"\\[1-9]"), "the back-reference {found} is not available", "write the repeated part out"),
    (re.compile(r"\(\?>"), "atomic groups, (?>…), are not available", "leave ?> out: nothing is slow here"),
    (re.compile(r"[*+?}]\+"), "the possessive repetition {found} is not available",
     "leave the second + out: nothing is slow here"),
    (re.compile(r"\(\?P?[=&]|\(\?R"), "references to groups, {found}…), are not available", "write the part out"),
    (re.compile(r"\\[ZGKRXhH]"), "the escape {found} is not available", "see the RE2 syntax; the end of the text is \\z"),
)  # fmt: skip


def _explained(pattern: str, reported: str) -> Fault:
    bare = re.sub(r"\\\\", "  ", pattern)
    for refused, message, hint in _REFUSED:
        found = refused.search(bare)
        if found:
            return Fault(f"the regex is not valid: {message.format(found=found[0])}", f"{hint.format()}; {_LINEAR}")
    for fragment, message, hint in _SAID:
        if fragment in reported:
            detail = reported.partition(": ")[2]
            return Fault(f"the regex is not valid: {message.format(detail=quoted(detail))}", hint.format())
    return Fault(f"the regex is not valid: {reported}", "the syntax is RE2's")


_SAID: Final = (
    ("missing ]", "a [ without its ]: {detail}", "write \\[ for the character itself"),
    ("missing )", "a ( without its )", "write \\( for the character itself"),
    ("unexpected )", "a ) without its (", "write \\) for the character itself"),
    ("no argument for repetition", "nothing stands before {detail}", "write \\* or \\+ for the character itself"),
    ("bad repetition operator", "one repetition follows another: {detail}",
     "leave one out, or write \\* or \\+ for the character itself"),
    ("invalid repetition size", "the repetition {detail} is too large or runs backwards", "{{low,high}}, at most 1000"),
    ("trailing \\", "a \\ at the end", "write \\\\ for the character itself"),
    ("invalid escape sequence", "the escape {detail} does not exist", "leave the \\ out, or write \\\\ for a backslash"),
    ("range: [:", "the class {detail} does not exist", "[[:alpha:]], [[:digit:]], [[:alnum:]], [[:space:]], [[:punct:]]"),
    ("range: \\p", "the class {detail} does not exist", "\\d \\w \\s, or a class of your own: [a-z]"),
    ("invalid character class range", "a range that ends before it begins: {detail}", "write it the other way round"),
    ("invalid perl operator", "the group {detail} does not exist", "groups are (…), (?:…), (?i:…) and (?P<name>…)"),
    ("invalid named capture group", "a group whose name is not closed: {detail}", "(?P<name>…), or (?:…) without a name"),
    ("pattern too large", "it is too large once its repetitions are written out", "repeat less, such as {{1,20}}"),
)  # fmt: skip
