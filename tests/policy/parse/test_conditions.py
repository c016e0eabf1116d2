"""What conditions mean, as values."""

import pytest

from proxyguard.core.address import Network
from proxyguard.policy.model import (
    Absent,
    AllOf,
    AnyOf,
    AtLeast,
    AtMost,
    Condition,
    Field,
    FieldKind,
    InNetworks,
    Not,
    Present,
    Test,
    Text,
    TextKind,
)  # fmt: skip
from proxyguard.policy.parse.file import parse_rule_set


def parsed(when: str, lists: str = "") -> Condition:
    text = f"name: x\n{lists}rules:\n  - name: y\n    when: {when}\n    action: reject\n"
    rule_set, problems = parse_rule_set(text)
    assert problems == ()
    assert rule_set is not None
    return rule_set.rules[0].when


def text(kind: str, how: TextKind, *texts: bytes, name: str = "") -> Test:
    return Test(Field(kind, name), Text(how, texts))


EQUAL, PREFIX, WORD, REGEX = TextKind.EQUAL, TextKind.PREFIX, TextKind.WORD, TextKind.REGEX
PATH, HEADER, AGENT = FieldKind.PATH, FieldKind.HEADER, FieldKind.USER_AGENT
ACCEPT = Field(HEADER, "accept")

CASES: dict[str, Condition] = {
    "{path: /x}": text(PATH, EQUAL, b"/x"),
    "{path: [/x, /y, /x]}": text(PATH, EQUAL, b"/x", b"/y"),
    "{path: {in: [/x, '/y*']}}": text(PATH, EQUAL, b"/x", b"/y*"),
    "{path: {prefix: /x}}": text(PATH, PREFIX, b"/x"),
    "{path: {suffix: .php}}": text(PATH, TextKind.SUFFIX, b".php"),
    "{path: {contains: x}}": text(PATH, TextKind.CONTAINS, b"x"),
    "{path: {glob: '/*.php'}}": text(PATH, TextKind.GLOB, b"/*.php"),
    "{path: /grün}": text(PATH, EQUAL, "/grün".encode()),
    "{user_agent: {word: [curl, Wget]}}": text(AGENT, WORD, b"curl", b"Wget"),
    r"{user_agent: {regex: '^x\d'}}": text(AGENT, REGEX, rb"^x\d"),
    "{user_agent: ''}": text(AGENT, EQUAL, b""),
    "{user_agent: absent}": Test(Field(AGENT), Absent()),
    "{user_agent: [absent, '']}": AnyOf((text(AGENT, EQUAL, b""), Test(Field(AGENT), Absent()))),
    "{user_agent: {in: absent}}": text(AGENT, EQUAL, b"absent"),
    "{host: Example.ORG}": text(FieldKind.HOST, EQUAL, b"example.org"),
    "{host: {suffix: .Example.ORG}}": text(FieldKind.HOST, TextKind.SUFFIX, b".example.org"),
    "{method: [get, Post]}": text(FieldKind.METHOD, EQUAL, b"GET", b"POST"),
    "{scheme: HTTPS}": text(FieldKind.SCHEME, EQUAL, b"https"),
    "{http_version: [1.0, 2.0, HTTP/1.1]}": text(FieldKind.HTTP_VERSION, EQUAL, b"1.0", b"2", b"1.1"),
    "{http_version: {at_least: 2}}": Test(Field(FieldKind.HTTP_VERSION), AtLeast(2.0)),
    "{header: {Accept: absent}}": Test(ACCEPT, Absent()),
    "{header.Accept: present}": Test(ACCEPT, Present()),
    "{header: {accept: {not: absent}}}": Not(Test(ACCEPT, Absent())),
    "{header: {accept: NO, dnt: 1}}": AllOf(
        (text(HEADER, EQUAL, b"NO", name="accept"), text(HEADER, EQUAL, b"1", name="dnt"))
    ),
    "{header: {accept: true}}": text(HEADER, EQUAL, b"true", name="accept"),
    "{cookie.Session: present}": Test(Field(FieldKind.COOKIE, "Session"), Present()),
    "{query.a.b: x}": text(FieldKind.QUERY, EQUAL, b"x", name="a.b"),
    "{score: {at_least: 60, at_most: 99.5}}": AllOf(
        (Test(Field(FieldKind.SCORE), AtLeast(60.0)), Test(Field(FieldKind.SCORE), AtMost(99.5)))
    ),
    "{tag: [a, b-c]}": text(FieldKind.TAG, EQUAL, b"a", b"b-c"),
    "{tag: {not: a}}": Not(text(FieldKind.TAG, EQUAL, b"a")),
    "{client: 192.0.2.1}": Test(Field(FieldKind.CLIENT), InNetworks((Network.parse("192.0.2.1"),))),
    "{client: ['2001:db8::/32', 10.0.0.0/8]}": Test(
        Field(FieldKind.CLIENT), InNetworks((Network.parse("2001:db8::/32"), Network.parse("10.0.0.0/8")))
    ),
    "{client: {not: 10.0.0.0/8}}": Not(Test(Field(FieldKind.CLIENT), InNetworks((Network.parse("10.0.0.0/8"),)))),
    "{path: {not: [/x, /y]}}": Not(text(PATH, EQUAL, b"/x", b"/y")),
    "{path: {not: {prefix: /x}}}": Not(text(PATH, PREFIX, b"/x")),
    "{path: {not: {prefix: /x, suffix: y}}}": Not(
        AllOf((text(PATH, PREFIX, b"/x"), text(PATH, TextKind.SUFFIX, b"y")))
    ),
    "{path: {prefix: /x, not: /xy}}": AllOf((text(PATH, PREFIX, b"/x"), Not(text(PATH, EQUAL, b"/xy")))),
    "{path: [/x, {prefix: /y}]}": AnyOf((text(PATH, EQUAL, b"/x"), text(PATH, PREFIX, b"/y"))),
    "{path: /x, method: GET}": AllOf((text(PATH, EQUAL, b"/x"), text(FieldKind.METHOD, EQUAL, b"GET"))),
    "{any: [{path: /x}, {path: /y}]}": AnyOf((text(PATH, EQUAL, b"/x"), text(PATH, EQUAL, b"/y"))),
    "{all: [{path: /x}]}": AllOf((text(PATH, EQUAL, b"/x"),)),
    "{not: {path: /x, method: GET}}": Not(
        AllOf((text(PATH, EQUAL, b"/x"), text(FieldKind.METHOD, EQUAL, b"GET")))
    ),
    "{path: /x, not: {path: /y}}": AllOf((text(PATH, EQUAL, b"/x"), Not(text(PATH, EQUAL, b"/y")))),
}  # fmt: skip


