"""The fields that are derived from a request: their values, on odd requests too, and where each is a part of a key."""

from __future__ import annotations

import pytest

from proxyguard.core.address import DEFAULT_PREFIXES
from proxyguard.core.reading import PRESETS
from proxyguard.core.request import Request
from proxyguard.limits.limit import KeyPart, Limit
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.compile.keys import KeyMaker
from proxyguard.policy.engine import match
from proxyguard.policy.fields.registry import field_type
from proxyguard.policy.model import Policy
from proxyguard.policy.parse.file import parse_rule_set
from tests.build import request

PARTS = (
    "user_agent", "header_order", "header_count", "query", "query_length", "query_count", "path_segment.1", "body_size",
    "content_type",
)  # fmt: skip


def values(kind: str, asked: Request, name: str = "") -> tuple[bytes, ...]:
    return field_type(kind).values(asked, name.encode())


def keys_of(per: str, *requests: Request) -> list[str]:
    text = f"name: a\nrules: [{{name: b, limit: {{rate: 1/day, per: {per}}}, action: reject}}]\n"
    rule_set, problems = parse_rule_set(text, "a.yaml")
    assert problems == ()
    assert rule_set is not None
    compiled = compile_policy(Policy((rule_set,)), secret=b"secret")
    return [match(compiled, each, 0.0).charges[0].key for each in requests]


def test_the_order_of_headers_is_that_in_which_they_came() -> None:
    asked = request(headers=(("Host", "a"), ("X-Twice", "1"), ("Accept", "*/*"), ("x-twice", "2")), user_agent=None)
    assert values("header_order", asked) == (b"host,x-twice,accept,x-twice",)
    assert values("header_count", asked) == (b"4",)
    assert values("header_order", request(headers=(), user_agent=None)) == (b"",)


@pytest.mark.parametrize(
    ("target", "whole", "length", "count"),
    [
        ("/", (), b"0", b"0"),
        ("/?", (b"",), b"0", b"0"),
        ("/?a=1&&b=2&a=3&", (b"a=1&&b=2&a=3&",), b"13", b"3"),
        ("/?q=union+select%20%2A", (b"q=union select *",), b"20", b"1"),
        ("/?a=%zz%2", (b"a=%zz%2",), b"7", b"1"),
        ("/?a?b=1;c", (b"a?b=1;c",), b"7", b"1"),
    ],
)
def test_the_query_as_a_whole(target: str, whole: tuple[bytes, ...], length: bytes, count: bytes) -> None:
    asked = request(target)
    assert values("query", asked) == whole
    assert (values("query_length", asked), values("query_count", asked)) == ((length,), (count,))


def test_a_site_that_parts_by_semicolons_has_more_parameters() -> None:
    asked = request("/?a=1;b=2;;c=3&d=4")
    asked.read_as(PRESETS["rails"])
    assert values("query_count", asked) == (b"4",)


@pytest.mark.parametrize(
    ("target", "segments"),
    [
        ("/", []),
        ("/blog/2024/a", [b"blog", b"2024", b"a"]),
        ("//blog//a/?x=/y", [b"blog", b"a"]),
        ("/a%2Fb/%63", [b"a", b"b", b"c"]),
        ("/" + "/".join("x" * 40), [b"x"] * 32),
    ],
)
def test_segments_are_those_of_the_path_as_rules_see_it(target: str, segments: list[bytes]) -> None:
    asked = request(target)
    found = [values("path_segment", asked, str(number)) for number in range(1, 34)]
    assert found == [*((each,) for each in segments), *[()] * (33 - len(segments))]


def test_segments_are_compared_as_the_site_reads_them() -> None:
    text = "name: a\nrules: [{name: b, when: {path_segment.1: Blog, path_segment.2: {prefix: A}}, action: reject}]\n"
    rule_set, _ = parse_rule_set(text, "a.yaml")
    assert rule_set is not None
    for preset, holds in (("strict", False), ("express", True)):
        compiled = compile_policy(Policy((rule_set,)), secret=b"", reading=PRESETS[preset])
        assert bool(match(compiled, request("/BLOG/abc"), 0.0).steps) is holds


