"""What lines that are repeated add up to, and the parts of a head that stay when another takes its place."""

from __future__ import annotations

import pytest

from proxyguard.core.request import Headers
from proxyguard.http.http1 import request_head
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http1.heads import BodyKind, RequestHead
from proxyguard.http.http1.request_head import MAX_NAME_BYTES, MAX_NAMES, RequestLine, read_line, understand, with_target
from proxyguard.http.http1.target import RequestTarget

LINE = RequestLine(b"GET", RequestTarget(b"/"), b"1.1", 16)
HOST = (b"Host", b"a.example")


def _upgrade(*values: bytes) -> bytes | None:
    return understand(LINE, (HOST, (b"Connection", b"upgrade"), *((b"Upgrade", value) for value in values))).upgrade


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"GET \xff HTTP/1.0\r\n", "target"),
        (b"get / HTTP/1.0\r\n", "method-unknown"),
        (b"GET / HTTP/0.9\r\n", "version"),
        (b"GET / HTTP/2.0\r\n", "version"),
    ],
)
def test_the_version_1_0_is_no_fault(line: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        read_line(line, 0, 100, 100)
    assert caught.value.reason == reason


def test_a_request_that_names_no_host_has_none() -> None:
    head = understand(RequestLine(b"GET", RequestTarget(b"/"), b"1.0", 16), ())
    assert (head.authority, head.host) == (b"", b"")


def test_a_head_with_another_target_is_the_same_otherwise() -> None:
    head = RequestHead(
        b"POST", b"/a", b"a.example:80", b"a.example", (HOST,), b"1.1", BodyKind.LENGTH, 3, keep_alive=True, expect_continue=True,
        upgrade=b"websocket", nominated=(b"x-a",), te_trailers=True,
    )  # fmt: skip
    assert with_target(head, b"/b") == head.with_line(head.method, b"/b")


@pytest.mark.parametrize("values", [(b"close", b"x-a"), (b"x-a", b"close")])
def test_options_of_several_lines_count_together(values: tuple[bytes, ...]) -> None:
    headers: Headers = (HOST, *((b"Connection", value) for value in values))
    head = understand(LINE, headers)
    assert (head.keep_alive, head.nominated) == (False, (b"x-a",))


@pytest.mark.parametrize(
    "values", [(b"websocket", b"h2c"), (b"h2c", b"websocket"), (b"h2c,websocket",), (b"h2c \t,\t WebSocket \t",)]
)
def test_an_offer_may_be_any_member_of_any_line(values: tuple[bytes, ...]) -> None:
    assert _upgrade(*values) == b"websocket"


@pytest.mark.parametrize("value", [b"websocket\x0b", b"\x0cwebsocket", b"Xwebsocket", b"websocketX", b"h2c websocket"])
def test_nothing_else_is_taken_for_an_offer(value: bytes) -> None:
    assert _upgrade(value) is None


@pytest.mark.parametrize(
    "name", [b"Host", b"HOST", b"Content-Length", b"content_length", b"Transfer-Encoding", b"tRANSFER_eNCODING"]
)
def test_a_field_that_means_something_is_never_passed_over_however_it_is_spelled(name: bytes) -> None:
    for _ in range(2):
        with pytest.raises(Malformed):
            understand(LINE, (HOST, (name, b"chunked, 1"), (name, b"2")))
    assert name not in request_head._passed_over


def test_few_names_are_remembered_and_no_long_ones() -> None:
    for number in range(2 * MAX_NAMES):
        understand(LINE, (HOST, (b"X-%d" % number, b"1"), (b"X" * (MAX_NAME_BYTES + 1), b"1")))
        assert len(request_head._passed_over) <= MAX_NAMES
    assert all(len(each) <= MAX_NAME_BYTES for each in request_head._passed_over)
