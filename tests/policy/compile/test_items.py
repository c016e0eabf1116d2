"""Which item a request asks for, in every spelling that its site knows."""

from __future__ import annotations

import pytest

from proxyguard.core.address import Address
from proxyguard.core.reading import PRESETS, STRICT, SiteReading
from proxyguard.core.request import Request
from proxyguard.policy.compile.items import ItemFinder
from proxyguard.policy.items import ItemFamily

FAMILIES = (
    ItemFamily("profiles", (b"/Profiles/*", b"/people/?"), segment=2),
    ItemFamily("products", (b"/shop",), parameter="id"),
    ItemFamily("carts", (b"/cart",), parameter="userId"),
    ItemFamily("pages", (b"/About", b"/page*")),
)


def found(target: bytes, reading: SiteReading = STRICT, host: bytes = b"a") -> tuple[bytes, int] | None:
    request = Request(Address.parse("192.0.2.1"), b"GET", b"https", host, target, ())
    request.read_as(reading)
    return ItemFinder(FAMILIES, b"secret", reading).find(request)


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (b"/Profiles/17?x=1", b"profiles"),
        (b"/Profiles/17/photos", b"profiles"),
        (b"/Profiles/", None),
        (b"/profiles/17", None),
        (b"/people/7", b"profiles"),
        (b"/people/17", None),
        (b"/shop?id=1", b"products"),
        (b"/shop", None),
        (b"/shop/", None),
        (b"/About", b"pages"),
        (b"/about", None),
        (b"/", None),
    ],
)
def test_the_first_kind_with_a_path_that_matches(target: bytes, kind: bytes | None) -> None:
    item = found(target)
    assert (None if item is None else item[0]) == kind


def test_a_parameter_is_read_by_each_of_its_names() -> None:
    of_one = found(b"/cart?userId=1")
    assert of_one is not None
    assert found(b"/cart?USERID=1") == found(b"/cart?x=2&userId=1&userId=1") == of_one


def test_who_sends_several_ids_cannot_choose_the_item_that_is_counted() -> None:
    several = found(b"/shop?id=17&id=18")
    assert several not in (None, found(b"/shop?id=17"), found(b"/shop?id=18"))
    assert several != found(b"/shop?id=17&id=19")


def test_different_ids_and_hosts_are_different_items() -> None:
    items = [found(b"/Profiles/17"), found(b"/Profiles/18"), found(b"/Profiles/17", host=b"b"), found(b"/shop?id=17")]
    assert None not in items
    assert len(set(items)) == 4
    assert found(b"/Profiles/17/photos") == found(b"//Profiles/%317?x=1") == found(b"/Profiles/17")


@pytest.mark.parametrize(
    ("preset", "target", "plain"),
    [
        ("express", b"/PROFILES/17/", b"/Profiles/17"),
        ("iis", b"/profiles/17", b"/Profiles/17"),
        ("tomcat", b"/Profiles;a=1/17", b"/Profiles/17"),
        ("django", b"/About/", b"/About"),
        ("rails", b"/Profiles/17.json", b"/Profiles/17"),
        ("rails", b"/About.json", b"/About"),
        ("rails", b"/page.json", b"/page"),
    ],
)
def test_spellings_are_one_item(preset: str, target: bytes, plain: bytes) -> None:
    reading = PRESETS[preset]
    assert found(target, reading) == found(plain, reading) is not None
    assert found(target) != found(plain)