@pytest.mark.parametrize(("when", "expected"), CASES.items(), ids=CASES)
def test_a_condition_means(when: str, expected: object) -> None:
    assert parsed(when) == expected


def test_a_list_becomes_networks_or_texts_by_where_it_is_used() -> None:
    lists = "lists: {a: [192.0.2.1, 10.0.0.0/8]}\n"
    assert parsed("{client: $a}", lists) == Test(
        Field(FieldKind.CLIENT), InNetworks((Network.parse("192.0.2.1"), Network.parse("10.0.0.0/8")))
    )
    assert parsed("{header: {x-client: $a}}", lists) == text(HEADER, EQUAL, b"192.0.2.1", b"10.0.0.0/8", name="x-client")


def test_lists_and_values_can_stand_together() -> None:
    lists = "lists: {a: [/a, /b], b: [/b, /c]}\n"
    assert parsed("{path: {prefix: [$a, /x, $b]}}", lists) == text(PATH, PREFIX, b"/a", b"/b", b"/x", b"/c")


def test_two_dollars_stand_for_one() -> None:
    lists = "lists: {a: [$$a]}\n"
    assert parsed("{header: {x: [$$1.00, $a]}}", lists) == text(HEADER, EQUAL, b"$1.00", b"$a", name="x")


def test_a_host_in_a_list_is_normalised_where_it_is_used_as_one() -> None:
    lists = "lists: {a: [Example.ORG]}\n"
    assert parsed("{host: $a}", lists) == text(FieldKind.HOST, EQUAL, b"example.org")
    assert parsed("{header: {x: $a}}", lists) == text(HEADER, EQUAL, b"Example.ORG", name="x")
