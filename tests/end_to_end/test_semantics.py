"""What of HTTP passes the running command unchanged: interim answers, trailers, ranges, Expect, bodies of unknown length, gRPC.

A scripted upstream on raw sockets says what no web server says on demand. Each over plain HTTP/1.1, and over HTTP/2 where the
client's side is another.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from tests.end_to_end.processes import Proxyguard, proxyguard
from tests.end_to_end.raw_upstream import RawUpstream, Received, raw_upstream

AGENT = b"Host: localhost\r\nUser-Agent: backup-agent/1.0\r\n"

NO_RULES = """\
name: nothing
rules:
  - name: nothing
    why: These tests are about HTTP, not about rules.
    when: {path: /nobody-asks-for-this}
    action: reject
"""

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def scripted(connection: socket.socket, received: Received) -> None:
    """Answers by path."""
    path = received.line.split(b" ")[1]
    match path:
        case b"/early":
            connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfinal")
        case b"/trailers":
            connection.sendall(CHUNKED + b"3\r\nabc\r\n0\r\nX-Sum: 900150983cd2\r\n\r\n")
        case b"/until-close":
            connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the close")
            connection.shutdown(socket.SHUT_WR)
        case b"/no-content":
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        case b"/not-modified":
            connection.sendall(b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 1000\r\n\r\n')
        case b"/range":
            connection.sendall(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 2-4/10\r\nContent-Length: 3\r\n\r\n234")
        case b"/notes.Notes/Read":
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTrailer: grpc-status\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n7\r\n\0\0\0\0\x02hi\r\n0\r\ngrpc-status: 0\r\ngrpc-message: fine\r\n\r\n"
            )
        case b"/http2-only":
            connection.sendall(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff")
            connection.shutdown(socket.SHUT_WR)
        case _ if received.line.startswith(b"HEAD "):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")
        case _:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(received.body), received.body))


def consent(connection: socket.socket, received: Received) -> None:
    """100 for whoever expects it, before the body."""
    if received.field(b"expect"):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with raw_upstream(scripted, consent) as made:
        yield made


@pytest.fixture
def whole(upstream: RawUpstream) -> list[Received]:
    """What the upstream gets in this test."""
    upstream.whole.clear()
    return upstream.whole


def _guard(factory: pytest.TempPathFactory, upstream: RawUpstream, alpn: str) -> Iterator[Proxyguard]:
    rules: Path = factory.mktemp("rules")
    (rules / "nothing.yaml").write_text(NO_RULES)
    settings = "bounds: {head_timeout: 1s, upstream_first_byte_timeout: 2s}\n"
    with proxyguard(factory.mktemp("guard"), upstream.url, rules=rules, settings=settings, alpn=alpn) as running:
        yield running
        assert "Traceback" not in running.said()
        assert "proxyguard_internal_errors_total{" not in running.admin("/metrics")


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream) -> Iterator[Proxyguard]:
    """Over plain HTTP/1.1."""
    yield from _guard(tmp_path_factory, upstream, "")


@pytest.fixture(scope="module")
def guard2(tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream) -> Iterator[Proxyguard]:
    """Over TLS and HTTP/2."""
    yield from _guard(tmp_path_factory, upstream, "h2")


def until(connection: socket.socket, end: bytes) -> bytes:
    """All that comes, up to these bytes at the end; an end of the connection before them is a failure."""
    got = b""
    while not got.endswith(end):
        part = connection.recv(65536)
        assert part, f"only {got!r} came"
        got += part
    return got


def fields(head: bytes) -> set[bytes]:
    return set(head.split(b"\r\n")[1:])


# -- HTTP/1.1 ------------------------------------------------------------------------------------------------------------


def test_early_hints_come_before_the_answer_and_do_not_replace_it(guard: Proxyguard) -> None:
    with guard.connect() as connection:
        connection.sendall(b"GET /early HTTP/1.1\r\n" + AGENT + b"\r\n")
        got = until(connection, b"final")
    hints, answer, _ = got.split(b"\r\n\r\n")
    assert hints == b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload"
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


def test_trailers_pass_both_ways(guard: Proxyguard, whole: list[Received]) -> None:
    body = b"Transfer-Encoding: chunked\r\nTE: trailers\r\n\r\n3\r\nabc\r\n0\r\nX-Digest: 1\r\n\r\n"
    with guard.connect() as connection:
        connection.sendall(b"POST /trailers HTTP/1.1\r\n" + AGENT + body)
        got = until(connection, b"\r\n\r\n0\r\nX-Sum: 900150983cd2\r\n\r\n".removeprefix(b"\r\n\r\n"))
        connection.sendall(b"GET /again HTTP/1.1\r\n" + AGENT + b"\r\n")
        assert until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 900150983cd2\r\n\r\n")
    assert (whole[0].body, whole[0].trailers) == (b"abc", [(b"X-Digest", b"1")])
    assert whole[0].field(b"te") == [b"trailers"]


@pytest.mark.parametrize(
    ("method", "path", "status", "length"),
    [
        (b"HEAD", b"/large", b"200 OK", b"Content-Length: 1234"),
        (b"GET", b"/no-content", b"204 No Content", None),
        (b"GET", b"/not-modified", b"304 Not Modified", b"Content-Length: 1000"),
    ],
)
def test_an_answer_without_a_body_ends_with_its_head_and_the_connection_goes_on(
    guard: Proxyguard, method: bytes, path: bytes, status: bytes, length: bytes | None
) -> None:
    with guard.connect() as connection:
        for _ in range(2):
            connection.sendall(method + b" " + path + b" HTTP/1.1\r\n" + AGENT + b"\r\n")
            head = until(connection, b"\r\n\r\n").removesuffix(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 " + status)
            assert length is None or length in fields(head)
            assert head.count(b"HTTP/1.1 ") == 1


def test_a_range_passes_with_its_answer(guard: Proxyguard, whole: list[Received]) -> None:
    with guard.connect() as connection:
        connection.sendall(b"GET /range HTTP/1.1\r\n" + AGENT + b'Range: bytes=2-4\r\nIf-Range: "1"\r\n\r\n')
        got = until(connection, b"\r\n\r\n234")
    assert got.startswith(b"HTTP/1.1 206 Partial Content\r\n")
    assert b"Content-Range: bytes 2-4/10" in fields(got.partition(b"\r\n\r\n")[0])
    assert (whole[0].field(b"range"), whole[0].field(b"if-range")) == ([b"bytes=2-4"], [b'"1"'])


def test_who_expects_consent_gets_the_upstreams(guard: Proxyguard, whole: list[Received]) -> None:
    with guard.connect() as connection:
        connection.sendall(b"PUT /up HTTP/1.1\r\n" + AGENT + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"body")
        assert until(connection, b"\r\n\r\nbody").startswith(b"HTTP/1.1 200 OK\r\n")
    assert whole[0].body == b"body"


def test_an_upload_of_unknown_length_passes_chunk_by_chunk(guard: Proxyguard, whole: list[Received]) -> None:
    with guard.connect() as connection:
        connection.sendall(b"POST /up HTTP/1.1\r\n" + AGENT + b"Transfer-Encoding: chunked\r\n\r\n")
        for number in range(50):
            connection.sendall(b"2\r\n%02d\r\n" % number)
        connection.sendall(b"0\r\n\r\n")
        sent = b"".join(b"%02d" % number for number in range(50))
        assert until(connection, b"\r\n\r\n" + sent).startswith(b"HTTP/1.1 200 OK\r\n")
    assert (whole[0].body, whole[0].field(b"transfer-encoding"), whole[0].field(b"content-length")) == (sent, [b"chunked"], [])


def test_an_answer_until_the_close_reaches_the_client_whole_and_its_connection_goes_on(guard: Proxyguard) -> None:
    with guard.connect() as connection:
        for _ in range(2):
            connection.sendall(b"GET /until-close HTTP/1.1\r\n" + AGENT + b"\r\n")
            assert b"\r\nf\r\nuntil the close\r\n0\r\n\r\n" in until(connection, b"0\r\n\r\n")


def test_a_head_that_trickles_in_is_a_408_in_time(guard: Proxyguard) -> None:
    """The bound is on the whole head: bytes now and then do not renew it."""
    with guard.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        connection.settimeout(0.2)
        answer = b""
        for number in range(40):
            try:
                answer = connection.recv(65536)
                break
            except TimeoutError:
                connection.sendall(b"X-%d: 1\r\n" % number)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert number < 15  # three seconds, for a bound of one


def test_http2_in_clear_text_is_refused_and_never_reaches_the_upstream(guard: Proxyguard, whole: list[Received]) -> None:
    with guard.connect() as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
        assert connection.recv(65536).startswith(b"HTTP/1.1 505 ")
    assert whole == []


def test_a_megabyte_of_header_is_a_431_before_it_is_all_sent(guard: Proxyguard, whole: list[Received]) -> None:
    with guard.connect() as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(b"GET / HTTP/1.1\r\n" + AGENT + b"X: ")
            for _ in range(64):
                connection.sendall(b"a" * (1 << 14))
        with contextlib.suppress(ConnectionResetError):  # sending on after the answer may overtake it with a reset
            assert connection.recv(65536).startswith(b"HTTP/1.1 431 ")
    assert whole == []


# -- HTTP/2 --------------------------------------------------------------------------------------------------------------


@dataclass
class Stream:
    """What came back on one stream."""

    interim: list[dict[bytes, bytes]] = field(default_factory=list)
    head: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[bytes, bytes] = field(default_factory=dict)
    reset: bool = False


class Peer:
    """An HTTP/2 client on one connection."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        assert connection.selected_alpn_protocol() == "h2"
        self._connection = connection
        self._peer = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
        self._peer.initiate_connection()
        self._flush()

    def ask(
        self, method: str, path: str, *more: tuple[str, str], body: bytes = b"", trailers: list[tuple[str, str]] | None = None
    ) -> Stream:
        """One request, and all of its answer."""
        peer = self._peer
        stream = peer.get_next_available_stream_id()
        head = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        peer.send_headers(stream, [*head, ("user-agent", "backup-agent/1.0"), *more], end_stream=not (body or trailers))
        if body:
            peer.send_data(stream, body, end_stream=not trailers)
        if trailers:
            peer.send_headers(stream, trailers, end_stream=True)
        self._flush()
        return self._answer()

    def _answer(self) -> Stream:
        got = Stream()
        while True:
            data = self._connection.recv(65536)
            assert data, "the connection ended before the answer"
            for event in self._peer.receive_data(data):
                match event:
                    case h2.events.InformationalResponseReceived():
                        got.interim.append(dict(event.headers))
                    case h2.events.ResponseReceived():
                        got.head = dict(event.headers)
                    case h2.events.DataReceived():
                        got.body += event.data
                    case h2.events.TrailersReceived():
                        got.trailers = dict(event.headers)
                    case h2.events.StreamReset():
                        got.reset = True
                        return got
                    case h2.events.StreamEnded():
                        self._flush()
                        return got
            self._flush()

    def _flush(self) -> None:
        self._connection.sendall(self._peer.data_to_send())


