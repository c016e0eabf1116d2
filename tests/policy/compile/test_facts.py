"""What a policy remembers of paths and of facts that come together: the same as is found anew, however many clients choose."""

from __future__ import annotations

import gc
import random

import pytest

from proxyguard.core.address import Address
from proxyguard.core.decision import Reject
from proxyguard.core.origin import NetworkKind, Origin
from proxyguard.core.reading import LOOSE, STRICT
from proxyguard.core.request import MAX_NAMES, Request
from proxyguard.core.request_paths import MAX_PATH_BYTES
from proxyguard.core.settings import Bounds
from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.http1.request_parser import RequestParser
from proxyguard.policy.compile.compile import MAX_FOUND, compile_policy
from proxyguard.policy.compile.facts import MAX_CLIENTS, MAX_LINES, MAX_ORIGINS, MAX_PATHS, MAX_VALUES, FactTable
from proxyguard.policy.compile.outside import AS_IT_IS
from proxyguard.policy.fields.field_type import AnyValues, FieldType, NamedValues, SingleValue
from proxyguard.policy.fields.registry import field_types
from proxyguard.policy.model import Present, TextKind
from tests.build import asks, equal, policy, request, rule, text

TESTS = [
    equal("path", "/signup"), text("path", TextKind.PREFIX, "/a"), text("path", TextKind.SUFFIX, ".css"),
    equal("loose_path", "/signup"), text("loose_path", TextKind.CONTAINS, "b"), equal("path_segment.2", "1", "2"),
    equal("query.id", "7"), equal("method", "POST"),
]  # fmt: skip


CLIENT = Address.parse("192.0.2.1")
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


def test_what_is_remembered_of_a_path_is_what_would_be_found_again() -> None:
    table = FactTable(TESTS)
    pick = random.Random(7)
    paths = ["/signup", "/SIGNUP/", "/a/1", "/a/%31", "/b.css", "/b.css?id=7", "/signup?id=7&id=8", "//a//2?x", "/" + "a" * 400]
    paths += [f"/{pick.choice('abc')}/{number}" for number in range(2 * MAX_PATHS)]
    for target in paths * 2:
        for method in ("GET", "POST"):
            assert table.of(request(target, method=method)) == FactTable(TESTS).of(request(target, method=method)), target
    assert len(table._paths) <= MAX_PATHS
    assert max(map(len, table._paths)) <= MAX_PATH_BYTES


def test_what_is_remembered_of_origins_is_bounded_and_never_wrong() -> None:
    tests = [equal("asn", "7"), equal("network_kind", "hosting"), equal("verified", "true"), equal("identity", "googlebot")]
    table = FactTable(tests)
    origins = [None, Origin(), Origin(network_kind=NetworkKind.HOSTING)]
    origins += [Origin(identity="googlebot", verified=verdict) for verdict in (True, False)]
    origins += [Origin(asn=number) for number in range(MAX_ORIGINS + 10)]
    for origin in origins * 2:
        asked = request("/")
        asked.origin = origin
        assert table.of(asked) == FactTable(tests).of(asked), origin
    assert 0 < len(table._origins) <= MAX_ORIGINS


def test_a_path_that_is_read_otherwise_is_not_taken_for_the_remembered_one() -> None:
    table = FactTable(TESTS, reading=LOOSE)
    as_the_site = request("/SIGNUP/")
    as_the_site.read_as(LOOSE)
    found = table.of(as_the_site)
    strictly = request("/SIGNUP/")
    assert strictly.reading is STRICT
    assert table.of(strictly) != found
    assert table.of(as_the_site) == found


def test_what_facts_together_wake_is_remembered_for_so_many_of_them() -> None:
    rules = [rule(f"r{at}", Reject(), equal("path", f"/{at}")) for at in range(3 * MAX_FOUND)]
    compiled = compile_policy(policy(*rules), secret=b"secret")
    for _ in range(2):
        for at in range(3 * MAX_FOUND):
            _, order = compiled.find(request(f"/{at}"), 0.0, AS_IT_IS)
            assert [compiled.rules[position].name for position in order] == [f"r{at}"]
            order.clear()
    assert len(compiled._found) <= MAX_FOUND


def test_what_is_remembered_of_a_value_is_what_would_be_found_again() -> None:
    tests = [
        equal("header.accept", "*/*"), text("header.accept", TextKind.CONTAINS, "html"),
        text("user_agent", TextKind.PREFIX, "curl/"), text("header.cookie", TextKind.CONTAINS, "a=1"),
        text("header.referer", TextKind.SUFFIX, "7"),
    ]  # fmt: skip
    table = FactTable(tests)
    for _ in range(2):
        for at in range(3 * MAX_VALUES):
            asked = request(
                user_agent=("curl/8", "x" * 300, "Firefox")[at % 3],
                headers=(("Accept", ("*/*", "text/html", "a/b")[at % 3]), ("Cookie", f"a={at}"), ("Referer", f"https://a/{at}")),
            )
            assert table.of(asked) == FactTable(tests).of(asked), at


