"""Header fields as they pass through: hidden, heard, added."""

from __future__ import annotations

import pytest

from proxyguard.adapters.mitmproxy.forwarded_fields import dressed, first_value, without
from proxyguard.core.request import Headers
from proxyguard.guard.interfaces import Forwarding
from proxyguard.http.http1.heads import BodyKind, ResponseHead

FIELDS: Headers = ((b"Server", b"s"), (b"X-Class", b"gold"), (b"x_class", b"forged"), (b"Date", b"d"))


def response(headers: Headers, status: int = 200) -> ResponseHead:
    return ResponseHead(status, b"", headers, b"1.1", BodyKind.NONE, None, keep_alive=True, nominated=())


def test_nothing_to_hide_gives_the_same_object() -> None:
    assert without(FIELDS, b"") is FIELDS
    assert without(FIELDS, b"x-other") is FIELDS
    assert without((), b"x-class") == ()


def test_a_hidden_field_goes_in_every_spelling() -> None:
    assert without(FIELDS, b"x-class") == ((b"Server", b"s"), (b"Date", b"d"))


@pytest.mark.parametrize(
    ("status", "heard", "added"), [(200, [b"gold"], True), (404, [b"gold"], True), (103, [], False), (101, [], False)]
)
def test_a_final_response_is_heard_and_added_to_and_an_interim_one_only_hidden(
    status: int, heard: list[bytes], *, added: bool
) -> None:
    said: list[bytes] = []
    head = dressed(response(FIELDS, status), Forwarding(b"x-class", said.append, ((b"RateLimit", b"1"),)))
    more = ((b"RateLimit", b"1"),) if added else ()
    assert (head.headers, said) == (((b"Server", b"s"), (b"Date", b"d"), *more), heard)


def test_a_response_that_says_nothing_to_us_is_not_heard() -> None:
    said: list[bytes] = []
    head = response(((b"Server", b"s"),))
    assert dressed(head, Forwarding(b"x-class", said.append)) is head
    assert said == []


def test_the_first_of_several_values_counts() -> None:
    assert first_value(((b"Accept", b"a"), (b"accept", b"b")), b"accept") == b"a"
    assert first_value(FIELDS, b"accept") == b""
