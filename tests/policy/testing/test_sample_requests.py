"""Requests described in words become the requests a front would have built."""

from __future__ import annotations

import json
import re

import pytest

from proxyguard.policy.model import SampleRequest
from proxyguard.policy.testing.sample_requests import MAX_LINE_BYTES, parse_batch_line, request_from_sample


def test_an_empty_sketch_is_a_plain_request() -> None:
    made = request_from_sample(SampleRequest())
    assert (made.client.text, made.method, made.scheme, made.host) == ("192.0.2.1", b"GET", b"https", b"example.org")
    assert (made.target, made.http_version) == (b"/", b"1.1")
    assert made.headers == ((b"Host", b"example.org"),)


def test_a_sketch_keeps_order_and_case_and_its_own_host_field() -> None:
    sketch = SampleRequest(host="Example.ORG:8443", path="/s?q=1", headers=(("x-A", "é"), ("hOST", "other")))
    made = request_from_sample(sketch)
    assert made.host == b"example.org"
    assert made.headers == ((b"x-A", "é".encode()), (b"hOST", b"other"))
    assert made.query == {b"q": (b"1",)}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("example.org", b"example.org"),
        ("EXAMPLE.org:80", b"example.org"),
        ("Example.org.", b"example.org"),
        ("example.org.:80", b"example.org"),
        ("example.org:", b"example.org"),
        ("[2001:db8::1]:80", b"[2001:db8::1]"),
        ("[2001:db8::1]", b"[2001:db8::1]"),
        ("example.org:http", b"example.org:http"),
    ],
)
def test_the_host_is_lower_case_without_its_port(host: str, expected: bytes) -> None:
    assert request_from_sample(SampleRequest(host=host)).host == expected


@pytest.mark.parametrize(
    ("sketch", "message"),
    [
        (SampleRequest(client="nowhere"), "'nowhere' does not appear to be an IPv4 or IPv6 address"),
        (SampleRequest(path="a/b"), "path must begin with /, not 'a/b'"),
    ],
)
def test_a_sketch_that_is_no_request_says_why(sketch: SampleRequest, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        request_from_sample(sketch)


def test_a_batch_line_is_taken_as_it_stands() -> None:
    line = (
        b'{"client": "2001:db8::1", "method": "POST", "scheme": "http", "host": "A.example:81", "path": "/x?y=z",'
        b' "http_version": "2", "headers": [["X", "1"], ["x", "2"], ["Raw", "\\udcff"]]}'
    )
    made = parse_batch_line(line)
    assert (made.client.text, made.method, made.scheme, made.host) == ("2001:db8::1", b"POST", b"http", b"a.example")
    assert (made.target, made.http_version) == (b"/x?y=z", b"2")
    assert made.headers == ((b"X", b"1"), (b"x", b"2"), (b"Raw", b"\xff"))
    assert parse_batch_line("{}").headers == ()
    assert parse_batch_line('{"headers": {"A": "b"}}').headers == ((b"A", b"b"),)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "the line is not JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", 'the line is not a JSON object, such as {"client": "192.0.2.1", "path": "/"}'),
        (b'{"path": 1}', "path must be a string, not int"),
        (b'{"headers": [["a"]]}', 'headers must be a list of pairs, such as [["User-Agent", "curl/8.5.0"]]'),
        (b'{"headers": "a"}', 'headers must be a list of pairs, such as [["User-Agent", "curl/8.5.0"]]'),
        (
            b'{"url": "/"}',
            (
                "unknown key 'url'; keys: client, method, scheme, host, path, http_version, headers, account, jar, heat, "
                "visitor, form, connection, asn, claimed_identity, country, crawl_delay, identity, network_kind, robots, "
                "robots_group, verified"
            ),
        ),
        (b'{"path": ""}', "path must begin with /, not ''"),
        (b"x" * (MAX_LINE_BYTES + 1), f"the line has {MAX_LINE_BYTES + 1} bytes; at most {MAX_LINE_BYTES}"),
    ],
)
def test_a_line_that_is_no_request_says_why(line: bytes, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_batch_line(line)
    assert str(caught.value) == message


def test_bytes_that_are_not_utf8_are_not_json() -> None:
    with pytest.raises(ValueError, match="the line is not JSON"):
        parse_batch_line(b'{"path": "/\xff"}')


def test_what_a_connection_shows_can_be_stated() -> None:
    request = parse_batch_line('{"connection": [["client_kind", "curl"], ["tls.version", "1.3"], ["contradiction", "hello"]]}')
    facts = request.connection
    assert facts is not None
    assert (facts.kind, facts.tls_version, facts.contradictions) == (b"curl", b"1.3", (b"hello",))
    assert parse_batch_line("{}").connection is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("kind", "curl", "nothing is known of a connection by the name 'kind'"),
        ("client_kind", "crl", "client_kind: 'crl' is no kind of client; did you mean 'curl'?"),
        ("tls.ja4", "t13", "tls.ja4: 't13' is neither a JA4 nor a version or kind of TLS"),
    ],
)
def test_a_fact_that_no_connection_can_show_is_refused(name: str, value: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse_batch_line(json.dumps({"connection": {name: value}}))