def test_what_is_remembered_of_header_lines_and_of_clients_is_bounded_and_never_wrong() -> None:
    names = "abcdefgh"
    tests = [asks(f"header.x-{name}", Present()) for name in names] + [
        equal("header.x-a", "7"),
        text("header.x-b", TextKind.WORD, "7"),
    ]
    table, other = FactTable(tests), FactTable(tests)
    pick = random.Random(3)
    for at in range(3 * MAX_LINES):
        sent = [pick.choice((f"X-{name}", f"x-{name}", f"X-{name.upper()}")) for name in names if pick.random() < 0.5]
        asked = request(headers=(*((name, pick.choice(("7", f"7 {at}"))) for name in sent), (f"X-{at}", "7")))
        if at % 100 == 0:
            other = FactTable(tests)
        assert table.of(asked) == other.of(asked), at
    assert 0 < sum(len(header.known or ()) for header in table._headers.values()) <= MAX_LINES
    assert 0 < len(table._spelt) <= MAX_NAMES
    assert 0 < len(table._clients) <= MAX_CLIENTS


REFERRED = [
    equal("header.referer", "https://a/1"), text("header.referer", TextKind.CONTAINS, "a/2"), asks("header.referer", Present()),
    equal("header.accept", "*/*"), text("user_agent", TextKind.PREFIX, "curl/"), equal("cookie.a", "1"), equal("query.id", "7"),
    equal("header_count", "4"), text("header_order", TextKind.PREFIX, "user-agent,accept"), equal("path", "/b"),
]  # fmt: skip


def test_requests_that_differ_in_their_referer_share_what_is_derived_of_the_rest() -> None:
    table, parser = FactTable(REFERRED), RequestParser(Bounds())
    before: Request | None = None
    pick = random.Random(5)
    shared = 0
    for at in range(300):
        accept = pick.choice(["*/*", "*/*", "*/*", "text/html"])
        referer = pick.choice(["Referer: https://a/1\r\n", f"Referer: https://a/2{at}\r\n", "Referer: https://a/3\r\n", ""])
        lines = f"Host: a.example\r\nUser-Agent: curl/8\r\nAccept: {accept}\r\nCookie: a=1\r\n{referer}\r\n"
        head = parser.feed(f"GET /{pick.choice('ab')}?id={pick.choice('67')} HTTP/1.1\r\n{lines}".encode())[0]
        assert isinstance(head, RequestHead)
        made = [
            Request(CLIENT, head.method, b"https", head.host, head.target, head.headers, b"1.1", head.steady, head.referer_at)
            for _ in range(2)
        ]
        asked, fresh = made
        if before is not None:
            asked.take_after(before)
            shared += asked.facts is not None
        assert table.of(asked) == FactTable(REFERRED).of(fresh)
        assert [*asked.header_index.items()] == [*fresh.header_index.items()]
        assert asked.cookies == fresh.cookies
        before = asked
    assert shared > 50


@pytest.mark.parametrize("row", [row for row in field_types().values() if row.ignores_referer], ids=lambda row: row.kind)
def test_no_other_fact_of_a_client_depends_on_the_value_of_its_referer(row: FieldType) -> None:
    found: list[object] = []
    for value in ("https://a.example/", "https://b.example/?" + "x" * 500):
        asked = request(headers=(("User-Agent", CHROME), ("Accept", "*/*"), ("Referer", value), ("Cookie", "a=b")))
        match row.source:
            case SingleValue(single):
                found.append(single(asked))
            case AnyValues(several):
                found.append(several(asked))
            case NamedValues(by_name=by_name):
                found.append(dict(by_name(asked)))
            case other:
                pytest.fail(f"{other} is not of a client")
    assert found[0] == found[1]


def test_cookies_and_credentials_are_not_remembered() -> None:
    names = ("cookie", "authorization", "proxy-authorization", "x-kind")
    tests = [text(f"header.{name}", TextKind.CONTAINS, "secret") for name in names]
    table = FactTable([*tests, text("cookie.session", TextKind.CONTAINS, "secret")])
    table.of(request(headers=tuple((name, f"session=a secret of mine in {name}") for name in names)))
    kept = b"session=a secret of mine in x-kind"
    assert {name: [*header.known] for name, header in table._headers.items() if header.known is not None} == {b"x-kind": [kept]}
    tables = {id(part): part for each in gc.get_objects() for part in gc.get_referents(each) if type(part) is dict}
    keys = [key for each in tables.values() for key in [*each] if isinstance(key, bytes | tuple | str)]
    assert {repr(key) for key in keys if "secret of mine" in repr(key)} == {repr(kept)}
