"""Which numbers servers read from a text: what each of these reads is among them."""

from __future__ import annotations

from math import inf

import pytest

from proxyguard.policy.compile.numbers import numbers_of

FIVE_HUNDRED = [
    b"500", b"0500", b"0000000000000000500", b"0" * 8000 + b"500", b"+500", b" 500", b"\t\n\r\v\f500", b"500 ", b"500abc",
    b"500.", b"500\0",
    b"\x00500", b"5e2", b"5E+2", b"50.0e1", b".5e3", b"0x1f4", b"0X1F4z", b"0o764", b"0b111110100", b"0764", b"5_00", b"500_",
    b"0x1_f4",
    b"\xef\xbc\x95\xef\xbc\x90\xef\xbc\x90", b"\xd9\xa5\xd9\xa0\xd9\xa0", "\u00a0500".encode(), "\ufeff500".encode(),
    b"500,7", b"500;x", b"++500",
]  # fmt: skip


@pytest.mark.parametrize("text", FIVE_HUNDRED)
def test_five_hundred_is_read(text: bytes) -> None:
    assert 500.0 in numbers_of(text)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (b"", set()), (b"abc", set()), (b"nan", set()), (b"-", set()), (b".", set()), (b"7", {7.0}), (b"-500", {-500.0}),
        (b"1.5", {1.0, 1.5}), (b"5_00", {5.0, 500.0}), (b"inf", {inf}), (b"1e999", {1.0, inf}), (b"9" * 5000, {inf}), (b"--5",
        {5.0, -5.0}),
        (b"0x", {0.0}), (b"\xff5", set()),
    ],
)  # fmt: skip
def test_the_numbers_of_a_text(text: bytes, numbers: set[float]) -> None:
    assert set(numbers_of(text)) == numbers