def test_the_last_segment_is_a_page_in_every_format_where_the_site_has_formats() -> None:
    """Rails and Tomcat serve `/users/5.json`, and `/users/5.any-thing`, by what serves `/users/5`."""
    rules = {"equal": "5", "written": "5.json", "suffix": "{suffix: .json}", "other": "{not: 5}"}
    text = "name: a\nrules:\n" + "".join(
        f"  - {{name: {name}, when: {{path_segment.2: {matcher}}}, action: {{score: 1}}}}\n" for name, matcher in rules.items()
    )
    rule_set, _ = parse_rule_set(text, "a.yaml")
    assert rule_set is not None
    for preset, holding in (("rails", ["equal", "written", "suffix"]), ("express", ["written", "suffix", "other"])):
        compiled = compile_policy(Policy((rule_set,)), secret=b"", reading=PRESETS[preset])
        assert [rule.name for rule, _, _ in match(compiled, request("/users/5.json"), 0.0).steps] == holding
    limit = Limit(1, 60.0, 1, (KeyPart("path_segment", "2"),))
    for preset, count in (("rails", 1), ("strict", 3)):
        key = KeyMaker(b"", DEFAULT_PREFIXES, PRESETS[preset]).limit_key("a", "b", limit, shadow=False).of
        asked = [request(f"/users/{last}") for last in ("5", "5.json", "5.x")]
        for each in asked:
            each.read_as(PRESETS[preset])
        assert len({key(each) for each in asked}) == count
        assert "?" not in {key(each) for each in asked}


def test_a_segment_that_is_not_the_last_has_no_format() -> None:
    asked = request("/v1.2/users.all/5.json")
    asked.read_as(PRESETS["rails"])
    found = [values("path_segment", asked, str(number)) for number in (1, 2, 3)]
    assert found == [(b"v1.2",), (b"users.all",), (b"5.json", b"5")]


@pytest.mark.parametrize(
    ("version", "headers", "size"),
    [
        (b"1.1", (), (b"0",)),
        (b"1.1", (("Content-Length", "12"),), (b"12",)),
        (b"1.1", (("Transfer-Encoding", "chunked"),), ()),
        (b"2", (), ()),
        (b"2", (("content-length", "0"),), (b"0",)),
    ],
)
def test_the_size_of_a_body_is_what_its_head_says(
    version: bytes, headers: tuple[tuple[str, str], ...], size: tuple[bytes]
) -> None:
    asked = request(headers=headers)
    asked.http_version = version
    assert values("body_size", asked) == size


def test_a_media_type_is_without_parameters_and_case() -> None:
    sent = (("Content-Type", " Application/JSON ;charset=utf-8"), ("Content-Type", ""), ("content-type", "text/plain"))
    assert values("content_type", request(headers=sent)) == (b"application/json", b"text/plain")
    assert values("content_type", request()) == ()


def test_each_is_a_part_of_a_key_beside_the_network() -> None:
    """32 addresses of one /24, or of one /48, that look alike are one."""
    same = (("Accept", "*/*"), ("X-A", "1"))
    v4 = [request("/a/b?x=1", client=f"192.0.2.{number}", headers=same) for number in range(32)]
    v6 = [request("/a/b?x=1", client=f"2001:db8:1:{number:x}::1", headers=same) for number in range(32)]
    for part in PARTS:
        for group in (v4, v6):
            assert len(set(keys_of(f"[network, {part}]", *group))) == 1
    other = request(
        "/b?y=12&z", client="192.0.2.1", headers=(("Content-Type", "a/b"), ("Content-Length", "1"), ("X", "1")), user_agent="x"
    )
    for part in PARTS:
        assert len(set(keys_of(f"[network, {part}]", v4[0], other))) == 2, part


def test_a_long_value_is_no_long_key() -> None:
    huge = request("/?" + "a=%20&" * 900, headers=tuple((f"x-{number}", "1") for number in range(90)))
    assert all(
        len(key) < 100 for part in ("header_order", "query", "path_segment.1") for key in keys_of(f"[client, {part}]", huge)
    )
