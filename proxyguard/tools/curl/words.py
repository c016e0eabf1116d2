"""Cuts a command line into words as a POSIX shell or the command prompt of Windows would, and runs or expands nothing.

Browsers write both: `Copy as cURL (bash)` quotes with '…' and $'…', `Copy as cURL (cmd)` with "…" and ^. Knows nothing of curl.
"""

from __future__ import annotations

import re
from typing import Final


class UnclosedQuote(Exception):
    """A quote that is opened and never closed. `text` is what follows it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


def words_of(command: str) -> list[str]:
    """The words of the first command. Raises UnclosedQuote."""
    return _windows(command) if _is_windows(command) else _posix(command)


def _is_windows(command: str) -> bool:
    """By the first quote that begins a word: no single one, but carets before quotes or at line ends, or quotes doubled inside
    of quotes and no single quote around anything."""
    first = re.search(r"""(?:^|\s)\$?(\^?["'])""", command)
    if first is not None and first[1] == "'":
        return False
    if re.search(r'\^"|\^\r?\n|" \^$', command):
        return True
    return re.search(r"""(?:^|\s)\$?'""", command) is None and re.search(r'[^\s"]""[^\s"]', command) is not None


_ENDS: Final = ";|&<>"
"""Characters that end a command in a shell."""


def _posix(command: str) -> list[str]:
    words: list[str] = []
    word: list[str] | None = None
    at, end = 0, len(command)
    while at < end:
        char = command[at]
        if char in " \t\r\n":
            if word is not None:
                words.append("".join(word))
                word = None
            at += 1
        elif char in _ENDS:
            break
        elif char == "\\" and command[at + 1 : at + 2] in ("\n", "\r", ""):
            at += 3 if command[at + 1 : at + 3] == "\r\n" else 2
        else:
            piece, at = _posix_piece(command, at)
            word = [*(word or ()), piece]
    return words if word is None else [*words, "".join(word)]


def _posix_piece(command: str, at: int) -> tuple[str, int]:
    """One quoted or plain piece of a word, and where it ends."""
    char = command[at]
    if command.startswith("$'", at):
        return _ansi_c(command, at + 2)
    if char == "'":
        close = command.find("'", at + 1)
        if close < 0:
            raise UnclosedQuote(command[at:])
        return command[at + 1 : close], close + 1
    if char == '"':
        return _double_quoted(command, at + 1)
    if char == "\\":
        return command[at + 1], at + 2
    return char, at + 1


def _double_quoted(command: str, at: int) -> tuple[str, int]:
    start = at - 1
    piece: list[str] = []
    while at < len(command) and command[at] != '"':
        if command[at] == "\\" and command[at + 1 : at + 2] in ('"', "\\", "$", "`"):
            at += 1
        piece.append(command[at])
        at += 1
    if at >= len(command):
        raise UnclosedQuote(command[start:])
    return "".join(piece), at + 1


_ESCAPE: Final = re.compile(
    r"\\(?:x(?P<x>[0-9A-Fa-f]{1,2})|u(?P<u>[0-9A-Fa-f]{1,4})|U(?P<U>[0-9A-Fa-f]{1,8})|(?P<o>[0-7]{1,3})|(?P<c>.))", re.DOTALL
)
_NAMED: Final = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}


def _ansi_c(command: str, at: int) -> tuple[str, int]:
    """The rest of $'…', in which a backslash means what it does in C."""
    start = at - 2
    piece: list[str] = []
    while at < len(command) and command[at] != "'":
        match = _ESCAPE.match(command, at)
        if match is None:
            piece.append(command[at])
            at += 1
            continue
        at = match.end()
        if match["c"] is not None:
            piece.append(_NAMED.get(match["c"], match["c"]))
        else:
            number = int(match["o"], 8) if match["o"] else int(match["x"] or match["u"] or match["U"], 16)
            piece.append(chr(number) if number <= 0x10FFFF else "\ufffd")
    if at >= len(command):
        raise UnclosedQuote(command[start:])
    return "".join(piece), at + 1


def _windows(command: str) -> list[str]:
    """First as cmd.exe takes carets out, then as a program's start-up cuts its command line (" and \\ alone mean anything)."""
    text = re.sub(r"\^(\r?\n\r?\n|\r?\n|.|$)", _without_caret, command, flags=re.DOTALL)
    words: list[str] = []
    word: list[str] | None = None
    quoted = False
    at, opened = 0, 0
    while at < len(text):
        char = text[at]
        slashes = len(text[at:]) - len(text[at:].lstrip("\\")) if char == "\\" else 0
        if slashes:
            at += slashes
            before_quote = text[at : at + 1] == '"'
            word = [*(word or ()), "\\" * (slashes // 2 if before_quote else slashes)]
            if before_quote and slashes % 2:
                word.append('"')
                at += 1
            continue
        if char == '"':
            word = word or []
            if quoted and text[at + 1 : at + 2] == '"':
                word.append('"')
                at += 2
                continue
            quoted, opened = not quoted, at
        elif char in " \t\r\n" and not quoted:
            if word is not None:
                words.append("".join(word))
                word = None
        elif char in "&|" and not quoted:
            break
        else:
            word = [*(word or ()), char]
        at += 1
    if quoted:
        raise UnclosedQuote(text[opened:])
    return words if word is None else [*words, "".join(word)]


def _without_caret(match: re.Match[str]) -> str:
    """A caret takes the meaning of what follows: a line break goes, of two one stays."""
    after = match[1]
    if after.strip("\r\n"):
        return after
    return "\n" if after.count("\n") == 2 else " " if after else ""
