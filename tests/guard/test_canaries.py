"""Canaries: what a token says, that nobody can make or change one, and that it is the same for the same decision."""

from __future__ import annotations

import pytest

from proxyguard.guard.canaries import TOKEN_CHARACTERS, Canaries, Canary, rule_mark
from proxyguard.guard.records import in_thousandths

REFERENCE = "0123456789abcdef"


def test_a_token_says_when_by_which_rule_and_under_which_reference() -> None:
    token = Canaries(b"s").token(1_800_000_000.999, "lost", REFERENCE)
    assert len(token) == TOKEN_CHARACTERS
    assert Canaries(b"s").read(token) == Canary(1_800_000_000, rule_mark("lost"), REFERENCE)
    assert Canaries(b"s").read(token.upper()) == Canaries(b"s").read(token)
    assert Canaries(b"s").token(1_800_000_000.0, "lost", REFERENCE) == token


def test_a_token_is_the_one_of_its_record_also_where_that_rounds_up_to_a_second() -> None:
    canaries, when = Canaries(b"s"), 1_800_000_000.9996
    assert canaries.token(when, "lost", REFERENCE) == canaries.token(in_thousandths(when), "lost", REFERENCE)


def test_tokens_have_nothing_in_common_that_tells_them_from_others() -> None:
    tokens = [Canaries(b"s").token(1_800_000_000 + n, "lost", REFERENCE) for n in range(50)]
    assert all(len({token[at : at + 8] for token in tokens}) == 50 for at in range(0, TOKEN_CHARACTERS, 8))


@pytest.mark.parametrize("text", ["", "0" * TOKEN_CHARACTERS, "g" * TOKEN_CHARACTERS, "é" * TOKEN_CHARACTERS, "ab" * 16])
def test_what_is_no_token_says_nothing(text: str) -> None:
    assert Canaries(b"s").read(text) is None


def test_a_token_of_another_key_or_a_changed_one_says_nothing() -> None:
    token = Canaries(b"s").token(1_800_000_000, "lost", REFERENCE)
    assert Canaries(b"t").read(token) is None
    for at in range(TOKEN_CHARACTERS):
        changed = token[:at] + ("0" if token[at] != "0" else "1") + token[at + 1 :]
        assert Canaries(b"s").read(changed) is None
