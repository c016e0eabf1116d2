"""What the YAML parser's messages mean to somebody who edits a rule file. Knows nothing of YAML but these words."""

from __future__ import annotations

from typing import Final


def syntax_words(problem: str, rest: str, opened: int, before: str = "") -> tuple[str, str]:
    """Message and hint for what libyaml said.

    `rest` is the text from the fault on, `before` what stands before it on its line, `opened` a line above it or 0.
    """
    if "did not find expected key" in problem and before.strip():
        return _after_value(before)
    if "cannot start any token" in problem and rest[:1] in _CANNOT_START:
        return _CANNOT_START[rest[:1]]
    if "cannot start any token" in problem and rest[:1].isprintable():
        return f"a value cannot begin with {rest[:1]}", "put it in single quotes"
    if "node content" in problem and not rest.strip():
        return "the file ends here, inside of a [ or { that is not closed", "look for a missing ] or }"
    for fragment, message, hint in _SYNTAX:
        if fragment in problem:
            return message.format(where=f" on line {opened}" if opened else ""), hint
    return f"not valid YAML: {problem}", "look for a missing quote, bracket or colon on this line or the one above"


def _after_value(before: str) -> tuple[str, str]:
    """Something follows a value on its line."""
    if before.rstrip()[-1] in "'\"":
        return "text after a closing quote", "inside of '…' write '' for a quote, or put the whole value into \"…\""
    return ("text after the end of a value", "look for a missing ':' after the key of this line, or for a bracket too many")


_CANNOT_START: Final = {
    "\t": ("a tab cannot indent YAML", "indent with spaces"),
    "%": ("a value cannot begin with %", "put it in single quotes"),
    "@": ("a value cannot begin with @", "put it in single quotes"),
    "`": ("a value cannot begin with `", "put it in single quotes"),
}

_SYNTAX: Final = (
    ("block sequence entries are not allowed", "a '- ' where no list can begin",
        "begin a list on a line of its own below its key, or put quotes around a text that begins with '- '"),
    ("found unexpected ':'", "a ':' that is not expected here", "put quotes around a value that holds ':'"),
    ("did not find expected <document start>", "the document has ended above this line, and something follows",
        "a file begins with a key in the first column; look for a line that is indented less than it should be"),
    ("found a tab character that violates", "a tab cannot indent YAML", "indent with spaces"),
    ("mapping keys are not allowed", "a '? ' that YAML takes for the beginning of a key", "put it in single quotes"),
    ("found unexpected non-alphabetical character", "a value that begins with * or & has a meaning of its own in YAML",
        "put it in single quotes"),
    ("expected version number", "a line that begins with % has a meaning of its own in YAML", "delete it"),
    ("directive", "a line that begins with % has a meaning of its own in YAML", "put it in single quotes, or delete it"),
    ("found unexpected document indicator", "a line of --- or ... inside of a quoted text", "look for a missing quote above"),
    ("mapping values are not allowed", "a ':' that YAML takes for a second key on this line, or a key that is indented too far",
        "put quotes around a value that holds ': ', or line the key up with the ones above it"),
    ("did not find expected ',' or ']'", "the list opened{where} with [ is not closed, or a comma is missing",
        "look for a missing ] or ,"),
    ("did not find expected ',' or '}'", "the mapping opened{where} with {{ is not closed, or a comma is missing",
        "look for a missing } or ,"),
    ("did not find expected '-' indicator", "this line stands at the level of a list but does not begin with -",
        "indent it like the other keys of its item"),
    ("did not find expected key", "this line does not line up with the keys above it",
        "keys of one mapping begin in the same column; the items of a list begin with - in the same column"),
    ("did not find expected node content", "a value, or the bracket that ends it, is missing here",
        "write a value, or '' for an empty text"),
    ("found unknown escape character", "an unknown \\ escape in double quotes",
        "put patterns and paths in single quotes, where \\ is an ordinary character"),
    ("found unexpected end of stream", "the quote that opens here is never closed", "look for a missing quote"),
    ("did not find expected comment or line break", "text after > or |, which open a block of text",
        "put a value that begins with > or | in single quotes"),
    ("did not find expected alphabetic or numeric character", "a value that begins with * or & has a meaning of its own in YAML",
        "put it in single quotes"),
    ("could not find expected ':'", "a key without ':' after it",
        "write 'key: value', with a space after the colon, or '- value' for an item of a list"),
)  # fmt: skip
"""What libyaml's message holds, then ours and its hint."""
