"""What is fuzzed with coverage as the guide: parsers, lanes and readers that take bytes from strangers.

Each target takes any bytes and raises only when a promise is broken. The promises are those of the property tests; here the bytes
come from libFuzzer instead of a grammar, so that they find what no grammar of ours would say.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable
from itertools import pairwise
from typing import Final

from proxyguard.adapters.mitmproxy.tls.client_hello import BadHello, ClientHelloReader
from proxyguard.core.address import Address, Network
from proxyguard.core.settings import Trust
from proxyguard.http.forwarded import ClientAddressResolver
from proxyguard.http.http1.faults import REQUEST_FAULTS, RESPONSE_FAULTS
from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.http2.frames import PREFACE
from proxyguard.http.proxy_protocol import BadProxyHeader, ProxyHeaderParser
from tests.adapters.http1.test_fuzz import test_whatever_happens_the_lane_keeps_its_promises as lane_keeps_its_promises
from tests.adapters.http2.test_fuzz import test_any_bytes_at_all as http2_keeps_its_promises
from tests.adapters.http2.test_fuzz import test_whatever_happens_nothing_breaks_leaks_or_hangs as http2_steps_keep
from tests.http.http1.odd_requests import ODD_REQUESTS
from tests.http.http1.reading import Message, read_requests, read_responses, single_bytes
from tests.http.http1.test_fuzz import SMALL

SEPARATOR: Final = b"\xfe\xff"
"""Between the steps of a scenario; its first byte says which step it is."""

_layer: Final = lane_keeps_its_promises.hypothesis.inner_test  # type: ignore[attr-defined]  # what @given wraps
_http2: Final = http2_steps_keep.hypothesis.inner_test  # type: ignore[attr-defined]  # the same
_http2_bytes: Final = http2_keeps_its_promises.hypothesis.inner_test  # type: ignore[attr-defined]  # the same

type Steps = list[tuple[str, object]]

_BARE_STEPS: Final = {
    b"c": "upstream_closes", b"h": "half_close", b"v": "vanish", b"d": "drain", b"k": "connect", b"x": "refuse",
}  # fmt: skip
_TIMES: Final = {b"1": 0.1, b"2": 1.0, b"3": 3.1, b"4": 11.0}


def lane_steps(data: bytes) -> Steps:
    """A scenario for the HTTP/1 lane: pieces for the client (f) or the upstream (r) to say, and things that happen."""
    steps: Steps = []
    for piece in data.split(SEPARATOR)[:40]:
        first, rest = piece[:1], piece[1:]
        if first in _BARE_STEPS:
            steps.append((_BARE_STEPS[first], None))
        elif first in _TIMES:
            steps.append(("pass_time", _TIMES[first]))
        elif first == b"m":
            steps.append(("room", bool(rest)))
        elif rest:
            steps.append(("respond" if first == b"r" else "feed", rest))
    return steps


def http1_lane(data: bytes) -> None:
    """Whatever client, upstream and time do, the lane ends what it began, and holds little."""
    _layer(lane_steps(data[1:]), connects=data[:1] < b"\x80")


def http2_layer(data: bytes) -> None:
    """Any bytes after the preface, in a scenario."""
    steps: Steps = []
    for what, value in lane_steps(data[1:]):
        match what:
            case "respond":
                steps.append((what, (len(steps) % 10, value)))
            case "upstream_closes":
                steps.append((what, 0))
            case "half_close":
                steps.append(("stall" if len(steps) % 2 else "unstall", None))
            case "room":
                steps.append(("end_turn", None))
            case _:
                steps.append((what, value))
    _http2(steps, connects=data[:1] < b"\x80", gathers=data[:1] < b"\x40", work=1 + 64 * (data[0] & 3) if data else 1)


def http2_bytes(data: bytes) -> None:
    """Any bytes at all, with and without the greeting."""
    _http2_bytes(data, greets=data[:1] != PREFACE[:1])


def _complete(found: list[Message]) -> list[Message]:
    return [message for message in found if message[2] is not None]


def _cut(data: bytes) -> list[bytes]:
    """Pieces whose edges the data itself chooses."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in data[:6])})
    return [data[a:b] for a, b in pairwise(edges)]


def requests(data: bytes) -> None:
    """The same messages and the same fault for every cut; what is accepted serialises to one head of one message."""
    whole, fault = read_requests([data], SMALL)
    assert fault is None or REQUEST_FAULTS[fault[1]] == fault[0]
    for pieces in (_cut(data), single_bytes(data)):
        found, again = read_requests(pieces, SMALL)
        assert (_complete(found), again) == (_complete(whole), fault)
    for head, _, _ in whole:
        assert isinstance(head, RequestHead)
        assert not set(head.target) & set(b"\0\r\n\t #\x7f")
        assert b"\\" not in head.target.partition(b"?")[0]


