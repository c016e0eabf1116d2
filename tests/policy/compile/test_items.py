"""Which item a request asks for: one for all spellings, and never a popular one for what may be another."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from proxyguard.policy.compile.items import MAX_HOSTS, MAX_KNOWN, ItemFinder
from proxyguard.policy.items import ItemFamily
from tests.build import request

FAMILIES = (
    ItemFamily("people", (b"/profiles/*", b"/u/*"), segment=2),
    ItemFamily("posts", (b"/p",), parameter="id"),
    ItemFamily("carts", (b"/cart",), parameter="userId"),
    ItemFamily("pages", (b"/wiki/*",)),
)
FINDER = ItemFinder(FAMILIES, b"secret")


def found(target: str, host: str = "example.org", finder: ItemFinder = FINDER) -> tuple[bytes, int | None] | None:
    """The kind and the number of the item."""
    each = finder.find(request(target, host=host))
    return None if each is None else (each.family, None if each.number is None else each.number.whole)


@pytest.mark.parametrize("target", [
    "/profiles/1", "/PROFILES/1", "/profiles/1/", "/profiles/1;a=b", "/profiles/1.json", "//profiles/%31",
    "/profiles/1/posts?x=1", "/profiles/01", "/profiles/+1", "/profiles/1%20", "/profiles/1.abcdefghijklmnopqrstuvw",
    "/profiles/1.a%2Fb",
])  # fmt: skip
def test_every_spelling_of_an_item_is_that_item(target: str) -> None:
    assert found(target) == found("/profiles/1")


@pytest.mark.parametrize("target", ["/profiles/2", "/p?id=1", "/wiki/1"])
def test_other_items_are_others(target: str) -> None:
    assert found(target) not in (None, found("/profiles/1"))


@pytest.mark.parametrize("target", ["/", "/profiles", "/profiles/", "/p", "/p?i=1", "/other/1"])
def test_what_discloses_nothing_is_no_item(target: str) -> None:
    assert found(target) is None


def test_a_parameter_with_several_values_is_an_item_that_nobody_can_name() -> None:
    """It is neither of them, and none of its own: another one for each value beside it would be a new counter each time."""
    assert {found(f"/p?id=1&id={junk}") for junk in range(2, 9)} == {found("/p?id=2&id=1")} == {(b"posts", None)}
    assert found("/p?id=1&id=1") == found("/p?id=1") != found("/p?id=2")
    assert found("/p?id=[1]&id=%00") == (b"posts", None)


def test_a_parameter_is_read_by_each_of_its_names() -> None:
    of_one = found("/cart?userId=1")
    assert of_one is not None
    assert found("/cart?USERID=1") == found("/cart?x=2&userId=1&userId=1") == of_one


def test_the_same_id_on_another_host_is_another_item() -> None:
    assert found("/profiles/1", host="b") not in (None, found("/profiles/1"))


def test_what_is_remembered_of_a_path_is_what_would_be_found_again() -> None:
    finder = ItemFinder(FAMILIES, b"secret")
    targets = [f"/{kind}/{at}" for at in range(MAX_KNOWN) for kind in ("profiles", "wiki", "other")] + [
        "/p?id=1",
        "/p?id=2",
        "/p",
    ]
    for _ in range(2):
        for target in targets:
            assert found(target, finder=finder) == found(target, finder=ItemFinder(FAMILIES, b"secret"))
    assert found("/profiles/1", "b", finder) != found("/profiles/1", finder=finder)
    assert sum(len(each.known) for each in finder._hosts.values()) <= MAX_KNOWN


def test_of_many_hosts_some_are_remembered() -> None:
    finder = ItemFinder(FAMILIES, b"secret")
    for _ in range(2):
        for host in map(str, range(3 * MAX_HOSTS)):
            assert found("/profiles/1", host, finder) == found("/profiles/1", host)
    assert len(finder._hosts) <= MAX_HOSTS


@pytest.mark.parametrize(("which", "ordinal"), [
    ("1", 1), ("007", 7), ("a", -1), ("1a", -1), ("12345678901234567", 12345678901234567), ("123456789012345678", -1),
])  # fmt: skip
def test_an_id_that_is_a_number_is_one(which: str, ordinal: int) -> None:
    item = FINDER.find(request(f"/profiles/{which}"))
    assert item is not None
    assert item.ordinal == ordinal


def test_the_number_is_the_keyed_hash_of_host_kind_and_id() -> None:
    key = blake2b(b"secret", digest_size=32, person=b"item").digest()
    digest = blake2b(b"example.org\0people\x001", key=key, digest_size=8).digest()
    assert found("/profiles/1") == (b"people", int.from_bytes(digest))
