"""The index of a field's texts answers as comparing with each text would."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.policy.compile.text_index import (
    MEMO_VALUE_BYTES,
    MEMO_VALUES,
    PrefixTable,
    TextIndex,
    WordTable,
    simplest,
    stands_in,
)
from proxyguard.policy.model import TextKind
from tests.naive import compares

small = st.binary(max_size=6).map(lambda raw: bytes(b"abA-1 \xe9"[byte % 7] for byte in raw))
kinds = st.sampled_from([kind for kind in TextKind if kind is not TextKind.REGEX])
globs = st.text("ab*?", max_size=5).map(str.encode)


@given(st.lists(st.tuples(kinds, small), max_size=12), st.lists(small, min_size=1, max_size=8))
def test_the_marks_are_those_of_the_texts_that_compare(texts: list[tuple[TextKind, bytes]], values: list[bytes]) -> None:
    index = TextIndex((kind, text, mark) for mark, (kind, text) in enumerate(texts))
    for value in (*values, *values):
        expected = {mark for mark, (kind, text) in enumerate(texts) if compares(kind, text, value)}
        assert set(index.find(value)) == expected
        assert set(index.finder()(value) or ()) == expected
        assert set(index.finder(remembers=False)(value) or ()) == expected
        by_hash = index.finder(is_secret=True)
        assert [set(by_hash(value) or ()) for _ in range(2)] == [expected, expected]


@given(globs, st.text("ab*", max_size=6).map(str.encode))
def test_a_simpler_matcher_means_the_same_as_the_glob(glob: bytes, value: bytes) -> None:
    kind, text = simplest(TextKind.GLOB, glob)
    assert compares(kind, text, value) is compares(TextKind.GLOB, glob, value)


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        (b"/a/*", (TextKind.PREFIX, b"/a/")),
        (b"*.js", (TextKind.SUFFIX, b".js")),
        (b"*x*", (TextKind.CONTAINS, b"x")),
        (b"x", (TextKind.EQUAL, b"x")),
        (b"*", (TextKind.CONTAINS, b"")),
        (b"", (TextKind.EQUAL, b"")),
        (b"a*b", (TextKind.GLOB, b"a*b")),
        (b"?", (TextKind.GLOB, b"?")),
    ],
)
def test_globs_are_said_more_simply(glob: bytes, expected: tuple[TextKind, bytes]) -> None:
    assert simplest(TextKind.GLOB, glob) == expected


@given(st.lists(small, max_size=20, unique=True), small)
def test_all_prefixes_of_a_value_are_found_at_once(prefixes: list[bytes], value: bytes) -> None:
    table = PrefixTable({prefix: (mark,) for mark, prefix in enumerate(prefixes)})
    assert set(table.find(value)) == {mark for mark, prefix in enumerate(prefixes) if value.startswith(prefix)}


@pytest.mark.parametrize(
    ("word", "value", "stands"),
    [
        (b"curl", b"curl/8.5", True),
        (b"curl", b"curlx curl", True),
        (b"curl", b"xcurl", False),
        (b"a-b", b"1a-b a-b", True),
        (b"-", b"a-b", False),
        (b"-", b"a -", True),
    ],
)
def test_where_a_word_stands(word: bytes, value: bytes, *, stands: bool) -> None:
    assert stands_in(word, value) is stands


def test_a_phrase_is_looked_for_only_where_its_rarest_token_is() -> None:
    table = WordTable({b"x bot": (1,), b"y bot": (2,), b"bot": (3,)})
    assert set(table._phrases) == {b"x", b"y"}
    marks: set[int] = set()
    table.collect(b"an X Bot", marks)
    assert marks == {1, 3}


def test_all_of_a_value_is_looked_at_however_long() -> None:
    kinds = (TextKind.CONTAINS, TextKind.WORD, TextKind.SUFFIX, TextKind.CONTAINS_ANY)
    texts = [(kind, b"end", mark) for mark, kind in enumerate(kinds, 1)]
    long = b"a" * 200_000
    assert set(TextIndex(texts).find(long + b" end")) == {1, 2, 3, 4}
    assert set(TextIndex([(TextKind.EQUAL, long[:8192], 1)]).finder()(long) or ()) == set()


@pytest.mark.parametrize("is_secret", [False, True])
def test_a_flood_of_new_values_changes_no_answer(is_secret: bool) -> None:
    find = TextIndex([(TextKind.WORD, b"bot", 1)]).finder(is_secret=is_secret)
    rng = random.Random(1)
    for number in range(3 * MEMO_VALUES):
        assert not find(b"%x-" % rng.getrandbits(64))
        if number % 1000 == 0:
            assert set(find(b"a bot") or ()) == {1}
    for length in (MEMO_VALUE_BYTES, MEMO_VALUE_BYTES + 1):
        for _ in range(2):
            assert set(find(b" bot".rjust(length, b"x")) or ()) == {1}
            assert set(find(b"xbot".rjust(length, b"x")) or ()) == set()


def test_ten_thousand_texts_anywhere_in_either_case() -> None:
    texts = [f"scraper-{number}x".encode() for number in range(10_000)] + [b"bot", b"", b"a"]
    index = TextIndex([(TextKind.CONTAINS_ANY, text, mark) for mark, text in enumerate(texts)])
    assert index.find(b"Mozilla/5.0 (compatible; SCRAPER-4711X/2; +https://e.org)") == {4711, 10_001, 10_002}
    assert index.find(b"RoBot") == {10_000, 10_001}
    assert index.find(b"scraper-12") == {10_001, 10_002}
    assert index.find(b"") == {10_001}