def responses(data: bytes) -> None:
    """The same for what upstreams say."""
    for method, closed in ((b"GET", False), (b"HEAD", True)):
        whole, fault, _ = read_responses([data], method, bounds=SMALL, closed=closed)
        assert fault is None or fault in RESPONSE_FAULTS
        first = _complete(whole)[:1]
        for pieces in (_cut(data), single_bytes(data)):
            found, again, _ = read_responses(pieces, method, bounds=SMALL, closed=closed)
            assert _complete(found)[:1] == first
            assert again == fault or (first and again == "unasked")


def client_hello(data: bytes) -> None:
    """The first message of TLS: understood alike however it is cut, or refused."""
    outcomes = []
    for pieces in ([data], single_bytes(data)):
        reader, outcome = ClientHelloReader(), None
        try:
            for piece in pieces:
                outcome = reader.feed(piece)
                if outcome is not None:
                    break
        except BadHello:
            outcomes.append("bad")
        else:
            outcomes.append(repr(outcome))
    assert outcomes[0] == outcomes[1]


def proxy_header(data: bytes) -> None:
    """A PROXY header: read alike however it is cut, or refused."""
    outcomes = []
    for pieces in ([data], single_bytes(data)):
        parser, outcome = ProxyHeaderParser(), ""
        try:
            for piece in pieces:
                found = parser.feed(piece)
                if found is not None:
                    outcome = f"{found[0]}"
                    break
        except BadProxyHeader as error:
            outcome = f"bad {error.reason}" if hasattr(error, "reason") else "bad"
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1]


_PROXY: Final = Address.parse("10.0.0.1")
_RESOLVERS: Final = [
    (header, ClientAddressResolver(Trust(proxies=(Network.parse("10.0.0.0/8"),), header=header)))
    for header in ("x-forwarded-for", "forwarded", "cf-connecting-ip")
]


def forwarded(data: bytes) -> None:
    """Whatever a trusted proxy passes on is an address, and what goes upstream is one clean line."""
    for header, resolver in _RESOLVERS:
        headers = ((header.encode(), data),)
        client = resolver.resolve(_PROXY, headers)
        assert Address.parse(client.text).number == client.number
        _, _, add = resolver.forwarding_headers(headers, _PROXY, client, b"http", b"a.example")
        assert dict(add)[b"X-Real-IP"] == client.text.encode()
        assert not set(dict(add)[b"X-Forwarded-For"]) - set(b"0123456789abcdef.:, ")


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    target.__name__: target
    for target in (http1_lane, http2_layer, http2_bytes, requests, responses, client_hello, proxy_header, forwarded)
}

_OK: Final = SEPARATOR + b"rHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
_CHUNKS: Final = SEPARATOR + b"rHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n\r\n"
_WISHES: Final = [b"reject", b"drop", b"tarpit", b"delay", b"limit"]
_FRAMES: Final = [
    PREFACE + b"\0\0\0\4\0\0\0\0\0",
    b"\0\0\1\1\5\0\0\0\1\x82",
    b"\0\0\4\3\0\0\0\0\1\0\0\0\x08",
    b"\0\0\5\0\1\0\0\0\1hello",
    b"\0\0\4\x08\0\0\0\0\0\0\0\xff\xff",
]


def seeds(name: str) -> list[bytes]:
    """Where to begin."""
    odd = [raw for _, raw, _ in ODD_REQUESTS if len(raw) < 600]
    match name:
        case "http1_lane":
            named = [b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Do: " + wish + b"\r\n\r\n" for wish in _WISHES]
            return [b"\0f" + raw + answer for raw in [*odd, *named] for answer in (_OK, _CHUNKS)]
        case "http2_layer":
            return [b"\0f" + raw + _OK for raw in _FRAMES] + [b"\0f" + (SEPARATOR + b"f").join(_FRAMES)]
        case "http2_bytes":
            return [*_FRAMES, b"".join(_FRAMES)]
        case "requests":
            return odd
        case "responses":
            return [
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
                _CHUNKS[3:],
                b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 204 \r\n\r\n",
            ]
        case "proxy_header":
            return [b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12)]
        case "forwarded":
            return [b"1.2.3.4, 10.1.1.1", b'for="[2001:db8::1]:80";proto=https, for=_x', b"[::1]:80", b"::ffff:1.2.3.4"]
        case _:
            return [_hello("a.example"), _hello("b.example")[:100]]


def _hello(name: str) -> bytes:
    """What a client of this Python says first."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()
