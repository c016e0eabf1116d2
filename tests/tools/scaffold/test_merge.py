"""Three-way merges: whatever both changed is kept, or the place is named."""

from __future__ import annotations

from random import Random

import pytest

from proxyguard.tools.scaffold.merge import Conflict, merged

BASE = "a\nb\nc\nd\ne\nf\n"


@pytest.mark.parametrize(
    ("ours", "theirs", "result"),
    [
        (BASE, BASE, BASE),
        ("A\nb\nc\nd\ne\nf\n", "a\nb\nc\nd\ne\nF\n", "A\nb\nc\nd\ne\nF\n"),
        ("b\nc\nd\ne\nf\n", "a\nb\nc\nd\nx\ne\nf\n", "b\nc\nd\nx\ne\nf\n"),
        ("a\nb\nC\nd\ne\nf\n", "a\nb\nC\nd\ne\nf\nnew\n", "a\nb\nC\nd\ne\nf\nnew\n"),
        ("a\nb\nC\nd\ne\nf\n", "a\nb\nX\nd\ne\nf\n", Conflict(3)),
        ("a\nb\nC\nd\ne\nf\n", "a\nb\nd\ne\nf\n", Conflict(3)),
        ("a\nb\nC\nd\ne\nf\n", "a\nb\nc\nD\ne\nf\n", Conflict(3)),
        ("new\na\nb\nc\nd\nE\nf\n", "a\nb\nc\nd\ne2\nf\n", Conflict(6)),
        ("a\nb\nc\nd\ne\nf", "a\nb\nc\nd\ne\nf\ng\n", Conflict(6)),
        ("", BASE + "g\n", Conflict(1)),
        ("a\r\nb\n", "a\nb\nc\nd\ne\nf\n", "a\r\nb\n"),
    ],
)
def test_two_changes(ours: str, theirs: str, result: str | Conflict) -> None:
    assert merged(BASE, ours, theirs) == result


def test_no_line_of_either_is_lost() -> None:
    random = Random(7)
    merges = 0
    for _ in range(400):
        base = [f"{number}\n" for number in range(12)]
        ours, theirs = _edited(base, "o", random), _edited(base, "t", random)
        result = merged("".join(base), "".join(ours), "".join(theirs))
        if isinstance(result, Conflict):
            continue
        merges += 1
        lines = result.splitlines(keepends=True)
        assert [line for line in lines if line[0] == "o"] == [line for line in ours if line[0] == "o"]
        assert [line for line in lines if line[0] == "t"] == [line for line in theirs if line[0] == "t"]
        assert [line for line in lines if line in base] == [line for line in base if line in ours and line in theirs]
    assert merges > 50


def _edited(base: list[str], mark: str, random: Random) -> list[str]:
    lines = list(base)
    for number in range(random.randrange(3)):
        at = random.randrange(len(lines))
        lines[at : at + random.randrange(2)] = [f"{mark}{number}\n"] * random.randrange(2)
    return lines
