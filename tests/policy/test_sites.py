"""Host patterns: exact, the longest suffix, any."""

from __future__ import annotations

import pytest

from proxyguard.policy.sites import HostTable

TABLE = HostTable([("example.org", "exact"), ("*.example.org", "sub"), ("*.b.example.org", "deep"), ("*", "any")])


@pytest.mark.parametrize(
    ("host", "found"),
    [
        (b"example.org", "exact"),
        (b"www.example.org", "sub"),
        (b"x.y.example.org", "sub"),
        (b"a.b.example.org", "deep"),
        (b"b.example.org", "sub"),
        (b"notexample.org", "any"),
        (b"", "any"),
        (b".", "any"),
    ],
)
def test_the_most_specific_pattern_wins(host: bytes, found: str) -> None:
    assert TABLE.find(host) == found


def test_without_a_catch_all_unknown_hosts_are_unknown() -> None:
    assert HostTable([("*.example.org", 1)]).find(b"example.org") is None
