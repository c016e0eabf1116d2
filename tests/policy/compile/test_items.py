"""Which item a request asks for: one for all spellings, and never a popular one for what may be another."""

from __future__ import annotations

import pytest

from proxyguard.policy.compile.items import ItemFinder
from proxyguard.policy.items import ItemFamily
from tests.build import request

FAMILIES = (
    ItemFamily("people", (b"/profiles/*", b"/u/*"), segment=2),
    ItemFamily("posts", (b"/p",), parameter="id"),
    ItemFamily("carts", (b"/cart",), parameter="userId"),
    ItemFamily("pages", (b"/wiki/*",)),
)
FINDER = ItemFinder(FAMILIES, b"secret")


def found(target: str) -> tuple[bytes, int] | None:
    return FINDER.find(request(target))


@pytest.mark.parametrize("target", [
    "/profiles/1", "/PROFILES/1", "/profiles/1/", "/profiles/1;a=b", "/profiles/1.json", "//profiles/%31",
    "/profiles/1/posts?x=1",
])  # fmt: skip
def test_every_spelling_of_an_item_is_that_item(target: str) -> None:
    assert found(target) == found("/profiles/1")


@pytest.mark.parametrize("target", ["/profiles/2", "/p?id=1", "/wiki/1"])
def test_other_items_are_others(target: str) -> None:
    assert found(target) not in (None, found("/profiles/1"))


@pytest.mark.parametrize("target", ["/", "/profiles", "/profiles/", "/p", "/p?i=1", "/other/1"])
def test_what_discloses_nothing_is_no_item(target: str) -> None:
    assert found(target) is None


def test_a_parameter_that_stands_twice_is_neither_of_its_values() -> None:
    popular, rare = found("/p?id=1"), found("/p?id=2")
    assert len({popular, rare, found("/p?id=1&id=2"), found("/p?id=2&id=1")}) == 4
    assert found("/p?id=1&id=1") == popular


def test_a_parameter_is_read_by_each_of_its_names() -> None:
    of_one = found("/cart?userId=1")
    assert of_one is not None
    assert found("/cart?USERID=1") == found("/cart?x=2&userId=1&userId=1") == of_one


def test_the_same_id_on_another_host_is_another_item() -> None:
    assert FINDER.find(request("/profiles/1", host="b")) not in (None, found("/profiles/1"))
