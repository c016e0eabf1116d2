"""Many patterns on one text at once, in time linear in the text: RE2 sets that cannot miss without being noticed.

Decides how a matcher's text becomes an RE2 pattern; knows nothing of fields or rules. RE2 works on bytes here (Latin-1: one
byte, one character), and ASCII case is folded by hand where a matcher asks for it.

`re2.Set.Match` answers *no match* when its automaton runs out of memory. Each set therefore carries one pattern that matches
every text; an answer without it is a failure, and the patterns are then tried one by one, which cannot fail.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final, assert_never

import re2

from proxyguard.policy.compile.cooperative import YieldControl, never_yield
from proxyguard.policy.error import PolicyError
from proxyguard.policy.model import TextKind

MAX_SET_MEMORY_BYTES: Final = 16 << 20
"""For the automaton of one set, which grows with the texts it meets and is thrown away when it reaches this. 1,500 user-agent
patterns need 2 MiB to compile and meet a day of user agents in 4 MiB; throwing 16 MiB away takes 10 ms, 64 MiB 30 ms."""

MIN_SET_MEMORY_BYTES: Final = 8 << 20
PATTERN_MEMORY_BYTES: Final = 16 << 10
"""A small set gets so much, and so much more a pattern, up to the maximum."""

MAX_PATTERN_MEMORY_BYTES: Final = 8 << 20
"""For one pattern alone: RE2's own default."""

MAX_SET_PATTERNS: Final = 2000
"""Compiling a set holds the interpreter: about 4 ms for so many."""

_ALWAYS: Final = rb"\A"
_NOT_ALNUM_BEFORE: Final = rb"(?:\A|[^0-9A-Za-z])"
_NOT_ALNUM_AFTER: Final = rb"(?:\z|[^0-9A-Za-z])"


def pattern_of(kind: TextKind, text: bytes) -> bytes:
    """The RE2 pattern, unanchored, that finds what the matcher means."""
    match kind:
        case TextKind.EQUAL:
            return rb"\A" + literal(text) + rb"\z"
        case TextKind.PREFIX:
            return rb"\A" + literal(text)
        case TextKind.SUFFIX:
            return literal(text) + rb"\z"
        case TextKind.CONTAINS:
            return literal(text)
        case TextKind.CONTAINS_ANY:
            return literal(text, fold=True)
        case TextKind.WORD:
            return _NOT_ALNUM_BEFORE + literal(text, fold=True) + _NOT_ALNUM_AFTER
        case TextKind.GLOB:
            return rb"\A" + b"".join(_GLOB.get(byte) or _byte(byte) for byte in text) + rb"\z"
        case TextKind.REGEX:
            return text
        case _:
            assert_never(kind)


_BEGINNING: Final = re.compile(rb"(?:\\A|\^)((?:[A-Za-z0-9/_-]|\\x[0-9a-f]{2}|\\[^0-9A-Za-z])+)(?![*+?{]|\(\?)")
_ESCAPED: Final = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))", re.DOTALL)
_PART: Final = re.compile(rb"\\.|\[\^?\]?(?:\\.|\[:\^?[a-z]+:\]|[^\]\\])*\]|[(|)]", re.DOTALL)
"""What decides whether a `|` parts a whole pattern: escapes and classes, in which it does not, and groups."""
_ANCHOR: Final = re.compile(rb"\\A|\^")
_PIECE: Final = re.compile(
    rb"(?:\((?:\?:)?([\w/=&|-]*[\w/=&-])\)|\[((?:[\w/=&](?:-[\w/=&])?)+)\]|([\w/=&-]))([?*]|\{0)?", re.ASCII
)
"""A group of plain words, a class of plain bytes or one such byte, and whether it may be missing."""
_RANGE: Final = re.compile(rb"(.)(?:-(.))?")
_FLAG: Final = re.compile(rb"\(\?[^:P]")


def beginnings(pattern: bytes) -> tuple[bytes, ...]:
    """Every text in which a pattern is found begins with one of these; none where that cannot be told at a glance."""
    if b"\\Q" in pattern or _is_parted(pattern):
        return ()
    found = _BEGINNING.match(pattern)
    if found is not None:
        return (_ESCAPED.sub(lambda escape: bytes.fromhex(escape[1].decode()) if escape[1] else escape[2], found[1]),)
    return _first_bytes(pattern)


def _is_parted(pattern: bytes) -> bool:
    """Whether a pattern is several, with a `|` between them."""
    depth = 0
    for part in _PART.findall(pattern):
        depth += (part == b"(") - (part == b")")
        if part == b"|" and not depth:
            return True
    return False


