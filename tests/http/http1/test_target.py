"""How many parameters a query may have, and how many of one name, to the parameter."""

from __future__ import annotations

import pytest

from proxyguard.core.request import MAX_QUERY_PARAMETERS, MAX_QUERY_PIECES, MAX_QUERY_VALUES
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http1.target import check_query

ONE_MORE = MAX_QUERY_VALUES + 1


def _many(form: bytes, count: int) -> bytes:
    return b"/?" + b"&".join(form % number for number in range(count))


@pytest.mark.parametrize(
    "target",
    [
        _many(b"a%d=1", MAX_QUERY_PARAMETERS),
        _many(b"a%d=1", MAX_QUERY_PARAMETERS) + b"&" * 9,
        _many(b"a%d", ONE_MORE),
        _many(b"a=%d", MAX_QUERY_VALUES) + b"&b=1",
        b"/" + b"&a" * ONE_MORE,
        b"/?at=" + b";".join(b"%d,1" % number for number in range(MAX_QUERY_PIECES)),
        b"/?at=1" + b";" * 4000,
        b"/?" + b";".join(b"a=%d" % number for number in range(MAX_QUERY_VALUES)),
    ],
    ids=(
        "as many as there may be",
        "empty ones",
        "names alone",
        "as many of one name",
        "a path",
        "coordinates",
        "empty pieces",
        "as many of one name in pieces",
    ),
)
def test_queries_within_the_bounds(target: bytes) -> None:
    check_query(target)


@pytest.mark.parametrize(
    "target",
    [
        _many(b"a%d=1", MAX_QUERY_PARAMETERS + 1),
        _many(b"a=%d", ONE_MORE),
        _many(b"a=%d=1", ONE_MORE),
        _many(b"a=%d", ONE_MORE) + b"?",
        _many(b"a+b=%d", MAX_QUERY_VALUES) + b"&a%20b=1",
        b"/?" + b"a=1&%61=2&" * (MAX_QUERY_VALUES // 2 + 1),
        b"/?" + b";".join(b"a%d" % number for number in range(MAX_QUERY_PIECES + 1)),
        b"/?" + b";".join(b"a=%d" % number for number in range(ONE_MORE)),
        b"/?" + b"&a=1;a=2" * (MAX_QUERY_VALUES // 2) + b"&a=3",
    ],
    ids=(
        "one more",
        "one more of one name",
        "values with an equals sign",
        "a later question mark",
        "a blank written twice",
        "a letter written twice",
        "one more piece",
        "one more of one name in pieces",
        "some of both",
    ),
)
def test_queries_beyond_the_bounds(target: bytes) -> None:
    with pytest.raises(Malformed, match="target-parameters"):
        check_query(target)
