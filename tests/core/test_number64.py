"""A number in two halves is the number."""

from __future__ import annotations

import pytest

from proxyguard.core.number64 import Number64


@pytest.mark.parametrize("number", [0, 1, 2**32 - 1, 2**32, 0x123456789ABCDEF0, 2**63, 2**64 - 1])
def test_a_number_is_the_same_however_it_is_given(number: int) -> None:
    for found in (Number64.of(number), Number64.read(number.to_bytes(8))):
        assert (found.high, found.low) == divmod(number, 2**32)
        assert found.whole == number
        assert str(found) == f"{number:016x}"