def _first_bytes(pattern: bytes) -> tuple[bytes, ...]:
    """The bytes that a text may begin with in which a pattern is found that begins with plain pieces."""
    anchor = _ANCHOR.match(pattern) if _FLAG.search(pattern) is None else None  # RE2 repeats what stands before a flag
    found: set[bytes] = set()
    at = 0 if anchor is None else anchor.end()
    while at:
        piece = _PIECE.match(pattern, at)
        if piece is None:
            return ()
        words, ranges, byte, may_be_missing = piece.groups()
        if ranges:
            for first, last in _RANGE.findall(ranges):
                found.update(b"%c" % each for each in range(ord(first), ord(last or first) + 1))
        else:
            found.update(word[:1] for word in (words or byte).split(b"|"))
        at = piece.end() if may_be_missing else 0
    return () if b"" in found else tuple(sorted(found))  # empty: one of several words


def literal(text: bytes, *, fold: bool = False) -> bytes:
    """A pattern for exactly these bytes; with `fold`, for either case of ASCII letters."""
    return b"".join(_either_case(byte) if fold else _byte(byte) for byte in text)


def compile_pattern(pattern: bytes) -> Any:
    """One pattern alone; `.search(text)` tells. Raises PolicyError when RE2 refuses it."""
    try:
        return re2.compile(pattern, _options(MAX_PATTERN_MEMORY_BYTES))
    except re2.error as error:
        shown = pattern[:60].decode("utf-8", "backslashreplace")
        raise PolicyError(f"the pattern {shown!r} cannot be compiled: {_error_text(error)}") from error


class PatternSet:
    """Finds which of its patterns occur in a text. Positions are those of the sequence it was made from."""

    __slots__ = ("_parts",)

    def __init__(
        self, patterns: Sequence[bytes], *, memory_bytes: int | None = None, yield_control: YieldControl = never_yield
    ) -> None:
        """`memory_bytes` bounds each automaton. Raises PolicyError when a pattern cannot be compiled even alone."""
        self._parts: list[_Part] = []
        for start in range(0, len(patterns), MAX_SET_PATTERNS):
            self._add(start, patterns[start : start + MAX_SET_PATTERNS], memory_bytes, yield_control)

    def _add(self, first: int, patterns: Sequence[bytes], memory_bytes: int | None, yield_control: YieldControl) -> None:
        """Compile the patterns as one set, or as two when they are too much for one."""
        yield_control()
        part = _Part(first, patterns, memory_bytes or _memory_for(patterns))
        if part.match is not None or len(patterns) == 1:
            self._parts.append(part)
            return
        half = len(patterns) // 2
        self._add(first, patterns[:half], memory_bytes, yield_control)
        self._add(first + half, patterns[half:], memory_bytes, yield_control)

    @property
    def parts(self) -> int:
        """How many RE2 sets a look-up asks."""
        return len(self._parts)

    def find(self, text: bytes) -> list[int]:
        """Positions of the patterns that occur in `text`, each once, in no order."""
        parts = self._parts
        if len(parts) == 1:
            return parts[0].find(text)
        return [position for part in parts for position in part.find(text)]


class _Part:
    """One RE2 set over a run of patterns, or (`match` None) patterns that can only be tried alone."""

    __slots__ = ("_first", "_patterns", "_sentinel", "_singles", "match")

    def __init__(self, first: int, patterns: Sequence[bytes], memory_bytes: int) -> None:
        self._first = first
        self._patterns = patterns
        self._sentinel = len(patterns)
        self._singles: list[Any] | None = None
        self.match: Any = None
        found = re2.Set.SearchSet(_options(memory_bytes))
        try:
            for pattern in (*patterns, _ALWAYS):
                found.Add(pattern)
            found.Compile()
        except re2.error:
            if len(patterns) == 1:
                self._singles = [compile_pattern(patterns[0])]
        else:
            self.match = found.Match

    def find(self, text: bytes) -> list[int]:
        found: list[int] | None = self.match(text) if self.match is not None else None
        if found is None or self._sentinel not in found:
            return self._find_singly(text)
        if len(found) == 1:
            return []
        found.remove(self._sentinel)
        return [self._first + position for position in found] if self._first else found

    def _find_singly(self, text: bytes) -> list[int]:
        if self._singles is None:
            self._singles = [compile_pattern(pattern) for pattern in self._patterns]
        return [self._first + at for at, single in enumerate(self._singles) if single.search(text) is not None]


def _error_text(error: Exception) -> str:
    """RE2's words: its module hands on the bytes of them."""
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "backslashreplace") if isinstance(reason, bytes) else str(reason)


def _memory_for(patterns: Sequence[bytes]) -> int:
    return min(MAX_SET_MEMORY_BYTES, MIN_SET_MEMORY_BYTES + PATTERN_MEMORY_BYTES * len(patterns))


def _options(memory_bytes: int) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.max_mem = memory_bytes
    options.log_errors = False
    options.never_capture = True
    options.dot_nl = True  # a line break in a parameter hides nothing from `union.*select`
    return options


def _byte(byte: int) -> bytes:
    return b"%c" % byte if byte < 0x80 and chr(byte).isalnum() else rb"\x%02x" % byte


def _either_case(byte: int) -> bytes:
    char = b"%c" % byte
    return b"[%b%b]" % (char.lower(), char.upper()) if char.isalpha() else _byte(byte)


_GLOB: Final = {ord("*"): b".*", ord("?"): b"."}
