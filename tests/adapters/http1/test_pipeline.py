"""What an HTTP/1 client has sent and nobody has acted on yet: in which order it is given out, and how little of it is parsed."""

from __future__ import annotations

import pytest

from proxyguard.adapters.mitmproxy.http1.pipeline import PARSED_AT_ONCE, SKIPPED_BODY_BYTES, Pipeline
from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import BadRequest
from proxyguard.http.http1.heads import Body, End, RequestEvent, RequestHead

GET = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


class Taker:
    """Stands for an exchange: takes a request's body or not."""

    def __init__(self, *, takes_body: bool) -> None:
        self.takes_body = takes_body


WILLING = Taker(takes_body=True)
BUSY = Taker(takes_body=False)


def post(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: %d\r\n\r\n" % length


def pipeline(data: bytes = b"", bounds: Bounds | None = None) -> Pipeline:
    made = Pipeline(bounds or Bounds())
    made.add(data)
    return made


def kinds(events: list[RequestEvent | BadRequest | None]) -> list[type]:
    return [type(event) for event in events]


def test_a_request_without_a_body_comes_as_its_head_and_is_whole() -> None:
    one = pipeline(GET + GET[:5])
    head = one.take(None)
    assert isinstance(head, RequestHead)
    assert (one.head, one.is_whole, one.is_idle, one.is_done) == (head, True, False, False)
    one.close_head()
    assert (one.take(None), one.head) == (None, None)


def test_a_body_waits_until_the_exchange_takes_it() -> None:
    one = pipeline(post(5) + b"hello")
    assert isinstance(one.take(None), RequestHead)
    assert (one.take(BUSY), one.is_empty, one.is_whole) == (None, False, False)
    assert one.take(WILLING) == Body(b"hello")
    assert (one.take(WILLING), one.is_whole, one.is_done) == (End(), True, True)


def test_only_the_first_bytes_of_a_request_begin_one() -> None:
    one = Pipeline(Bounds())
    assert one.add(GET[:10]) is True
    assert one.take(None) is None
    assert one.add(GET[10:20]) is False
    assert one.add(GET[20:]) is False
    assert isinstance(one.take(None), RequestHead)
    one.close_head()
    assert (one.add(GET), one.add(GET)) == (True, False)


def test_few_of_many_pipelined_requests_are_parsed_and_none_is_lost() -> None:
    one = pipeline(GET * 1000)
    for number in range(1000):
        assert isinstance(one.take(None), RequestHead), number
        one.close_head()
        assert len(one._backlog) <= 2 * (PARSED_AT_ONCE // len(GET) + 1)
    assert (one.take(None), one.is_empty, one.is_idle) == (None, True, True)


def test_a_long_body_is_parsed_in_one_piece() -> None:
    one = pipeline(post(3 * PARSED_AT_ONCE))
    assert isinstance(one.take(None), RequestHead)
    one.add(b"z" * 3 * PARSED_AT_ONCE)
    assert one.take(WILLING) == Body(b"z" * 3 * PARSED_AT_ONCE)


def test_what_precedes_a_fault_comes_before_it_and_what_follows_never() -> None:
    one = pipeline(GET + b"nonsense\r\n\r\n" + GET)
    assert isinstance(one.take(None), RequestHead)
    one.close_head()
    fault = one.take(None)
    assert isinstance(fault, BadRequest)
    assert fault.reason == "request-line"
    assert (one.take(None), one.is_empty) == (None, True)


@pytest.mark.parametrize(
    ("data", "short"),
    [
        (GET, True),
        (post(SKIPPED_BODY_BYTES), True),
        (post(SKIPPED_BODY_BYTES + 1), False),
        (post(9)[:-2] + b"Expect: 100-continue\r\n\r\n", False),
        (CHUNKED, False),
        (CHUNKED + b"0\r\n\r\n", False),
    ],
)
def test_a_rest_is_short_when_its_length_is_known_and_no_one_waits_to_send_it(data: bytes, *, short: bool) -> None:
    one = pipeline(data)
    assert isinstance(one.take(None), RequestHead)
    assert one.is_rest_short is short


def test_after_an_upgrade_that_was_not_taken_http_goes_on() -> None:
    one = pipeline(UPGRADE + GET)
    assert isinstance(one.take(None), RequestHead)
    assert (one.take(None), one.is_idle) == (None, False)
    one.close_head()
    assert isinstance(one.take(None), RequestHead)


def test_after_an_upgrade_that_was_taken_the_rest_is_not_http() -> None:
    one = pipeline(UPGRADE + b"raw")
    assert isinstance(one.take(None), RequestHead)
    assert one.take(None) is None
    one.add(b"more")
    assert one.take_rest() == b"rawmore"
    assert one.is_empty


def test_what_is_forgotten_is_gone_with_its_fault() -> None:
    one = pipeline(GET * 3 + b"nonsense\r\n\r\n")
    assert isinstance(one.take(None), RequestHead)
    one.forget()
    assert (one.take(None), one.is_empty) == (None, True)


def test_events_of_a_chunked_body_come_in_order() -> None:
    one = pipeline(CHUNKED + b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n" + GET)
    events = [one.take(None), one.take(WILLING), one.take(WILLING)]
    assert kinds(events) == [RequestHead, Body, End]
    assert (events[2], one.is_whole) == (End(((b"X-T", b"1"),)), True)
