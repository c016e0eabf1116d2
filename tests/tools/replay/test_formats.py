"""Each format of access log, line by line: what an entry is made of, and why a line is none."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxyguard.core.decision import ShadowHit
from proxyguard.tools.replay.detect import Stated, detect_format
from proxyguard.tools.replay.logged_request import LineError, LogFormat, LoggedRequest, NoRequest, NotAnEntry, Recorded
from proxyguard.tools.replay.moments import read_common_log_time, read_moment

TIME = 1_795_425_307.0  # 2026-11-23 09:15:07 UTC
CLF = "23/Nov/2026:09:15:07 +0000"

COMMON = f'192.0.2.7 - - [{CLF}] "GET /a?b=1 HTTP/1.1" 200 512'
COMBINED = f'{COMMON} "https://www.example.org/" "curl/8.5.0"'
ENVOY = (
    '[2026-11-23T09:15:07.000Z] "POST /signup HTTP/2" 204 - 154 512 226 100 "198.51.100.1, 192.0.2.7" "curl/8.5.0" '
    '"cc21d9b0" "www.example.org:443" "tcp://10.0.2.1:80"'
)
ISTIO = (
    '[2026-11-23T09:15:07.000Z] "GET /a HTTP/1.1" 404 NR route_not_found - "-" 0 512 3 - "192.0.2.7" "curl/8.5.0" '
    '"cc21d9b0" "www.example.org" "-" - - 10.0.0.1:80 10.0.0.9:4711 - -'
)
NGINX_JSON: dict[str, Any] = {
    "time_iso8601": "2026-11-23T10:15:07+01:00", "remote_addr": "192.0.2.7", "remote_user": "ada", "request_method": "GET",
    "request_uri": "/a?b=1", "server_protocol": "HTTP/2.0", "status": "200", "body_bytes_sent": "512", "http_referer": "",
    "http_user_agent": "curl/8.5.0", "http_host": "WWW.example.org.:8443", "scheme": "https", "http_accept_language": "en",
    "cookie_session": "abc", "upstream_response_time": "0.25, 0.25",
}  # fmt: skip
ENVOY_JSON: dict[str, Any] = {
    "start_time": "2026-11-23T09:15:07.000Z", "method": "GET", "path": "/a?b=1", "protocol": "HTTP/1.1", "response_code": 200,
    "bytes_sent": 512, "downstream_remote_address": "192.0.2.7:4711", "user_agent": "curl/8.5.0",
    "authority": "www.example.org", "upstream_service_time": "250", "x_forwarded_for": None,
}  # fmt: skip
CADDY: dict[str, Any] = {
    "level": "info", "ts": TIME, "logger": "http.log.access", "msg": "handled request",
    "request": {
        "remote_ip": "192.0.2.7", "remote_port": "4711", "client_ip": "192.0.2.7", "proto": "HTTP/2.0", "method": "GET",
        "host": "www.example.org", "uri": "/a?b=1",
        "headers": {"User-Agent": ["curl/8.5.0"], "Accept": ["*/*", "text/html"], "Cookie": ["REDACTED"]},
        "tls": {"version": 772, "server_name": "www.example.org"},
    },
    "user_id": "ada", "duration": 0.5, "size": 512, "status": 200, "resp_headers": {"Server": ["Caddy"]},
}  # fmt: skip
AUDIT: dict[str, Any] = {
    "time": TIME, "reference": "0123456789abcdef", "client": "192.0.2.7", "port": 4711, "method": "GET",
    "host": "www.example.org", "path": "/caf\u00e9 ?/100%", "rule": "scripted", "action": "reject", "mode": "enforce",
    "score": 0.0, "status": 403, "milliseconds": 0.1, "shadow": ["tarpit by pages"],
}  # fmt: skip


def detected(*lines: str, name: str | None = None, forwarded: bool = False) -> LogFormat:
    found = detect_format([line.encode() for line in lines], Stated(name, forwarded))
    assert found is not None
    return found.format


def entry(line: str, **options: Any) -> LoggedRequest:
    return detected(line, **options).parse(line.encode())


def facts(found: LoggedRequest) -> dict[str, Any]:
    """The fields of an entry that are not empty."""
    return {name: value for name in LoggedRequest.__slots__ if (value := getattr(found, name))}


BASE = {
    "time": TIME,
    "client": b"192.0.2.7",
    "method": b"GET",
    "target": b"/a?b=1",
    "version": b"1.1",
    "status": 200,
    "bytes_sent": 512,
}
JSON_LINES = tuple(map(json.dumps, (NGINX_JSON, ENVOY_JSON, CADDY, AUDIT)))
EVERY_LINE = (COMMON, COMBINED, f"h.example {COMBINED}", f"h.example {COMMON}", ENVOY, *JSON_LINES)

AGENT = (b"User-Agent", b"curl/8.5.0")
HOST = (b"Host", b"www.example.org")
REFERER = (b"Referer", b"https://www.example.org/")


@pytest.mark.parametrize(
    ("line", "name", "expected"),
    [
        (COMMON, "common", BASE),
        (COMBINED, "combined", BASE | {"headers": (AGENT, REFERER), "referer": True}),
        (f'{COMBINED} "198.51.100.9" 0.012', "combined", BASE | {"headers": (AGENT, REFERER), "referer": True}),
        (COMBINED.replace("- -", "- ada l"), "combined", BASE | {"headers": (AGENT, REFERER), "referer": True, "user": True}),
        (COMBINED.replace("https://www.example.org/", "-"), "combined", BASE | {"headers": (AGENT,)}),
        (f'{COMMON} "-" "-"', "combined", BASE),
        (f'{COMMON} "-" ""', "combined", BASE | {"headers": ((b"User-Agent", b""),)}),
        (f'{COMMON} "-" "a \\"b\\" \\x22c\\\\ \\xe9"', "combined", BASE | {"headers": ((b"User-Agent", b'a "b" "c\\ \xe9'),)}),
        (f"www.example.org:443 {COMBINED}", "vhost-combined",
         BASE | {"headers": (HOST, AGENT, REFERER), "referer": True, "host": b"www.example.org"}),
        (f"www.example.org {COMMON}", "vhost-common", BASE | {"headers": (HOST,), "host": b"www.example.org"}),
        (ENVOY, "envoy",
         {"time": TIME, "client": b"192.0.2.7", "method": b"POST", "target": b"/signup", "version": b"2", "status": 204,
          "bytes_sent": 512, "upstream_seconds": 0.1, "host": b"www.example.org",
          "headers": ((b"Host", b"www.example.org:443"), AGENT, (b"X-Request-Id", b"cc21d9b0"))}),
        (ISTIO, "envoy",
         {"time": TIME, "client": b"192.0.2.7", "method": b"GET", "target": b"/a", "version": b"1.1", "status": 404,
          "bytes_sent": 512, "host": b"www.example.org", "headers": (HOST, AGENT, (b"X-Request-Id", b"cc21d9b0"))}),
        (json.dumps(NGINX_JSON), "nginx-json",
         BASE | {"version": b"2", "user": True, "host": b"www.example.org", "scheme": b"https", "upstream_seconds": 0.5,
                 "headers": (HOST, AGENT, (b"accept-language", b"en"), (b"Cookie", b"session=abc"))}),
        (json.dumps(ENVOY_JSON), "envoy-json",
         BASE | {"host": b"www.example.org", "upstream_seconds": 0.25, "headers": (HOST, AGENT)}),
        (json.dumps(CADDY), "caddy",
         BASE | {"version": b"2", "user": True, "host": b"www.example.org", "scheme": b"https",
                 "headers": (HOST, AGENT, (b"Accept", b"*/*"), (b"Accept", b"text/html"), (b"Cookie", b"REDACTED"))}),
        (json.dumps(AUDIT), "audit",
         {"time": TIME, "client": b"192.0.2.7", "method": b"GET", "target": b"/caf%C3%A9%20%3F/100%25", "version": b"1.1",
          "status": 403, "host": b"www.example.org", "headers": (HOST,),
          "recorded": Recorded("scripted", "reject", (ShadowHit("pages", "tarpit"),))}),
    ],
)  # fmt: skip
def test_a_line_of_each_format_becomes_an_entry(line: str, name: str, expected: dict[str, Any]) -> None:
    assert detected(line).name == name
    assert facts(entry(line)) == expected


@pytest.mark.parametrize(
    ("line", "known", "unknown"),
    [
        (COMMON, "client, method, path, query, http_version", "user_agent, host, scheme, headers, cookies"),
        (COMBINED, "client, method, path, query, http_version, header.referer, user_agent",
         "host, scheme, other headers, cookies"),
        (ENVOY, "client, method, path, query, http_version, host, header.host, user_agent, header.x-request-id",
         "scheme, other headers, cookies"),
        (json.dumps(CADDY), "client, method, path, query, http_version, host, scheme, all headers",
         "cookies, the values of authorization, cookie, proxy-authorization, set-cookie"),
        (json.dumps(AUDIT), "client, method, path, host, header.host",
         "user_agent, query, http_version, scheme, other headers, cookies"),
    ],
)  # fmt: skip
def test_a_format_says_what_it_knows(line: str, known: str, unknown: str) -> None:
    assert detected(line).knowledge.described() == (known, unknown)


@pytest.mark.parametrize(
    ("request_line", "target"),
    [
        ("GET / HTTP/1.0", b"/"),
        ("GET /a b HTTP/1.1", b"/a b"),
        ("GET http://www.example.org/x HTTP/1.1", b"/x"),
        ("GET http://www.example.org HTTP/1.1", b"/"),
        ("OPTIONS * HTTP/1.1", b"*"),
        ("M-SEARCH /x HTTP/1.1", b"/x"),
        ("", None), ("-", None), ("\\x16\\x03\\x01", None), ("GET /", None), ("CONNECT a:443 HTTP/1.1", None),
        ("get / HTTP/1.1", None), ("GET x HTTP/1.1", None), ("GET / HTTP/9.9", None), ("PRI * HTTP/2.0", None),
    ],
)  # fmt: skip
def test_only_requests_that_a_front_would_take_are_entries(request_line: str, target: bytes | None) -> None:
    line = COMBINED.replace("GET /a?b=1 HTTP/1.1", request_line).encode()
    parse = detected(COMBINED).parse
    if target is None:
        with pytest.raises(NoRequest):
            parse(line)
    else:
        assert parse(line).target == target


@pytest.mark.parametrize(
    ("first", "line", "reason"),
    [
        (COMBINED, COMMON, "it is not a line of the combined log format"),
        (COMBINED, "", "it is not a line of the combined log format"),
        (COMBINED, COMBINED.replace("Nov", "Nux"), "the time '23/Nux/2026:09:15:07 +0000' cannot be read"),
        (COMBINED, COMBINED.replace("23/", "33/"), "the time '33/Nov/2026:09:15:07 +0000' cannot be read"),
        (COMMON, "x", "it is not a line of the common log format"),
        (ENVOY, ENVOY.replace("198.51.100.1, 192.0.2.7", "-"),
         "there is no X-Forwarded-For, and so no client address; Envoy needs use_remote_address: true"),
        (ENVOY, "[x]", "it is not a line of Envoy's default format"),
        (json.dumps(NGINX_JSON), "{", "it is not JSON"),
        (json.dumps(NGINX_JSON), "[1]", "it is not a JSON object"),
        (json.dumps(NGINX_JSON), '{"remote_addr": ""}', "it names no client address"),
        (json.dumps(NGINX_JSON), json.dumps(NGINX_JSON | {"time_iso8601": "noon"}), "the time in 'time_iso8601' cannot be read"),
        (json.dumps(CADDY), json.dumps(CADDY | {"ts": "noon"}), "the time in 'ts' cannot be read"),
    ],
)  # fmt: skip
def test_a_line_that_is_none_says_why(first: str, line: str, reason: str) -> None:
    with pytest.raises(LineError) as caught:
        detected(first).parse(line.encode())
    assert str(caught.value) == reason


def test_a_line_of_caddy_that_is_about_something_else_is_no_entry() -> None:
    with pytest.raises(NotAnEntry):
        detected(json.dumps(CADDY)).parse(b'{"level": "info", "ts": 1795425307.0, "msg": "serving initial configuration"}')


@pytest.mark.parametrize(
    ("line", "client"),
    [
        (f'{COMBINED} "203.0.113.5, 198.51.100.9"', b"198.51.100.9"),
        (f'{COMBINED} "198.51.100.9:4711"', b"198.51.100.9"),
        (f'{COMBINED} "-"', b"192.0.2.7"),
        (COMBINED, b"192.0.2.7"),
        (json.dumps(NGINX_JSON | {"http_x_forwarded_for": "1.1.1.1, 2001:db8::9"}), b"2001:db8::9"),
    ],
)
def test_the_client_may_be_the_last_one_forwarded_for(line: str, client: bytes) -> None:
    assert entry(line, forwarded=True).client == client


def test_without_asking_for_it_the_forwarded_address_is_not_believed() -> None:
    assert entry(f'{COMBINED} "198.51.100.9"').client == b"192.0.2.7"


def test_what_nginx_escapes_in_its_own_way_inside_of_json_is_read() -> None:
    line = json.dumps(NGINX_JSON).replace("curl/8.5.0", "a \\x22b\\x22")
    assert entry(line).headers[1] == (b"User-Agent", b'a "b"')


def test_bytes_that_are_not_utf_8_stay_as_they_were() -> None:
    line = json.dumps(NGINX_JSON).encode().replace(b"curl/8.5.0", b"caf\xe9")
    assert detected(json.dumps(NGINX_JSON)).parse(line).headers[1] == (b"User-Agent", b"caf\xe9")


def test_most_lines_decide_the_format() -> None:
    assert detected("garbage", COMBINED, COMBINED, COMMON).name == "combined"
    assert detected("garbage", COMMON, COMMON, COMMON).name == "common"


@pytest.mark.parametrize("lines", [["hello world"], [""], ["{}"], ['{"a": 1}'], ["[1, 2]"]])
def test_a_file_that_is_no_access_log_has_no_format(lines: list[str]) -> None:
    assert detect_format([line.encode() for line in lines]) is None


def test_a_stated_format_is_not_guessed() -> None:
    assert detected(COMBINED, name="common").name == "common"
    assert detect_format([COMBINED.encode()], Stated("caddy")) is None
    assert detect_format([COMBINED.encode()], Stated("nginx-json")) is None


@given(st.binary(max_size=300))
@example(b"1.1.1.1 - - [" + b"9" * 26 + b'] "GET / HTTP/1.1" 200 1 "-" "-"')
@example(b"{" * 100)
def test_no_line_breaks_a_parser(line: bytes) -> None:
    for first in EVERY_LINE:
        with suppress(LineError, NoRequest, NotAnEntry):
            detected(first).parse(line)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from([NGINX_JSON, ENVOY_JSON, CADDY, AUDIT]), st.data())
def test_no_value_of_a_json_field_breaks_a_parser(sample: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(sample)))
    line = json.dumps(sample | {key: data.draw(json_values)}).encode()
    with suppress(LineError, NoRequest, NotAnEntry):
        assert detected(json.dumps(sample)).parse(line).target[:1] in {b"/", b"*"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (TIME, TIME), (f"{TIME}", TIME), (int(TIME * 1000), TIME), (TIME * 1e6, TIME), (int(TIME) * 10**9, TIME),
        ("2026-11-23T09:15:07Z", TIME), ("2026-11-23 09:15:07", TIME), ("2026-11-23T10:15:07.500+01:00", TIME + 0.5), (CLF, TIME),
    ],
)  # fmt: skip
def test_times_are_read_as_logs_write_them(value: object, seconds: float) -> None:
    assert read_moment(value) == seconds


@pytest.mark.parametrize("value", [None, True, "", "noon", 0, -1, 1e30, "99/Nov/2026:09:15:07 +0000", [], {}])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        read_moment(value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("23/Nov/2026:09:15:07 +0000", TIME), ("23/Nov/2026:10:45:07 +0130", TIME), ("23/Nov/2026:04:15:07 -0500", TIME),
        ("01/Jan/2026:00:00:00 +0000", 1_767_225_600.0), ("29/Feb/2028:23:59:59 +0000", 1_835_481_599.0),
    ],
)  # fmt: skip
def test_common_log_times_keep_their_zone(text: str, seconds: float) -> None:
    assert read_common_log_time(text.encode()) == seconds
    assert read_common_log_time(text.encode()) == seconds  # the second time from memory


def test_the_sums_of_an_audit_log_are_counted_and_named() -> None:
    summed = {"time": 1.0, "kind": "summed", "rule": "r", "action": "reject", "count": 3, "since": 1.0, "references": []}
    found = detected(json.dumps(summed), json.dumps(AUDIT))
    assert found.name == "audit"
    found.reset()
    with pytest.raises(NotAnEntry):
        found.parse(json.dumps(summed).encode())
    assert found.notes() == ["3 more refusals were summed up in the audit log and have no line each: r 3"]
    found.reset()
    assert found.notes() == []
