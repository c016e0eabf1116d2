"""References are distinct and of one form, from one process and from several."""

from __future__ import annotations

import re

from proxyguard.core.references import MADE_AT_ONCE, References


def test_references_are_16_hexadecimal_digits_and_distinct() -> None:
    one, other = References(), References()
    found = [each.next() for each in (one, other) for _ in range(3 * MADE_AT_ONCE)]
    assert len(set(found)) == len(found)
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in found)
