"""Negative look-ahead without look-ahead: the same texts are found, held against Python's own `re`."""

from __future__ import annotations

import re

import pytest
import re2
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.tools.importers.look_ahead import without_look_ahead

WORDS = st.lists(
    st.tuples(st.text("ab.-", min_size=1, max_size=3), st.sampled_from(["", "$"])).map(lambda each: re.escape(each[0]) + each[1]),
    min_size=1,
    max_size=4,
)
BEFORE = st.sampled_from(["^/", "/", "^", "x/", r"/\.", "(?i)/", "^/(?:a|b)"])
REST = st.sampled_from(["", ".*", ".*$", "(.*)$", "(.*)", "$"])


@given(before=BEFORE, words=WORDS, rest=REST, grouped=st.booleans(), text=st.text("/ab.-xA", max_size=7))
def test_it_finds_what_look_ahead_finds(before: str, words: list[str], rest: str, *, grouped: bool, text: str) -> None:
    inner = "|".join(words)
    pattern = f"{before}(?!{f'({inner})' if grouped else inner}){rest}"
    spelt_out = without_look_ahead(pattern)
    assert "(?!" not in spelt_out
    assert bool(re2.search(spelt_out, text)) == bool(re.search(pattern, text))


@pytest.mark.parametrize(
    "pattern",
    [
        "^/[a-z]+$", "(?!a)b", "/(?!a+)", "/(a(?!b))", "/(?!a)(?!b)", "/(?!)", "/(?!a|)", "/(?!index.php)", "/(?<!a)b", r"\(?!a",
        "(?!" + "a" * 61 + ")", "(?!" + "|".join(f"a{number}" for number in range(41)) + ")", "/(?!a",
    ],
)  # fmt: skip
def test_what_cannot_be_spelt_out_stays(pattern: str) -> None:
    assert without_look_ahead(pattern) == pattern


def test_the_commonest_one() -> None:
    """Files that begin with a dot, but for those that certificate authorities ask for."""
    found = re2.compile(without_look_ahead(r"/\.(?!well-known)"))
    refused = ("/.env", "/a/.git/config", "/.w", "/.well-know", "/.well-known/../.env")
    assert all(found.search(path) for path in refused)
    assert not any(found.search(path) for path in ("/", "/a.b", "/.well-known/acme-challenge/x", "/.well-known"))
