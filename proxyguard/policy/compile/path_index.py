"""Texts of rules about paths, as a site reads them: which marks a path has that was folded the same way.

A text that is compared as a whole is folded like a path. The beginning of one is a beginning after folding too, and the page
itself: `/feeds/` begins `/feeds/a` and is `/feeds`, where a slash at the end makes no difference. What looks inside of a path
is asked about the path with and without that slash. Knows nothing of rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from proxyguard.core.reading import SiteReading
from proxyguard.policy.compile.cooperative import YieldControl, never_yield
from proxyguard.policy.compile.text_index import Find, TextIndex, joined, simplest
from proxyguard.policy.model import TextKind

Marked = tuple[TextKind, bytes, int]

_INSIDE: Final = (
    TextKind.CONTAINS, TextKind.CONTAINS_ANY, TextKind.GLOB, TextKind.REGEX, TextKind.WORD, TextKind.SUFFIX,
)  # fmt: skip
_ANYWHERE: Final = (TextKind.PREFIX, TextKind.CONTAINS, TextKind.CONTAINS_ANY, TextKind.WORD)
"""What is found in a path by these is found where a slash follows as well."""


def path_finder(texts: Sequence[Marked], reading: SiteReading, yield_control: YieldControl = never_yield) -> Find:
    """A function from a path, folded by `reading`, to the marks of every text that it compares with, or None for none."""
    read = [each for text in texts for each in read_texts(*text, reading)]
    whole = _finder([each for each in read if each[0] is TextKind.EQUAL], yield_control)
    begins = _finder([each for each in read if each[0] is TextKind.PREFIX], yield_control)
    within = [each for each in read if each[0] in _INSIDE]
    inside = _finder(within, yield_control)
    is_slash_enough = reading.trailing_slash and all(simplest(kind, text)[0] in _ANYWHERE for kind, text, _ in within)

    def find(path: bytes) -> Collection[int] | None:
        found: Collection[int] | None = None
        if whole is not None:
            found = whole(reading.whole(path))
        if begins is not None:
            found = joined(found, begins(path))
        if inside is not None:
            if path == b"/" or not is_slash_enough:
                found = joined(found, inside(path))
            if reading.trailing_slash and path != b"/":
                found = joined(found, inside(path + b"/"))
        return found

    return find


def named_path(path: bytes) -> tuple[TextKind, bytes]:
    """A path of a rule file in which `*` and `?` stand for what differs, as a text to look for."""
    return (TextKind.GLOB if b"*" in path or b"?" in path else TextKind.EQUAL), path


def _finder(texts: Sequence[Marked], yield_control: YieldControl) -> Find | None:
    return TextIndex(texts, yield_control).finder() if texts else None


def read_texts(kind: TextKind, text: bytes, mark: int, reading: SiteReading) -> Iterator[Marked]:
    """The texts that a rule's text becomes."""
    match kind:
        case TextKind.EQUAL:
            yield kind, whole_text(text, reading), mark
        case TextKind.PREFIX:
            yield kind, _folded(text, reading), mark
            if text != b"/":
                yield TextKind.EQUAL, whole_text(text, reading), mark
        case TextKind.REGEX:
            yield kind, b"(?i)" + text if reading.ignore_case else text, mark
        case _:
            yield kind, _folded(text, reading), mark


def whole_text(text: bytes, reading: SiteReading) -> bytes:
    """A whole path that a rule names, as requests for that page are read."""
    return reading.whole(reading.fold(text))


def _folded(text: bytes, reading: SiteReading) -> bytes:
    return reading.fold_case(text) if reading.ignore_case else text


def differs(kind: TextKind, texts: Iterable[bytes], reading: SiteReading) -> Iterator[tuple[bytes, bytes]]:
    """Texts of whole paths that the site reads otherwise than they were written, and how."""
    if kind is TextKind.EQUAL:
        for text in texts:
            read = whole_text(text, reading)
            if read != text:
                yield text, read