@contextlib.contextmanager
def http2(guard: Proxyguard) -> Iterator[Peer]:
    """A connection that negotiated HTTP/2."""
    trust = ssl.create_default_context(cafile=guard.authority)
    trust.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", guard.port), timeout=20) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        yield Peer(connection)


def test_early_hints_and_trailers_pass_over_http2(guard2: Proxyguard, whole: list[Received]) -> None:
    with http2(guard2) as peer:
        early = peer.ask("GET", "/early")
        assert [hint[b":status"] for hint in early.interim] == [b"103"]
        assert early.interim[0][b"link"] == b"</style.css>; rel=preload"
        assert (early.head[b":status"], early.body) == (b"200", b"final")
        summed = peer.ask("POST", "/trailers", ("te", "trailers"), body=b"abc", trailers=[("x-digest", "1")])
        assert (summed.body, summed.trailers) == (b"abc", {b"x-sum": b"900150983cd2"})
    assert (whole[1].body, whole[1].trailers) == (b"abc", [(b"x-digest", b"1")])


def test_answers_without_a_body_end_their_stream(guard2: Proxyguard) -> None:
    with http2(guard2) as peer:
        found = [peer.ask("HEAD", "/large"), peer.ask("GET", "/no-content"), peer.ask("GET", "/not-modified")]
    assert [(one.head[b":status"], one.body, one.reset) for one in found] == [
        (b"200", b"", False),
        (b"204", b"", False),
        (b"304", b"", False),
    ]
    assert found[0].head[b"content-length"] == b"1234"


