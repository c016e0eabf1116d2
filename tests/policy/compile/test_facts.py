"""What a policy remembers of paths and of facts that come together: the same as is found anew, however many clients choose."""

from __future__ import annotations

import functools
import gc
import random

from proxyguard.core.decision import Reject
from proxyguard.core.reading import LOOSE, STRICT
from proxyguard.policy.compile.compile import MAX_ORDERS, compile_policy
from proxyguard.policy.compile.facts import MAX_PATH_BYTES, MAX_PATHS, MAX_VALUES, FactTable
from proxyguard.policy.model import TextKind
from tests.build import equal, policy, request, rule, text

TESTS = [
    equal("path", "/signup"), text("path", TextKind.PREFIX, "/a"), text("path", TextKind.SUFFIX, ".css"),
    equal("loose_path", "/signup"), text("loose_path", TextKind.CONTAINS, "b"), equal("path_segment.2", "1", "2"),
    equal("query.id", "7"), equal("method", "POST"),
]  # fmt: skip


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
    rules = [rule(f"r{at}", Reject(), equal("path", f"/{at}")) for at in range(3 * MAX_ORDERS)]
    compiled = compile_policy(policy(*rules), secret=b"secret")
    for _ in range(2):
        for at in range(3 * MAX_ORDERS):
            facts = compiled.facts(request(f"/{at}"))
            order = compiled.order(facts)
            assert [compiled.rules[position].name for position in order] == [f"r{at}"]
            order.clear()
    assert len(compiled._orders) <= MAX_ORDERS


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


def test_cookies_and_credentials_are_not_remembered() -> None:
    names = ("cookie", "authorization", "proxy-authorization", "x-kind")
    tests = [text(f"header.{name}", TextKind.CONTAINS, "secret") for name in names]
    table = FactTable([*tests, text("cookie.session", TextKind.CONTAINS, "secret")])
    table.of(request(headers=tuple((name, f"session=a secret of mine in {name}") for name in names)))
    kept = b"session=a secret of mine in x-kind"
    assert {key: [*known] for key, known in table._values.items()} == {("header", b"x-kind"): [kept]}
    caches = [each for each in gc.get_objects() if isinstance(each, functools._lru_cache_wrapper)]
    keys = [key for cache in caches for part in gc.get_referents(cache) if isinstance(part, dict) for key in part]
    assert [key for key in keys if "secret of mine" in repr(key)] == [(kept,)]
