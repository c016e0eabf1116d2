"""Which texts a path compares with, as a site reads it."""

from __future__ import annotations

from random import Random

import pytest

from proxyguard.core.reading import LOOSE, PRESETS, STRICT, SiteReading
from proxyguard.policy.compile.path_index import Marked, path_finder, read_texts
from proxyguard.policy.compile.text_index import TextIndex
from proxyguard.policy.model import TextKind

PIECES = [b"/", b"a", b"b", b"/a", b"/a/", b".js", b"-"]
KINDS = [*TextKind]


@pytest.mark.parametrize("reading", [STRICT, LOOSE, PRESETS["django"]], ids=("strict", "loose", "django"))
def test_what_looks_inside_of_a_path_finds_it_with_and_without_the_slash_that_makes_no_difference(reading: SiteReading) -> None:
    random, found = Random(5), 0
    for _ in range(1_000):
        kinds = random.choices(KINDS, k=random.randrange(1, 3))
        texts = [(kind, _text(random, kind), mark) for mark, kind in enumerate(kinds)]
        find = path_finder(texts, reading)
        for _ in range(5):
            path = reading.fold(b"/" + b"".join(random.choices(PIECES, k=random.randrange(4))))
            marks = _each_alone(texts, path, reading)
            assert set(find(path) or ()) == marks, (texts, path)
            found += len(marks)
    assert found > 500


def _text(random: Random, kind: TextKind) -> bytes:
    pieces = [*PIECES, b"*", b"*", b"?"] if kind is TextKind.GLOB else PIECES
    text = b"".join(random.choices(pieces, k=random.randrange(1, 4)))
    return text + b"$" if kind is TextKind.REGEX and random.random() < 0.5 else text


def _each_alone(texts: list[Marked], path: bytes, reading: SiteReading) -> set[int]:
    """The marks of texts that are asked one by one, about the path and about what a slash makes of it."""
    marks: set[int] = set()
    for kind, text, mark in [each for one in texts for each in read_texts(*one, reading)]:
        paths = {path}
        if kind is TextKind.EQUAL:
            paths = {reading.whole(path)}
        elif kind is not TextKind.PREFIX and reading.trailing_slash and path != b"/":
            paths.add(path + b"/")
        find = TextIndex([(kind, text, mark)]).find
        marks.update(*map(find, paths))
    return marks
