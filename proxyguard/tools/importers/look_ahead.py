r"""Negative look-ahead as an expression without it, where it says what may not follow: `/\.(?!well-known)`.

Rules match in linear time, without look-around. What may not follow is a handful of words in nearly all configurations, and then
the rest of the text is spelt out: it ends, or goes on with another character, or with the first of a word and not its second …
"""

from __future__ import annotations

import re
from typing import Final

MAX_WORDS: Final = 40
MAX_LENGTH: Final = 60
"""Characters of a word: so deep is the expression nested."""

_AHEAD: Final = re.compile(r"\(\?!")
_REST: Final = re.compile(r"(?:\.\*\??|\(\.\*\??\))?\$?\Z")
"""What may stand behind: everything. With more, the text would be looked at twice."""

_GROUP: Final = re.compile(r"\((?:\?:)?((?:[^()\\]|\\.)*)\)\Z")
_CHARACTER: Final = re.compile(r"\\([^A-Za-z0-9])|([^\\.*+?()\[\]{}^$|])", re.DOTALL)
_WORD: Final = re.compile(rf"(?:{_CHARACTER.pattern})+\$?", re.DOTALL)

type _Words = dict[str, _Words]
"""Words by their characters, as a tree. An empty key: a word ends here, whatever follows; `$`: only where the text ends."""


def without_look_ahead(pattern: str) -> str:
    """The pattern with its look-ahead spelt out; as it was when it has none, or one that cannot be."""
    if len(_AHEAD.findall(pattern)) != 1:
        return pattern
    before, _, ahead = pattern.partition("(?!")
    inner, rest = _closed(ahead)
    if (
        inner is None
        or not _REST.match(rest)
        or before.count("(") - before.count(r"\(") != before.count(")") - before.count(r"\)")
    ):
        return pattern
    group = _GROUP.match(inner)
    words = re.split(r"(?<!\\)\|", group[1] if group else inner)
    if len(words) > MAX_WORDS or not all(_WORD.fullmatch(word) and len(word) <= MAX_LENGTH for word in words):
        return pattern
    if rest == "$":
        return before + rest  # nothing follows, so no word does
    tree: _Words = {}
    for word in words:
        at = tree
        for found in _CHARACTER.finditer(word):
            at = at.setdefault(found[1] or found[2], {})
        at["$" if word.endswith("$") and not word.endswith(r"\$") else ""] = {}
    return before + _other_than(tree) + rest


def _closed(text: str) -> tuple[str | None, str]:
    """What stands up to the bracket that closes, and behind it."""
    depth = 0
    for found in re.finditer(r"\\.|[()]", text):
        if found[0] == ")" and depth == 0:
            return text[: found.start()], text[found.end() :]
        depth += {"(": 1, ")": -1}.get(found[0], 0)
    return None, ""


def _other_than(tree: _Words) -> str:
    """An expression for every text that begins with none of the words."""
    letters = [character for character in tree if character not in {"", "$"}]
    escaped = "".join(re.sub(r"([\\\]\[^\-])", r"\\\1", character) for character in letters)
    parts = [f"[^{escaped}]" if letters else "."]
    if "$" not in tree:
        parts.append("$")
    parts += [re.escape(character) + _other_than(tree[character]) for character in letters if "" not in tree[character]]
    return f"(?:{'|'.join(parts)})"
