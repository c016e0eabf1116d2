"""RE2 sets: what each matcher becomes, and that no pattern is ever missed, whatever the memory."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.policy.compile.pattern_set import MAX_SET_PATTERNS, PatternSet, beginnings, compile_pattern, pattern_of
from proxyguard.policy.error import PolicyError
from proxyguard.policy.model import TextKind


@pytest.mark.parametrize(
    ("kind", "text", "pattern"),
    [
        (TextKind.EQUAL, b"a.b", rb"\Aa\x2eb\z"),
        (TextKind.PREFIX, b"/a", rb"\A\x2fa"),
        (TextKind.SUFFIX, b".js", rb"\x2ejs\z"),
        (TextKind.CONTAINS, b"\xc3\xa9", rb"\xc3\xa9"),
        (TextKind.WORD, b"Go-1", rb"(?:\A|[^0-9A-Za-z])[gG][oO]\x2d1(?:\z|[^0-9A-Za-z])"),
        (TextKind.GLOB, b"a*?", rb"\Aa.*.\z"),
        (TextKind.REGEX, rb"^a|b$", rb"^a|b$"),
    ],
)
def test_each_matcher_becomes_a_pattern(kind: TextKind, text: bytes, pattern: bytes) -> None:
    assert pattern_of(kind, text) == pattern


@pytest.mark.parametrize(
    ("kind", "text", "value", "found"),
    [
        (TextKind.WORD, b"bot", b"a Bot/1", True),
        (TextKind.WORD, b"bot", b"robot", False),
        (TextKind.WORD, b"bot", b"bot2", False),
        (TextKind.WORD, b"bot", b"x_bot_y", True),
        (TextKind.WORD, b"bot", b"\xe9bot\xe9", True),
        (TextKind.WORD, b"\xc3\xa9", b"\xe3\xa9", False),  # case is folded for ASCII only
        (TextKind.WORD, b"k", b"\xe2\x84\xaa", False),  # the Kelvin sign is no k
        (TextKind.GLOB, b"a*z", b"a\nz", True),
        (TextKind.GLOB, b"a?z", b"a\xffz", True),
        (TextKind.GLOB, b"a?z", b"az", False),
        (TextKind.GLOB, b"[a]", b"a", False),
        (TextKind.REGEX, rb"a$", b"a\n", False),
        (TextKind.REGEX, rb"union.*select", b"1 union\nselect 2", True),
        (TextKind.REGEX, rb"(?-s)a.b", b"a\nb", False),
        (TextKind.REGEX, rb"\d", b"\xd9\xa1", False),
    ],
)
def test_what_a_pattern_finds(kind: TextKind, text: bytes, value: bytes, *, found: bool) -> None:
    assert PatternSet([pattern_of(kind, text)]).find(value) == ([0] if found else [])


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (rb"^/\.well-known/(a|b)/[^/|]+$", (b"/.well-known/",)),
        (pattern_of(TextKind.GLOB, b"/a/*.b"), (b"/a/",)),
        (rb"^ab*", (b"a",)),
        (rb"^ab{2}", (b"a",)),
        (rb"^ab(?i)*", (b"a",)),  # RE2 repeats what stands before the flag
        (rb"^ab(?:c)", (b"a",)),
        (rb"^a", (b"a",)),
        (rb"^a[\]|]b", (b"a",)),
        (rb"^a[]|]b", (b"a",)),
        (rb"^a[^]|]b", (b"a",)),
        (rb"^a[[:alpha:]|]b", (b"a",)),
        (rb"^a\|b", (b"a|b",)),
        (rb"^a|b", ()),
        (rb"^a[\][]|b]", ()),
        (rb"^a\Q(\E|b", ()),
        (rb"^(ab)", (b"a",)),
        (rb"^(v=)?[0-3]{1,16}$", (b"0", b"1", b"2", b"3", b"v")),
        (rb"^(rel|by)=[^&]+$", (b"b", b"r")),
        (rb"^[a-bx]*-c{0,2}", (b"-", b"a", b"b", b"x")),
        (rb"^a{0}b", ()),
        (rb"^a?", ()),
        (rb"^a?(?:|b)c", ()),
        (rb"^(a||b)c", ()),
        (rb"^[a-]b", ()),
        (rb"^[^a]b", ()),
        (rb"^a+(?i)*", ()),
        (rb"(?i)^ab", ()),
        (rb"(?m)^ab", ()),
        (rb"ab", ()),
        (rb"^\bab", ()),
        (rb"^*", ()),
    ],
)
def test_what_a_pattern_begins_with_is_told_at_a_glance(pattern: bytes, found: tuple[bytes, ...]) -> None:
    assert beginnings(pattern) == found


_PIECES = (
    "a",
    "b",
    "/",
    "^",
    "|",
    "(",
    ")",
    "[",
    "]",
    "[^",
    "\\",
    "\\Q",
    "\\E",
    "\\x61",
    "\\A",
    "*",
    "?",
    "{2}",
    ".",
    ":",
    "[:alpha:]",
    "(?i)",
    "(?m)",
    "(?:",
    "[a-b]",
    "{0,2}",
    "+",
    "\n",
)


@given(
    st.lists(st.sampled_from(_PIECES), max_size=8).map("".join),
    st.sampled_from(("^", "^a", "\\A/", "")),
    st.lists(st.text("ab/|^[](\n:", max_size=5).map(str.encode), min_size=8, max_size=8),
)
def test_no_text_begins_otherwise_in_which_a_pattern_is_found(rest: str, start: str, values: list[bytes]) -> None:
    pattern = (start + rest).encode()
    found = beginnings(pattern)
    if not found:
        return
    try:
        compiled = compile_pattern(pattern)
    except PolicyError:
        return
    for value in values:
        assert compiled.search(value) is None or value.startswith(found)


def test_more_patterns_than_one_set_takes_keep_their_positions() -> None:
    patterns = [b"<%d>" % number for number in range(MAX_SET_PATTERNS * 2 + 10)]
    many = PatternSet(patterns)
    assert many.parts == 3
    wanted = [0, 1, MAX_SET_PATTERNS - 1, MAX_SET_PATTERNS, MAX_SET_PATTERNS * 2 + 9]
    assert sorted(many.find(b"".join(patterns[at] for at in wanted))) == wanted
    assert many.find(b"nothing") == []


def test_no_patterns_find_nothing() -> None:
    assert PatternSet([]).find(b"anything") == []


def test_a_set_too_large_for_its_memory_is_split_and_still_finds_everything() -> None:
    rng = random.Random(5)
    patterns = [b"".join(rng.choices([b"ab", b"cd.", b"e+f", b"[gh]{1,3}", b"i"], k=6)) for _ in range(300)]
    small = PatternSet(patterns, memory_bytes=200_000)
    assert small.parts > 1
    for _ in range(50):
        text = bytes(rng.choices(b"abcdefghi.", k=500))
        assert sorted(small.find(text)) == [at for at, each in enumerate(patterns) if re.search(each, text)]


def test_a_pattern_that_fits_in_no_set_is_tried_alone() -> None:
    patterns = [b"a", b"(b|cd|efg){900}", b"z"]
    tiny = PatternSet(patterns, memory_bytes=60_000)
    assert tiny.find(b"a" + b"b" * 900) == [0, 1]
    assert tiny.find(b"z") == [2]


def test_a_set_that_answers_no_match_because_it_ran_out_of_memory_is_not_believed() -> None:
    """RE2 answers like this; the pattern that matches every text is then missing from the answer."""
    broken = PatternSet([b"abc", b"x", b"b+"])
    broken._parts[0].match = lambda _text: None
    assert broken.find(b"aabbcc abc") == [0, 2]
    broken._parts[0].match = lambda _text: [0]
    assert broken.find(b"bbb") == [2]


@pytest.mark.parametrize("seed", range(4))
def test_adversarial_texts_are_never_missed_under_little_memory(seed: int) -> None:
    """Texts made of pieces of the patterns visit a new state of the automaton at almost every byte."""
    rng = random.Random(seed)
    words = [bytes(rng.choices(b"abcdefgh", k=rng.randint(4, 9))) for _ in range(400)]
    found = PatternSet(words, memory_bytes=1 << 20)
    for _ in range(10):
        text = b"".join(word[: rng.randint(1, len(word))] for word in rng.choices(words, k=1500))[:8192]
        assert sorted(found.find(text)) == [at for at, word in enumerate(words) if word in text]


def test_a_pattern_that_re2_refuses_is_a_policy_error() -> None:
    with pytest.raises(PolicyError, match=r"^the pattern '\(a' cannot be compiled: missing \): \(a$"):
        PatternSet([b"(a"])
    with pytest.raises(PolicyError):
        compile_pattern(rb"(?=a)")