def test_a_range_and_a_body_of_unknown_length_pass_over_http2(guard2: Proxyguard, whole: list[Received]) -> None:
    with http2(guard2) as peer:
        ranged = peer.ask("GET", "/range", ("range", "bytes=2-4"))
        assert (ranged.head[b":status"], ranged.head[b"content-range"], ranged.body) == (b"206", b"bytes 2-4/10", b"234")
        assert peer.ask("POST", "/up", body=b"no length was said").body == b"no length was said"
    assert (whole[1].field(b"transfer-encoding"), whole[1].body) == ([b"chunked"], b"no length was said")


def test_requests_of_one_http2_client_share_upstream_connections(guard2: Proxyguard, whole: list[Received]) -> None:
    with http2(guard2) as peer:
        for _ in range(20):
            assert peer.ask("GET", "/again").head[b":status"] == b"200"
    assert len({received.connection for received in whole}) == 1


GRPC = (("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", "5S"))
MESSAGE = b"\0\0\0\0\x02me"


def test_a_grpc_call_passes_to_an_upstream_that_takes_it_over_http1(guard2: Proxyguard, whole: list[Received]) -> None:
    with http2(guard2) as peer:
        answer = peer.ask("POST", "/notes.Notes/Read", *GRPC, body=MESSAGE)
    assert (answer.head[b":status"], answer.head[b"content-type"]) == (b"200", b"application/grpc")
    assert (answer.body, answer.trailers) == (b"\0\0\0\0\x02hi", {b"grpc-status": b"0", b"grpc-message": b"fine"})
    assert (whole[0].body, whole[0].field(b"te"), whole[0].field(b"grpc-timeout")) == (MESSAGE, [b"trailers"], [b"5S"])


def test_a_grpc_call_to_an_upstream_of_http2_only_is_a_clear_502(guard2: Proxyguard) -> None:
    """Which gRPC clients report as UNAVAILABLE; the connection serves on."""
    with http2(guard2) as peer:
        answer = peer.ask("POST", "/http2-only", *GRPC, body=MESSAGE)
        assert (answer.head[b":status"], answer.reset) == (b"502", False)
        assert peer.ask("GET", "/again").head[b":status"] == b"200"
