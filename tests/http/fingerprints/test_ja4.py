"""JA4, held to the vectors that its authors published, and to hellos that are hostile."""

from __future__ import annotations

import pytest

from proxyguard.http.fingerprints.ja4 import ja4
from tests.http.fingerprints.hellos import CHROMIUM_CIPHERS, CHROMIUM_SIGNATURES, chromium, hello, sized, twos

PUBLISHED = b"t13d1516h2_8daaf6152771_e5627efa2ab1"
"""The example of FoxIO's technical_details/JA4.md, with all its values."""


def test_the_published_vector() -> None:
    assert ja4(chromium()) == PUBLISHED


@pytest.mark.parametrize(
    ("name", "wanted"),
    [(b"h2", b"h2"), (b"http/1.1", b"h1"), (b"\xab", b"ab"), (b"\xab\xcd", b"ad"), (b"0\xab", b"3b"), (b"0\xab\xcd1", b"01")],
)
def test_the_published_rule_for_the_first_protocol(name: bytes, wanted: bytes) -> None:
    assert ja4(chromium(offers=(name,)))[8:10] == wanted


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (hello((0x1301,), ()), b"t12i010000_0f2cb44170f4_000000000000"),
        (hello((), ()), b"t12i000000_000000000000_000000000000"),
        (hello((), (), version=0x0301)[:-2], b"t10i000000_000000000000_000000000000"),
    ],
    ids=("no extension", "no cipher", "no list of extensions"),
)
def test_what_is_empty(body: bytes, wanted: bytes) -> None:
    assert ja4(body) == wanted


def test_signatures_keep_their_order_and_other_lists_do_not() -> None:
    signed = (13, sized(twos(CHROMIUM_SIGNATURES)))
    turned = (13, sized(twos(CHROMIUM_SIGNATURES[::-1])))
    first, again, other = (
        ja4(hello(ciphers, extensions))
        for ciphers, extensions in (
            (CHROMIUM_CIPHERS, (signed, (23, b""))),
            (CHROMIUM_CIPHERS[::-1], ((23, b""), signed)),
            (CHROMIUM_CIPHERS, (turned, (23, b""))),
        )
    )
    assert first == again
    assert first[:23] == other[:23]
    assert first != other


def test_a_cut_hello_has_none_or_one_and_raises_nothing() -> None:
    body = chromium()
    found = {ja4(body[:end]) for end in range(len(body))}
    assert found == {b"", b"t12i150000_8daaf6152771_000000000000"}
