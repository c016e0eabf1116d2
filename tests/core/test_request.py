"""Facts derived from a request: the path that rules see, its query, cookies and headers."""

from __future__ import annotations

import pytest

from proxyguard.core import request_paths
from proxyguard.core.address import Address
from proxyguard.core.reading import decoded_path
from proxyguard.core.request import MAX_COOKIES, Request
from proxyguard.core.request_paths import MAX_PATH_BYTES, MAX_PATHS, inspected_path

CLIENT = Address.parse("192.0.2.1")


def request(target: bytes = b"/", headers: tuple[tuple[bytes, bytes], ...] = ()) -> Request:
    return Request(CLIENT, b"GET", b"https", b"example.org", target, headers)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/signup", b"/signup"),
        (b"/signup?next=/a/b", b"/signup"),
        (b"/%73ign%75p", b"/signup"),
        (b"//signup", b"/signup"),
        (b"/a///b//c", b"/a/b/c"),
        (b"/%2Fsignup", b"/signup"),
        (b"/%2573", b"/%73"),
        (b"/%zz%4", b"/%zz%4"),
        (b"/a?x=%2f//", b"/a"),
        (b"*", b"*"),
        (b"/\xc3\xa4%C3%A4", b"/\xc3\xa4\xc3\xa4"),
        (b"/a#b?c", b"/a"),
    ],
)
def test_rules_see_the_path_that_an_origin_acts_on(target: bytes, path: bytes) -> None:
    assert inspected_path(target) == path
    assert request(target).path == path


def test_query_parameters_are_decoded_and_kept_by_name() -> None:
    seen = request(b"/s?q=a+b%26c&q=&flag&=x&%71=z").query
    assert seen == {b"q": (b"a b&c", b"", b"z"), b"flag": (b"",), b"": (b"x",)}


def test_query_parameters_and_cookies_are_bounded() -> None:
    many = request(
        b"/?" + b"&".join(b"p%d=1" % n for n in range(5000)), ((b"Cookie", b";".join(b"c%d=1" % n for n in range(5000))),)
    )
    assert len(many.query) == 5000  # the front refuses so many; nothing is looked past
    assert len(many.cookies) == MAX_COOKIES


def test_cookies_of_all_cookie_fields_are_seen() -> None:
    seen = request(headers=((b"Cookie", b'a=1; b="2";junk'), (b"cookie", b"a=3"))).cookies
    assert seen == {b"a": (b"1", b"3"), b"b": (b"2",)}


def test_headers_are_found_in_any_case_and_keep_all_values() -> None:
    seen = request(headers=((b"User-Agent", b""), (b"Accept", b"a"), (b"ACCEPT", b"b")))
    assert seen.header_index == {b"user-agent": (b"",), b"accept": (b"a", b"b")}
    assert seen.user_agent == b""
    assert request().user_agent is None


def test_remembered_paths_are_read_as_ever_and_neither_long_ones_nor_many_are_kept() -> None:
    paths = [b"/%61//b", b"/a#b", b"/" + b"a" * MAX_PATH_BYTES, *(b"/%d%%2f" % number for number in range(2 * MAX_PATHS))]
    for path in paths * 2:
        assert inspected_path(path + b"?%63") == decoded_path(path)
        assert 0 < len(request_paths._read_paths) <= MAX_PATHS
    assert all(len(each) <= MAX_PATH_BYTES for each in request_paths._read_paths)
