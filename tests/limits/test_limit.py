"""What a response costs, by what a limit counts."""

from __future__ import annotations

import pytest

from proxyguard.limits.limit import Count, CountKind, KeyKind, KeyPart

NOT_FOUND = Count(CountKind.STATUSES, statuses=((404, 404), (500, 599)))


@pytest.mark.parametrize(
    ("count", "response", "cost"),
    [
        (Count(), (200, 1000, 0.5), 0.0),
        (Count(CountKind.DISTINCT, of=KeyPart(KeyKind.PATH)), (200, 1000, 0.5), 0.0),
        (Count(CountKind.BYTES), (200, 1000, 0.5), 1000.0),
        (Count(CountKind.UPSTREAM_SECONDS), (200, 1000, 0.5), 0.5),
        (Count(CountKind.UPSTREAM_SECONDS), (503, 0, None), 0.0),
        (NOT_FOUND, (404, 0, 0.1), 1.0),
        (NOT_FOUND, (403, 0, 0.1), 0.0),
        (NOT_FOUND, (500, 0, 0.1), 1.0),
        (NOT_FOUND, (599, 0, 0.1), 1.0),
        (NOT_FOUND, (600, 0, 0.1), 0.0),
    ],
)
def test_a_response_costs_what_the_limit_counts(count: Count, response: tuple[int, int, float | None], cost: float) -> None:
    assert count.cost(*response) == cost


def test_requests_and_distinct_values_are_known_before_the_response() -> None:
    assert [kind for kind in CountKind if not Count(kind).after_response] == [
        CountKind.REQUESTS, CountKind.DISTINCT, CountKind.REFUSALS
    ]  # fmt: skip
