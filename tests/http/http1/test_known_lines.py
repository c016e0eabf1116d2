"""What is remembered of lines of responses must never change what a head means, and never keep what is somebody's own."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxyguard.http.http1 import known_lines, request_head, response_parser
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http1.fields import read_fields
from proxyguard.http.http1.known_lines import (
    KEPT_NAMES,
    MAX_LINE_BYTES,
    MAX_LINES,
    USUAL_LINES,
    read_request_fields,
    read_response_fields,
)
from proxyguard.http.http1.request_head import MAX_LINE_BYTES as MAX_REQUEST_LINE
from proxyguard.http.http1.request_head import MAX_LINES as MAX_REQUEST_LINES
from proxyguard.http.http1.request_head import read_line

NAMES = st.one_of(
    st.sampled_from(
        [b"Server", b"server", b"Content-Type", b"DATE", b"Set-Cookie", b"ETag", b"X-A", b"", b" Server", b"Serv er"]
    ),
    st.binary(max_size=3),
)
MIDDLES = st.sampled_from([b": ", b":", b":\t ", b" :", b"", b"::"])
VALUES = st.one_of(
    st.sampled_from(
        [b"nginx", b"text/html ", b"a\tb", b"\t", b"a\rb", b"a\nb", b"a\0b", b"a\r\n b", b"\xff", b"x" * MAX_LINE_BYTES]
    ),
    st.binary(max_size=4),
)
SECTIONS = st.lists(st.builds(lambda *parts: b"".join(parts), NAMES, MIDDLES, VALUES), max_size=5).map(
    lambda lines: b"".join(line + b"\r\n" for line in lines)
)


def outcome(read: object, text: bytes, start: int) -> object:
    try:
        return read(text, start, len(text))  # type: ignore[operator]  # one of two functions
    except Malformed as fault:
        return fault.reason


@given(st.lists(SECTIONS, min_size=1, max_size=4), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n"]))
@example([b"Server: a\r\nServer : a\r\n", b"Server: a\r\n\r\n"], b"")
def test_a_section_means_the_same_whatever_came_before_it(sections: list[bytes], before: bytes) -> None:
    for section in [*sections, *sections]:
        text = before + section
        for read in (read_response_fields, read_request_fields):
            assert outcome(read, text, len(before)) == outcome(read_fields, text, len(before))


LINES = st.one_of(
    st.sampled_from([
        b"GET / HTTP/1.1", b"GET /a HTTP/1.0", b"GET /a/../b HTTP/1.1", b"GET /a%2Fb HTTP/1.1", b"GET /a?b=c HTTP/1.1",
        b"GET  / HTTP/1.1", b"GET /a HTTP/1.1?b HTTP/1.1", b"GET /a?b#c HTTP/1.1", b"GET /a? HTTP/1.1", b"GET /a? HTTP/1.0",
        b"GET /a?b=c?d HTTP/1.1", b"GET /a?b c HTTP/1.1", b"GET /a?/../b HTTP/1.1", b"GET /./a?b HTTP/1.1", b"POST /a?b HTTP/1.1",
        b"GET /a?" + b"b" * MAX_REQUEST_LINE + b" HTTP/1.1",
        b"GET /a?", b"GET /?",
        b"OPTIONS * HTTP/1.1", b"GET http://a.example/ HTTP/1.1", b"TRACE / HTTP/1.1", b"GET / HTTP/2.0", b"get / HTTP/1.1",
        b"GET /" + b"a" * MAX_REQUEST_LINE + b" HTTP/1.1", b"GET /a\nb HTTP/1.1", b"GET /" + b"a" * 30 + b" HTTP/1.1",
    ]),
    st.binary(max_size=12).map(lambda text: b"GET /" + text + b" HTTP/1.1"),
    st.binary(max_size=4).map(lambda text: b"GET /a?" + text + b" HTTP/1.1"),
)  # fmt: skip


def line_outcome(text: bytes | bytearray, start: int, limit: int, target_bytes: int) -> object:
    try:
        line = read_line(text, start, limit, target_bytes)
    except Malformed as fault:
        return fault.reason
    return line and (line.method, line.size, line.version, line.target.text, line.target.scheme, line.target.authority)


@given(
    st.lists(LINES, min_size=1, max_size=6),
    st.sampled_from([b"\r\n", b"\n", b"", b"\r\nHost: a\r\n"]),
    st.sampled_from([12, 20, 1000]),
    st.sampled_from([0, 3]),
)
def test_a_request_line_means_the_same_whatever_came_before_it(lines: list[bytes], end: bytes, most: int, start: int) -> None:
    for line in [*lines, *lines]:
        text = b"\0" * start + line + end
        for limit in (start + most, start + len(line) + 1, start + len(line) + 2):
            request_head._lines.clear()
            request_head._beginnings.clear()
            fresh = line_outcome(bytearray(text), start, limit, most)  # what is held in pieces is never looked up
            line_outcome(text, start, 1 << 16, 1 << 16)
            assert line_outcome(text, start, limit, most) == fresh


@pytest.mark.parametrize("line", [b"GET /?\r\n", b"GET /?a\r\n", b"GET /? /1.1\r\n"])
def test_a_line_that_ends_soon_after_a_known_question_mark_is_none(line: bytes) -> None:
    assert read_line(b"GET /?a HTTP/1.1\r\n", 0, 1 << 16, 1 << 16) is not None
    with pytest.raises(Malformed, match="request-line"):
        read_line(line, 0, 1 << 16, 1 << 16)


def test_request_lines_are_kept_without_their_query_and_neither_long_ones_nor_many() -> None:
    lines, beginnings = request_head._lines, request_head._beginnings
    lines.clear()
    beginnings.clear()
    for target in (b"/kept", b"/?mail=a@b.example", b"/" + b"a" * MAX_REQUEST_LINE, b"http://a.example/"):
        text = b"GET " + target + b" HTTP/1.1\r\n"
        assert read_line(text, 0, 1 << 16, 1 << 16) is not None
    assert [*lines] == [b"GET /kept HTTP/1.1"]
    assert [*beginnings] == [b"GET /?"]
    assert beginnings[b"GET /?"].target.text == b"/"
    for number in range(2 * MAX_REQUEST_LINES):
        read_line(b"GET /%d%s HTTP/1.1\r\n" % (number, b"?a" if number % 2 else b""), 0, 1 << 16, 1 << 16)
        assert 0 < len(lines) + len(beginnings) <= MAX_REQUEST_LINES


def test_only_lines_for_everybody_are_kept_and_not_long_ones() -> None:
    lines = [b"Content-Type: text/x-kept", b"Set-Cookie: a=b", b'ETag: "1"', b"Location: /a", b"X-Account: 7",
             b"Server: " + b"x" * MAX_LINE_BYTES]  # fmt: skip
    text = b"\r\n".join([*lines, b""])
    read_response_fields(text, 0, len(text))
    known = known_lines._known
    assert [line in known for line in lines] == [True, False, False, False, False, False]
    assert all(line.partition(b":")[0].lower() in KEPT_NAMES for line in known)


def test_of_requests_only_lines_are_kept_that_say_nothing_of_a_person() -> None:
    kept = [b"Accept: text/x-kept", b"User-Agent: kept/1"]
    own = [
        b"Cookie: a=b", b"Authorization: x", b"Referer: /a", b"X-Forwarded-For: 1.2.3.4", b"Origin: a", b"If-None-Match: 1",
        b"X-Key: 1",
    ]  # fmt: skip
    text = b"\r\n".join([*kept, *own, b""])
    read_request_fields(text, 0, len(text))
    known = known_lines._known_of_requests
    assert [line in known for line in (*kept, *own)] == [True] * len(kept) + [False] * len(own)


def test_a_head_of_very_many_lines_is_read_at_once() -> None:
    text = b"Accept: %d\r\n" * (USUAL_LINES + 1)
    text %= tuple(range(10**6, 10**6 + USUAL_LINES + 1))
    assert read_request_fields(text, 0, len(text)) == read_fields(text, 0, len(text))
    assert b"Accept: 1000000" not in known_lines._known_of_requests


def test_lines_are_bounded() -> None:
    for number in range(MAX_LINES + 10):
        text = b"Server: %d\r\n" % number
        assert read_response_fields(text, 0, len(text)) == [(b"Server", b"%d" % number)]
        assert len(known_lines._known) <= MAX_LINES


STATUS_LINES = st.sampled_from([
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 304 Not Modified\r\n", b"HTTP/1.1 204\r\n",
    b"HTTP/1.1  200 OK\r\n",
    b"HTTP/2.0 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n",
])  # fmt: skip
FRAMING = st.sampled_from([
    b"", b"Content-Length: 3\r\n", b"Content-Length: 03\r\n", b"Content-Length: x\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n", b"Connection: close, x-b\r\n", b"Keep-Alive: timeout=5\r\n", b"Date: now\r\n",
])  # fmt: skip
HEADS = st.builds(lambda *parts: b"".join((*parts, b"\r\n")), STATUS_LINES, SECTIONS, FRAMING, FRAMING)


def head_of(text: bytes, method: bytes) -> object:
    try:
        return response_parser.read_head(text, method)
    except Malformed as fault:
        return fault.reason


@given(st.lists(HEADS, min_size=1, max_size=4))
def test_a_head_means_the_same_whatever_came_before_it(heads: list[bytes]) -> None:
    again = [(text, method) for text in heads for method in (b"GET", b"HEAD", b"POST")] * 2
    found = [head_of(*each) for each in again]
    for each, head in zip(again, found, strict=True):
        response_parser._heads.clear()
        assert head_of(*each) == head


def test_only_heads_that_are_for_everybody_are_kept_and_so_many() -> None:
    response_parser._heads.clear()
    kept = b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: "1"\r\nContent-Length: 3\r\n\r\n'
    own = [b"Set-Cookie: a=b", b"X-Account: 7", b"Location: /a", b"Server: " + b"x" * response_parser.MAX_HEAD_BYTES]
    for line in own:
        head_of(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % line, b"GET")
    head_of(kept, b"HEAD")
    assert not response_parser._heads
    head_of(kept, b"GET")
    assert [*response_parser._heads] == [kept]
    for number in range(2 * response_parser.MAX_HEADS):
        head_of(b"HTTP/1.1 200 OK\r\nAge: %d\r\n\r\n" % number, b"GET")
        assert len(response_parser._heads) <= response_parser.MAX_HEADS
