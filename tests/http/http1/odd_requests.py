"""Requests that parsers of this world read differently, and what becomes of each: forwarded as exactly these bytes, or refused.

One table for the parser's tests and for the differential test through the real front. `Forwarded.head` is the head as
`serialise.request_head` writes it without additions; `body` is decoded.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Forwarded(NamedTuple):
    """Accepted. `head` goes upstream with `body` and `trailers` after it."""

    head: bytes
    body: bytes = b""
    trailers: tuple[tuple[bytes, bytes], ...] = ()


class Refused(NamedTuple):
    """Answered with `status` for `reason`, and the connection closed."""

    status: int
    reason: str


class Pending(NamedTuple):
    """Not complete: a server waits for more until its time-out."""


Expectation = Forwarded | Refused | Pending
OddRequest = tuple[str, bytes, Expectation]

HEAD_BYTES: Final = 32 * 1024
FIELD_BYTES: Final = 8 * 1024
TARGET_BYTES: Final = 8 * 1024
HEADER_COUNT: Final = 100
"""The defaults of Bounds, which the sizes below are made for."""


def _get(target: bytes) -> bytes:
    return b"GET " + target + b" HTTP/1.1\r\nHost: a.example\r\n\r\n"


def _same(raw: bytes) -> Forwarded:
    """Forwarded as it is."""
    head, _, body = raw.partition(b"\r\n\r\n")
    return Forwarded(head + b"\r\n\r\n", body)


def _kept(name: str, raw: bytes) -> OddRequest:
    return name, raw, _same(raw)


def _plain(name: str, line: bytes) -> OddRequest:
    return _kept(name, line + b" HTTP/1.1\r\nHost: a.example\r\n\r\n")


def _target(name: str, target: bytes) -> OddRequest:
    return _kept(name, _get(target))


def _read_as(name: str, target: bytes, wanted: bytes) -> OddRequest:
    """A target whose plain `.` segments are gone for rules and for the upstream."""
    return name, _get(target), _same(_get(wanted))


def _bad_target(name: str, target: bytes, reason: str, status: int = 400) -> OddRequest:
    return name, _get(target), Refused(status, reason)


def _field(line: bytes, *, method: bytes = b"GET", version: bytes = b"1.1", body: bytes = b"") -> bytes:
    return method + b" / HTTP/" + version + b"\r\nHost: a.example\r\n" + line + b"\r\n\r\n" + body


def _bad_field(name: str, line: bytes, reason: str, status: int = 400, *, body: bytes = b"") -> OddRequest:
    return name, _field(line, method=b"POST", body=body), Refused(status, reason)


def _dropped_field(name: str, line: bytes) -> OddRequest:
    return name, _field(line), Forwarded(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")


def _changed(
    name: str, line: bytes, forwarded: bytes, *, method: bytes = b"GET", body: bytes = b"", decoded: bytes | None = None
) -> OddRequest:
    """The field lines `line` become `forwarded`."""
    head = _field(forwarded, method=method)
    return name, _field(line, method=method, body=body), Forwarded(head, body if decoded is None else decoded)


def _host(name: str, host: bytes, forwarded: bytes | None = None) -> OddRequest:
    raw = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    return name, raw, Forwarded(b"GET / HTTP/1.1\r\nHost: " + (forwarded or host) + b"\r\n\r\n")


def _bad_host(name: str, host: bytes) -> OddRequest:
    return name, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", Refused(400, "host")


def _line(name: str, line: bytes, status: int, reason: str) -> OddRequest:
    return name, line + b"\r\nHost: a.example\r\n\r\n", Refused(status, reason)


_CHUNKED_HEAD: Final = b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"


def _chunked(name: str, body: bytes, decoded: bytes, trailers: tuple[tuple[bytes, bytes], ...] = ()) -> OddRequest:
    return name, _CHUNKED_HEAD + body, Forwarded(_CHUNKED_HEAD, decoded, trailers)


def _bad_chunked(name: str, body: bytes, reason: str, status: int = 400) -> OddRequest:
    return name, _CHUNKED_HEAD + body, Refused(status, reason)


_METHODS: Final[list[OddRequest]] = [
    _kept("plain GET", _get(b"/")),
    _plain("HEAD", b"HEAD /"),
    _plain("unknown method", b"PROPFIND /"),
    _plain("method with a dash", b"M-SEARCH /"),
    _line("lower-case method", b"get / HTTP/1.1", 501, "method-unknown"),
    _line("mixed-case method", b"Get / HTTP/1.1", 501, "method-unknown"),
    _line("method with punctuation", b"G!T / HTTP/1.1", 501, "method-unknown"),
    _line("method of 33 bytes", b"A" * 33 + b" / HTTP/1.1", 501, "method-unknown"),
    _line("method with a NUL", b"GE\0T / HTTP/1.1", 400, "request-line"),
    _line("method in brackets", b"(GET) / HTTP/1.1", 400, "request-line"),
    _line("no method", b" / HTTP/1.1", 400, "request-line"),
    _line("method with a byte above 127", b"G\xc3\x89T / HTTP/1.1", 400, "request-line"),
    _line("CONNECT in authority-form", b"CONNECT a.example:443 HTTP/1.1", 405, "method-refused"),
    _line("CONNECT in origin-form", b"CONNECT / HTTP/1.1", 405, "method-refused"),
    _line("TRACE", b"TRACE / HTTP/1.1", 405, "method-refused"),
    _plain("OPTIONS for the server", b"OPTIONS *"),
    _line("asterisk with GET", b"GET * HTTP/1.1", 400, "target"),
]

_LINES: Final[list[OddRequest]] = [
    _line("two spaces before the target", b"GET  / HTTP/1.1", 400, "request-line"),
    _line("two spaces before the version", b"GET /  HTTP/1.1", 400, "request-line"),
    _line("space after the version", b"GET / HTTP/1.1 ", 400, "request-line"),
    _line("tab instead of a space", b"GET\t/ HTTP/1.1", 400, "request-line"),
    _line("space in the target", b"GET /a b HTTP/1.1", 400, "request-line"),
    _line("leading space", b" GET / HTTP/1.1", 400, "request-line"),
    _line("HTTP/0.9", b"GET /", 400, "request-line"),
    _line("no target", b"GET HTTP/1.1", 400, "request-line"),
    _line("empty target", b"GET  HTTP/1.1", 400, "request-line"),
    _line("HTTP/1.2", b"GET / HTTP/1.2", 505, "version"),
    _line("HTTP/2.0", b"GET / HTTP/2.0", 505, "version"),
    _line("HTTP/0.9 spelt out", b"GET / HTTP/0.9", 505, "version"),
    _line("HTTP/3.0", b"GET / HTTP/3.0", 505, "version"),
    _line("version of two digits", b"GET / HTTP/1.10", 400, "request-line"),
    _line("version with a leading zero", b"GET / HTTP/01.1", 400, "request-line"),
    _line("version without a minor", b"GET / HTTP/1", 400, "request-line"),
    _line("lower-case version", b"GET / http/1.1", 400, "request-line"),
    _line("other protocol", b"GET / RTSP/1.0", 400, "request-line"),
    _line("version with a plus", b"GET / HTTP/1.+1", 400, "request-line"),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refused(505, "http2-preface")),
    ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Refused(400, "request-line")),
    ("SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n", Refused(400, "request-line")),
    ("PROXY header nobody asked for", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + _get(b"/"), Refused(400, "request-line")),
    ("SOCKS greeting", b"\x05\x01\x00", Refused(400, "request-line")),
    ("NUL first", b"\0GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", Refused(400, "request-line")),
    ("one empty line before", b"\r\n" + _get(b"/"), _same(_get(b"/"))),
    ("two empty lines before", b"\r\n\r\n" + _get(b"/"), Refused(400, "request-line")),
    ("LF before", b"\n" + _get(b"/"), Refused(400, "bare-lf")),
    ("CR before", b"\r" + _get(b"/"), Refused(400, "request-line")),
    ("bare LF after the request line", b"GET / HTTP/1.1\nHost: a.example\r\n\r\n", Refused(400, "bare-lf")),
    ("bare LF throughout", b"GET / HTTP/1.1\nHost: a.example\n\n", Refused(400, "bare-lf")),
    ("bare LF after a field", b"GET / HTTP/1.1\r\nHost: a.example\nX: 1\r\n\r\n", Refused(400, "bare-lf")),
    ("bare LF ends the head", b"GET / HTTP/1.1\r\nHost: a.example\r\n\n", Refused(400, "bare-lf")),
    ("LF CR LF ends the head", b"GET / HTTP/1.1\r\nHost: a.example\n\r\n", Refused(400, "bare-lf")),
    ("bare CR after the request line", b"GET / HTTP/1.1\rHost: a.example\r\n\r\n", Refused(400, "request-line")),
    ("CR CR LF after the request line", b"GET / HTTP/1.1\r\r\nHost: a.example\r\n\r\n", Refused(400, "request-line")),
    ("unfinished head", b"GET / HTTP/1.1\r\nHost: a.example\r\n", Pending()),
    ("unfinished line", b"GET /", Pending()),
]

_TARGETS: Final[list[OddRequest]] = [
    _target("query", b"/a?b=c&d=e?f/g"),
    _target("double slash is forwarded as received", b"/a//b"),
    _target("path that looks like an authority", b"//evil.example/a"),
    _target("escaped slash", b"/a%2Fb"),
    _target("escaped letter", b"/%61dmin"),
    _target("escaped UTF-8", b"/caf%C3%A9"),
    _target("escaped percent", b"/100%25"),
    _target("twice-escaped dots", b"/%252e%252e/a"),
    _target("escaped backslash", b"/a%5Cb"),
    _target("path parameters", b"/a;b=c/d"),
    _target("dots within a segment", b"/a..b/...c/d.e"),
    _target("three dots", b"/.../a"),
    _target("hidden file", b"/.well-known/acme-challenge/x"),
    _target("dots in the query", b"/?a=/../b"),
    _target("escaped dots in the query", b"/?a=%2e%2e%2f"),
    _target("backslash in the query", b"/?a=\\b"),
    _target("broken escape in the query", b"/?a=100%"),
    _target("escaped NUL in the query", b"/?a=%00"),
    _target("brackets and pipes", b"/a[1]|b{c}^`"),
    _target("quotes and angles", b'/a?b="c"<d>'),
    _target("colon first", b"/:80/"),
    _target("at sign", b"/@a.example/"),
    _bad_target("too many parameters", b"/?" + b"&".join(b"a%d" % n for n in range(1001)), "target-parameters"),
    _bad_target("too many of one name", b"/?" + b"a&" * 257, "target-parameters"),
    _bad_target("parent segment", b"/a/../b", "target-dots"),
    _bad_target("parent segment first", b"/../b", "target-dots"),
    _bad_target("parent segment last", b"/a/..", "target-dots"),
    _bad_target("parent segment before a query", b"/a/..?b", "target-dots"),
    _read_as("current segment", b"/a/./b", b"/a/b"),
    _read_as("current segment first, as apt writes a flat repository", b"/./Packages.gz", b"/Packages.gz"),
    _read_as("current segment last", b"/a/.", b"/a/"),
    _read_as("current segment alone", b"/.", b"/"),
    _read_as("current segment before a query", b"/a/.?b=/./c", b"/a/?b=/./c"),
    _read_as("current segments in a row", b"/././a/./././b/././", b"/a/b/"),
    _read_as("current segment before an empty one", b"/.//a", b"//a"),
    _read_as("current segment after an empty one", b"//./a", b"//a"),
    _read_as("current segment before three dots", b"/./.../a", b"/.../a"),
    _read_as("current segment before a hidden file", b"/./.well-known/a", b"/.well-known/a"),
    _bad_target("current segment before a parent", b"/./../a", "target-dots"),
    _bad_target("current segment after a parent", b"/a/.././b", "target-dots"),
    _bad_target("a parent that current segments hide", b"/a/././../b", "target-dots"),
    _bad_target("current and escaped parent", b"/./%2e%2e/a", "target-dots"),
    _bad_target("current and escaped current", b"/./%2e/a", "target-dots"),
    _bad_target("current after an escaped slash", b"/a%2f./b", "target-dots"),
    _bad_target("current before an escaped slash", b"/a/.%2fb", "target-dots"),
    _bad_target("current with a path parameter", b"/a/.;/b", "target-dots"),
    _bad_target("current with a named path parameter", b"/a/.;x=y/b", "target-dots"),
    _bad_target("current before a backslash", b"/a/.\\b", "target-backslash"),
    _bad_target("current before an escaped NUL", b"/a/.%00/b", "target-control"),
    _bad_target("current and a broken escape", b"/./%", "target-escape"),
    _bad_target("escaped dots", b"/a/%2e%2e/b", "target-dots"),
    _bad_target("one dot escaped", b"/a/.%2E/b", "target-dots"),
    _bad_target("other dot escaped", b"/a/%2e./b", "target-dots"),
    _bad_target("dots after an escaped slash", b"/a%2f..%2fb", "target-dots"),
    _bad_target("dots after an escaped backslash", b"/a%5c..%5cb", "target-dots"),
    _bad_target("escaped current segment", b"/%2e/a", "target-dots"),
    _bad_target("dots with a path parameter", b"/a/..;/b", "target-dots"),
    _bad_target("dots with a named path parameter", b"/a/..;x=y/b", "target-dots"),
    _bad_target("escaped dots and semicolon", b"/a/%2e%2e%3b/b", "target-dots"),
    _bad_target("backslash", b"/a\\b", "target-backslash"),
    _bad_target("backslash and dots", b"/a\\..\\b", "target-backslash"),
    _bad_target("backslash beside an escape", b"/%41\\b", "target-backslash"),
    _bad_target("escaped NUL", b"/a%00b", "target-control"),
    _bad_target("escaped CR LF", b"/a%0d%0aSet-Cookie:b", "target-control"),
    _bad_target("escaped DEL", b"/a%7f", "target-control"),
    _bad_target("escape cut short", b"/a%2", "target-escape"),
    _bad_target("percent alone", b"/100%", "target-escape"),
    _bad_target("escape that is not hexadecimal", b"/a%zz", "target-escape"),
    _bad_target("escape in Microsoft's way", b"/a%u002e", "target-escape"),
    _bad_target("fragment", b"/a#b", "target"),
    _bad_target("fragment in the query", b"/a?b#c", "target"),
    _bad_target("fragment only", b"#a", "target"),
    _bad_target("NUL", b"/a\0b", "target"),
    _bad_target("control character", b"/a\x01b", "target"),
    _bad_target("tab", b"/a\tb", "target"),
    _bad_target("DEL", b"/a\x7f", "target"),
    _bad_target("raw UTF-8", b"/caf\xc3\xa9", "target"),
    _bad_target("raw Latin-1 in the query", b"/?a=\xe9", "target"),
    _bad_target("CR", b"/a\rb", "target"),
    _bad_target("relative path", b"a/b", "target"),
    _bad_target("query only", b"?a=b", "target"),
    _bad_target("authority-form", b"a.example:80", "target"),
    _target("longest target", b"/" + b"a" * (TARGET_BYTES - 1)),
    _bad_target("target one byte too long", b"/" + b"a" * TARGET_BYTES, "target-size", 414),
    _bad_target("target far too long", b"/" + b"a" * (2 * TARGET_BYTES), "target-size", 414),
    ("endless request line", b"GET /" + b"a" * HEAD_BYTES, Refused(414, "target-size")),
    ("endless method", b"A" * (2 * HEAD_BYTES), Refused(414, "target-size")),
]


def _absolute(name: str, target: bytes, host: bytes, forwarded: Forwarded | Refused) -> OddRequest:
    return name, b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n", forwarded


_ROOT: Final = Forwarded(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")

_ABSOLUTE: Final[list[OddRequest]] = [
    _absolute("absolute-form of the own host", b"http://a.example/x?y", b"a.example", _same(_get(b"/x?y"))),
    _absolute("absolute-form over https", b"https://a.example/x", b"a.example", _same(_get(b"/x"))),
    _absolute("absolute-form in capitals", b"HTTP://A.Example/x", b"a.example", _same(_get(b"/x"))),
    _absolute("absolute-form without a path", b"http://a.example", b"a.example", _ROOT),
    _absolute("absolute-form with a query only", b"http://a.example?q", b"a.example", _same(_get(b"/?q"))),
    _absolute("absolute-form with the default port", b"http://a.example:80/", b"a.example", _ROOT),
    _absolute("absolute-form with https's port", b"https://a.example:443/", b"a.example", _ROOT),
    _absolute("absolute-form of another host", b"http://b.example/", b"a.example", Refused(400, "host-mismatch")),
    _absolute("absolute-form of another port", b"http://a.example:8080/", b"a.example", Refused(400, "host-mismatch")),
    _absolute(
        "absolute-form with the other scheme's port", b"http://a.example:443/", b"a.example", Refused(400, "host-mismatch")
    ),
    _absolute("absolute-form with user information", b"http://u:p@a.example/", b"a.example", Refused(400, "host")),
    _absolute("absolute-form hiding a host", b"http://a.example@b.example/", b"a.example", Refused(400, "host")),
    _absolute("absolute-form without a host", b"http:///x", b"a.example", Refused(400, "host")),
    _absolute("absolute-form with one slash", b"http:/a.example/", b"a.example", Refused(400, "target")),
    _absolute("absolute-form of another scheme", b"ftp://a.example/", b"a.example", Refused(400, "target")),
    _absolute("absolute-form of a script", b"javascript:alert(1)", b"a.example", Refused(400, "target")),
    _absolute("absolute-form of a file", b"file:///etc/passwd", b"a.example", Refused(400, "target")),
    _absolute("absolute-form with current segments", b"http://a.example/./x/.", b"a.example", _same(_get(b"/x/"))),
    _absolute("absolute-form with dots", b"http://a.example/../x", b"a.example", Refused(400, "target-dots")),
    _absolute("absolute-form with a backslash for a slash", b"http://a.example\\x/", b"a.example", Refused(400, "host")),
    _absolute("absolute-form, fragment", b"http://a.example/#x", b"a.example", Refused(400, "target")),
    ("absolute-form without Host", b"GET http://a.example/ HTTP/1.1\r\n\r\n", Refused(400, "host-missing")),
    ("absolute-form without Host in HTTP/1.0", b"GET http://a.example/ HTTP/1.0\r\n\r\n", _ROOT),
    (
        "OPTIONS in absolute-form",
        b"OPTIONS http://a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
        Forwarded(b"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    ),
]

_HOSTS: Final[list[OddRequest]] = [
    _host("Host with a port", b"a.example:8080"),
    _host("Host in capitals", b"A.EXAMPLE", b"a.example"),
    _host("Host with a final dot", b"a.example.", b"a.example"),
    _host("Host with a final dot and a port", b"a.example.:80", b"a.example:80"),
    _host("Host with an underscore", b"a_b.example"),
    _host("Host is an IPv4 address", b"192.0.2.1:80"),
    _host("Host is an IPv6 address", b"[2001:DB8::1]:80", b"[2001:db8::1]:80"),
    _host("Host with a padded port", b"a.example:0080", b"a.example:80"),
    _host("Host with spaces around", b"  a.example\t ", b"a.example"),
    _host("Host of 253 bytes", b"a." * 126 + b"b"),
    _bad_host("Host of 254 bytes", b"a." * 126 + b"bc"),
    _bad_host("empty Host", b""),
    _bad_host("Host with a space", b"a.example b.example"),
    _bad_host("Host with a comma", b"a.example,b.example"),
    _bad_host("Host with a slash", b"a.example/x"),
    _bad_host("Host with an at sign", b"u@a.example"),
    _bad_host("Host with a query", b"a.example?x"),
    _bad_host("Host with a fragment", b"a.example#x"),
    _bad_host("Host with an escape", b"a%2eexample"),
    _bad_host("Host with a quote", b"a.example'"),
    _bad_host("Host with angles", b"<script>"),
    _bad_host("Host with a byte above 127", b"\xc3\xa4.example"),
    _bad_host("Host with two dots", b"a..example"),
    _bad_host("Host with a leading dot", b".a.example"),
    _bad_host("Host with two final dots", b"a.example.."),
    _bad_host("Host is a dot", b"."),
    _bad_host("Host is a port", b":80"),
    _bad_host("Host with an empty port", b"a.example:"),
    _bad_host("Host with two ports", b"a.example:80:80"),
    _bad_host("Host with port 0", b"a.example:0"),
    _bad_host("Host with port 65536", b"a.example:65536"),
    _bad_host("Host with a signed port", b"a.example:+80"),
    _bad_host("Host with a named port", b"a.example:http"),
    _bad_host("Host is an IPv6 address without brackets", b"2001:db8::1"),
    _bad_host("Host with a broken IPv6 address", b"[2001:db8:::1]"),
    _bad_host("Host with an IPv6 zone", b"[fe80::1%25eth0]"),
    _bad_host("Host with an open bracket", b"[2001:db8::1"),
    ("no Host", b"GET / HTTP/1.1\r\nX: 1\r\n\r\n", Refused(400, "host-missing")),
    ("no field at all", b"GET / HTTP/1.1\r\n\r\n", Refused(400, "host-missing")),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", Refused(400, "host-repeated")),
    ("the same Host twice", b"GET / HTTP/1.1\r\nHost: a.example\r\nhost: a.example\r\n\r\n", Refused(400, "host-repeated")),
    ("HTTP/1.0 with Host", b"GET / HTTP/1.0\r\nHost: a.example\r\n\r\n", _ROOT),
    ("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", Forwarded(b"GET / HTTP/1.1\r\nHost: \r\n\r\n")),
    ("HTTP/1.0 with an empty Host", b"GET / HTTP/1.0\r\nHost:\r\n\r\n", Refused(400, "host")),
    (
        "Host last",
        b"GET / HTTP/1.1\r\nX: 1\r\nHost: a.example\r\n\r\n",
        Forwarded(b"GET / HTTP/1.1\r\nHost: a.example\r\nX: 1\r\n\r\n"),
    ),
]

_FIELDS: Final[list[OddRequest]] = [
    _kept("order and case are kept", _field(b"x-B: 2\r\nX-a: 1")),
    _changed("empty value", b"X:", b"X: "),
    _changed("value in spaces", b"X: \t 1 2\t ", b"X: 1 2"),
    _changed("no space after the colon", b"X:1", b"X: 1"),
    _kept("colon in the value", _field(b"X: :1:")),
    _kept("repeated field", _field(b"X: 1\r\nX: 2")),
    _kept("bytes above 127 in a value", _field(b"X: \xc3\xa4\xff")),
    _kept("tab in a value", _field(b"X: a\tb")),
    _kept("name with an underscore", _field(b"X_Y: 1")),
    _kept("name with every token character", _field(b"!#$%&'*+-.^_`|~0Az: 1")),
    _bad_field("folded line", b"X: 1\r\n 2", "obs-fold"),
    _bad_field("folded line with a tab", b"X: 1\r\n\t2", "obs-fold"),
    _bad_field("folded Transfer-Encoding", b"Transfer-Encoding:\r\n chunked", "obs-fold"),
    ("first field folded", b"GET / HTTP/1.1\r\n Host: a.example\r\n\r\n", Refused(400, "obs-fold")),
    _bad_field("line of spaces", b"X: 1\r\n \r\nY: 1", "obs-fold"),
    _bad_field("space before the colon", b"X : 1", "space-before-colon"),
    _bad_field("tab before the colon", b"X\t: 1", "space-before-colon"),
    _bad_field("space before the colon of Content-Length", b"Content-Length : 5", "space-before-colon"),
    _bad_field("empty name", b": 1", "field-name"),
    _bad_field("no colon", b"X", "field-name"),
    _bad_field("space in a name", b"X Y: 1", "field-name"),
    _bad_field("name in brackets", b"(X): 1", "field-name"),
    _bad_field("NUL in a name", b"X\0: 1", "field-name"),
    _bad_field("byte above 127 in a name", b"X\xff: 1", "field-name"),
    _bad_field("control character in a name", b"\x0bTransfer-Encoding: chunked", "field-name"),
    _bad_field("NUL in a value", b"X: a\0b", "field-value"),
    _bad_field("control character in a value", b"X: a\x01b", "field-value"),
    _bad_field("vertical tab in a value", b"X: \x0b", "field-value"),
    _bad_field("form feed in a value", b"X: a\x0c", "field-value"),
    _bad_field("DEL in a value", b"X: a\x7f", "field-value"),
    _bad_field("escape character in a value", b"User-Agent: \x1b[31m", "field-value"),
    _bad_field("CR in a value", b"X: a\rb", "bare-cr"),
    _bad_field("CR CR LF after a field", b"X: a\r", "bare-cr"),
    _bad_field("CR in a name", b"X\rY: a", "bare-cr"),
    _bad_field("bare LF in a value", b"X: a\nb", "bare-lf"),
    _bad_field("request line among the fields", b"GET /b HTTP/1.1", "field-name"),
    _kept("longest field", _field(b"X: " + b"a" * (FIELD_BYTES - 3))),
    _bad_field("field one byte too long", b"X: " + b"a" * (FIELD_BYTES - 2), "field-size", 431),
    _kept("100 fields", _field(b"\r\n".join([b"X: 1"] * (HEADER_COUNT - 1)))),
    _bad_field("101 fields", b"\r\n".join([b"X: 1"] * HEADER_COUNT), "field-count", 431),
    _bad_field("head too long", b"\r\n".join([b"X: " + b"a" * 1000] * 40), "head-size", 431),
    ("endless head", b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 6000, Refused(431, "head-size")),
]

_FRAMING: Final[list[OddRequest]] = [
    _kept("Content-Length", _field(b"Content-Length: 3", method=b"POST", body=b"abc")),
    _changed("Content-Length with leading zeros", b"Content-Length: 003", b"Content-Length: 3", method=b"POST", body=b"abc"),
    _kept("Content-Length: 0", _field(b"Content-Length: 0", method=b"POST")),
    _plain("POST without a length", b"POST /"),
    _kept("body of a GET", _field(b"Content-Length: 3", body=b"abc")),
    _kept("body of a HEAD", _field(b"Content-Length: 3", method=b"HEAD", body=b"abc")),
    _changed(
        "body of a DELETE, chunked",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: chunked",
        method=b"DELETE",
        body=b"1\r\na\r\n0\r\n\r\n",
        decoded=b"a",
    ),
    ("body cut short", _field(b"Content-Length: 5", method=b"POST", body=b"abc"), Pending()),
    _bad_field("empty Content-Length", b"Content-Length:", "content-length"),
    _bad_field("Content-Length with a plus", b"Content-Length: +3", "content-length", body=b"abc"),
    _bad_field("negative Content-Length", b"Content-Length: -1", "content-length"),
    _bad_field("hexadecimal Content-Length", b"Content-Length: 0x3", "content-length", body=b"abc"),
    _bad_field("Content-Length with a unit", b"Content-Length: 3 bytes", "content-length", body=b"abc"),
    _bad_field("Content-Length with a fraction", b"Content-Length: 3.0", "content-length", body=b"abc"),
    _bad_field("Content-Length with underscores", b"Content-Length: 1_0", "content-length"),
    _bad_field("Content-Length with a space inside", b"Content-Length: 1 0", "content-length"),
    _bad_field("Content-Length in other digits", "Content-Length: ٣".encode(), "content-length"),
    _bad_field("Content-Length of 20 digits", b"Content-Length: 18446744073709551619", "content-length"),
    _bad_field("Content-Length list", b"Content-Length: 3, 3", "content-length", body=b"abc"),
    _bad_field(
        "two different Content-Lengths", b"Content-Length: 3\r\nContent-Length: 4", "content-length-repeated", body=b"abcd"
    ),
    _bad_field(
        "the same Content-Length twice", b"Content-Length: 3\r\nContent-Length: 3", "content-length-repeated", body=b"abc"
    ),
    _bad_field("Content-Length with an underscore", b"Content_Length: 3", "field-name", body=b"abc"),
    _bad_field(
        "Content-Length and chunked", b"Content-Length: 3\r\nTransfer-Encoding: chunked", "length-and-encoding", body=b"0\r\n\r\n"
    ),
    _bad_field(
        "chunked and Content-Length", b"Transfer-Encoding: chunked\r\nContent-Length: 5", "length-and-encoding", body=b"0\r\n\r\n"
    ),
    _bad_field(
        "chunked and Content-Length 0",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0",
        "length-and-encoding",
        body=b"0\r\n\r\n",
    ),
    ("chunked in capitals", _field(b"Transfer-Encoding: CHUNKED", method=b"POST", body=b"0\r\n\r\n"), Forwarded(_CHUNKED_HEAD)),
    _bad_field("Transfer-Encoding: identity", b"Transfer-Encoding: identity", "transfer-encoding", 501),
    _bad_field("Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: gzip, chunked", "transfer-encoding", 501),
    _bad_field("Transfer-Encoding: chunked, identity", b"Transfer-Encoding: chunked, identity", "transfer-encoding", 501),
    _bad_field("Transfer-Encoding: xchunked", b"Transfer-Encoding: xchunked", "transfer-encoding", 501),
    _bad_field("Transfer-Encoding: chunked with a comma", b"Transfer-Encoding: chunked,", "transfer-encoding", 501),
    _bad_field("Transfer-Encoding: chunked with a parameter", b"Transfer-Encoding: chunked;x", "transfer-encoding", 501),
    _bad_field("Transfer-Encoding: quoted", b'Transfer-Encoding: "chunked"', "transfer-encoding", 501),
    _bad_field("empty Transfer-Encoding", b"Transfer-Encoding:", "transfer-encoding", 501),
    _bad_field("Transfer-Encoding with a vertical tab", b"Transfer-Encoding: \x0bchunked", "field-value"),
    _bad_field("Transfer-Encoding twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "transfer-encoding", 501),
    _bad_field(
        "Transfer-Encoding twice, one odd", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow", "transfer-encoding", 501
    ),
    _bad_field("Transfer-Encoding with an underscore", b"Transfer_Encoding: chunked", "field-name"),
    (
        "chunked in HTTP/1.0",
        _field(b"Transfer-Encoding: chunked", method=b"POST", version=b"1.0", body=b"0\r\n\r\n"),
        Refused(400, "transfer-encoding-http10"),
    ),
    (
        "chunked in HTTP/1.0 with a length",
        _field(b"Transfer-Encoding: chunked\r\nContent-Length: 3", method=b"POST", version=b"1.0", body=b"abc"),
        Refused(400, "length-and-encoding"),
    ),
]

_CHUNKS: Final[list[OddRequest]] = [
    _chunked("no chunk", b"0\r\n\r\n", b""),
    _chunked("two chunks", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
    _chunked("size in capitals", b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    _chunked("size with leading zeros", b"0003\r\nabc\r\n000\r\n\r\n", b"abc"),
    _chunked("extension", b"3;a=b\r\nabc\r\n0\r\n\r\n", b"abc"),
    _chunked("quoted extension", b'3; a="b c"\r\nabc\r\n0;x\r\n\r\n', b"abc"),
    _chunked("chunk that looks like a request", b"12\r\nGET / HTTP/1.1\r\n\r\n\r\n0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"),
    _chunked("trailer", b"0\r\nX-Sum: 1\r\n\r\n", b"", ((b"X-Sum", b"1"),)),
    _chunked("trailer that is framing", b"0\r\nContent-Length: 3\r\nX: 1\r\n\r\n", b"", ((b"X", b"1"),)),
    _chunked("trailer that is routing", b"0\r\nHost: b.example\r\n\r\n", b""),
    _chunked("trailer that is authorization", b"0\r\nAuthorization: x\r\nCookie: a=b\r\n\r\n", b""),
    _chunked("trailer that forges an address", b"0\r\nX-Forwarded-For: 192.0.2.1\r\nX_Forwarded_For: 192.0.2.1\r\n\r\n", b""),
    _bad_chunked("size in another base", b"0x3\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("size with a plus", b"+3\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("negative size", b"-1\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("size with an underscore", b"1_0\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("no size", b"\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("space before the size", b" 3\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("space after the size", b"3 \r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("space before the extension", b"3 ;a\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("size that is not a number", b"xyz\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("size with a comma", b"3,a\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("bare LF after the size", b"3\nabc\r\n0\r\n\r\n", "bare-lf"),
    _bad_chunked("bare LF after the extension", b"3;a\nabc\r\n0\r\n\r\n", "bare-lf"),
    _bad_chunked("bare CR in the extension", b"3;a\rb\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("NUL in the extension", b"3;a\0\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("byte above 127 in the extension", b"3;\xff\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("extension of 300 bytes", b"3;" + b"a" * 300 + b"\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("size of 17 digits", b"00000000000000003\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("size beyond 64 bits", b"10000000000000003\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("size at the end of 64 bits", b"FFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n", "chunk-size"),
    _bad_chunked("chunk longer than its size", b"3\r\nabcd\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("chunk shorter than its size", b"4\r\nabc\r\n0\r\n\r\n", "chunk"),
    _bad_chunked("chunk ended by bare LF", b"3\r\nabc\n0\r\n\r\n", "chunk"),
    _bad_chunked("chunk ended by bare CR", b"3\r\nabc\r0\r\n\r\n", "chunk"),
    _bad_chunked("chunk not ended", b"3\r\nabc0\r\n\r\n", "chunk"),
    _bad_chunked("last chunk ended by bare LF", b"0\n\r\n", "bare-lf"),
    _bad_chunked("trailer ended by bare LF", b"0\r\nX: 1\n\r\n", "bare-lf"),
    _bad_chunked("trailers ended by bare LF", b"0\r\nX: 1\r\n\n", "bare-lf"),
    _bad_chunked("bare LF for trailers", b"0\r\n\n", "bare-lf"),
    _bad_chunked("folded trailer", b"0\r\nX: 1\r\n 2\r\n\r\n", "obs-fold"),
    _bad_chunked("trailer without a name", b"0\r\n: 1\r\n\r\n", "field-name"),
    _bad_chunked("trailer without a colon", b"0\r\nGET / HTTP/1.1\r\n\r\n", "field-name"),
    _bad_chunked("NUL in a trailer", b"0\r\nX: \0\r\n\r\n", "field-value"),
    _bad_chunked("trailers too long", b"0\r\n" + b"X: 1\r\n" * 2000, "trailer-size", 431),
    _bad_chunked("101 trailers", b"0\r\n" + b"X: 1\r\n" * 101 + b"\r\n", "trailer-size", 431),
    _bad_chunked("extensions for nothing", (b"1;" + b"a" * 200 + b"\r\na\r\n") * 100 + b"0\r\n\r\n", "chunk-overhead"),
    ("unfinished chunk", _CHUNKED_HEAD + b"3\r\nab", Pending()),
    ("no last chunk", _CHUNKED_HEAD + b"3\r\nabc\r\n", Pending()),
    ("no end of trailers", _CHUNKED_HEAD + b"0\r\n", Pending()),
]

_OPTIONS: Final[list[OddRequest]] = [
    _dropped_field("Connection: close", b"Connection: close"),
    _dropped_field("Connection: keep-alive", b"Connection: Keep-Alive\r\nKeep-Alive: timeout=5"),
    _dropped_field("Proxy-Connection", b"Proxy-Connection: keep-alive"),
    _dropped_field("field that Connection names", b"Connection: close, X-Secret\r\nX-Secret: 1"),
    _dropped_field("field that Connection names with an odd case", b"connection: x-SECRET\r\nX-Secret: 1"),
    _dropped_field("Proxy, which becomes HTTP_PROXY", b"Proxy: http://b.example"),
    _dropped_field("Proxy-Authorization", b"Proxy-Authorization: Basic eDp5"),
    _changed("Connection cannot take away Cookie", b"Connection: cookie, close\r\nCookie: a=b", b"Cookie: a=b"),
    _changed("Connection cannot take away Authorization", b"Connection: Authorization\r\nAuthorization: x", b"Authorization: x"),
    ("Connection cannot take away Host", _field(b"Connection: host"), _ROOT),
    _changed(
        "Connection cannot take away Content-Length",
        b"Connection: content-length\r\nContent-Length: 3",
        b"Content-Length: 3",
        body=b"abc",
    ),
    _changed(
        "Connection cannot take away X-Forwarded-For",
        b"Connection: x-forwarded-for\r\nX-Forwarded-For: 192.0.2.1",
        b"X-Forwarded-For: 192.0.2.1",
    ),
    _bad_field("Connection that is no list of tokens", b"Connection: a b", "connection"),
    _bad_field("Connection with a quoted string", b'Connection: "close"', "connection"),
    _dropped_field("upgrade to h2c", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"),
    _dropped_field("upgrade to h2c without Connection", b"Upgrade: h2c"),
    _dropped_field("upgrade to TLS", b"Connection: Upgrade\r\nUpgrade: TLS/1.2"),
    _dropped_field("upgrade to HTTP/2.0", b"Connection: Upgrade\r\nUpgrade: HTTP/2.0"),
    _dropped_field("WebSocket without Connection", b"Upgrade: websocket"),
    _changed(
        "WebSocket",
        b"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13",
        b"Sec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket",
    ),
    _changed(
        "WebSocket among others", b"Connection: Upgrade\r\nUpgrade: h2c, websocket", b"Connection: Upgrade\r\nUpgrade: websocket"
    ),
    (
        "WebSocket with POST",
        _field(b"Connection: Upgrade\r\nUpgrade: websocket", method=b"POST"),
        Forwarded(b"POST / HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    ),
    _changed(
        "WebSocket with a body",
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1",
        b"Content-Length: 1",
        body=b"a",
    ),
    ("WebSocket in HTTP/1.0", _field(b"Connection: Upgrade\r\nUpgrade: websocket", version=b"1.0"), _ROOT),
    _changed("TE: trailers", b"TE: trailers", b"Connection: TE\r\nTE: trailers"),
    _changed("TE with codings", b"TE: gzip;q=0.5, trailers", b"Connection: TE\r\nTE: trailers"),
    _dropped_field("TE without trailers", b"TE: gzip"),
    _changed(
        "Expect: 100-continue",
        b"Expect: 100-Continue\r\nContent-Length: 1",
        b"Content-Length: 1\r\nExpect: 100-continue",
        method=b"PUT",
        body=b"a",
    ),
    _bad_field("Expect of something else", b"Expect: 200-maybe", "expect", 417),
    _bad_field("Expect with a list", b"Expect: 100-continue, x", "expect", 417),
    _dropped_field("Expect without a body", b"Expect: 100-continue"),
    ("Expect in HTTP/1.0 is ignored", _field(b"Expect: x", version=b"1.0"), _ROOT),
]

ODD_REQUESTS: Final[list[OddRequest]] = [
    *_METHODS,
    *_LINES,
    *_TARGETS,
    *_ABSOLUTE,
    *_HOSTS,
    *_FIELDS,
    *_FRAMING,
    *_CHUNKS,
    *_OPTIONS,
]
"""Name, bytes of one request, what becomes of it. Names are unique."""
