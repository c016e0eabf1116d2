"""What an intake notes of a connection: its first frames, and how each path is coded."""

from __future__ import annotations

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from proxyguard.core.connection_facts import (
    PATH_INDEXED,
    PATH_ON_4,
    PATH_ON_5,
    PATH_OTHERWISE,
    ROOT_INDEXED,
    ROOT_ON_4,
    ConnectionFacts,
)
from proxyguard.http.fingerprints.facts import http2_of
from proxyguard.http.http2.frames import Frame
from proxyguard.http.http2.hpack import FieldDecoder
from proxyguard.http.http2.noting import MAX_NOTED, note_priority, note_request

_HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
METHOD = b"\x82"
SCHEME = b"\x87"


def noted(*blocks: bytes) -> ConnectionFacts:
    facts = ConnectionFacts()
    decoder = FieldDecoder(1 << 16, 100)
    for number, block in enumerate(blocks):
        note_request(facts, decoder, decoder.decode(block), is_first=not number)
    return facts


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (b"\x84", ROOT_INDEXED),
        (b"\x04\x01/", ROOT_ON_4),
        (b"\x04\x02/a", PATH_ON_4),
        (b"\x05\x02/a", PATH_ON_5),
        (b"\x44\x02/a", PATH_OTHERWISE),
        (b"\x14\x02/a", PATH_OTHERWISE),
        (b"\x00\x05:path\x02/a", PATH_OTHERWISE),
        (b"\x85", 0),
    ],
)
def test_how_a_path_is_coded(path: bytes, form: int) -> None:
    facts = noted(METHOD + SCHEME + path)
    assert facts.path_forms == form
    assert facts.pseudo == b"msp"


def test_every_request_adds_to_what_is_known_and_the_first_has_the_order() -> None:
    facts = noted(METHOD + SCHEME + b"\x84", b"\x44\x02/a" + METHOD + SCHEME, METHOD + SCHEME + b"\xbe")
    assert facts.path_forms == ROOT_INDEXED | PATH_OTHERWISE | PATH_INDEXED
    assert facts.pseudo == b"msp"


@pytest.mark.parametrize(
    ("text", "is_wasteful"), [(b"www.example.com", False), (b"aaa", False), (b"ab", True), (b"&", True), (b"\x7f\x7f", True)]
)
def test_code_that_saves_nothing_is_noted(text: bytes, is_wasteful: bool) -> None:
    coded = _HUFFMAN.encode(text)
    decoder = FieldDecoder(1 << 16, 100)
    assert decoder.decode(b"\x04" + bytes((len(text),)) + text) == [(b":path", text)]
    assert not decoder.is_wasteful
    assert decoder.decode(b"\x04" + bytes((0x80 | len(coded),)) + coded) == [(b":path", text)]
    assert decoder.is_wasteful is is_wasteful


def test_priorities_are_bounded() -> None:
    facts = ConnectionFacts()
    for number in range(1000):
        note_priority(facts, Frame(2, 0, 2 * number + 3, b"\0\0\0\0\xc8", 5))
    assert facts.priorities.startswith(b"3:0:0:201,5:0:0:201,")
    assert facts.priorities.count(b",") == MAX_NOTED
    facts.is_http2, facts.pseudo, facts.settings = True, b"m", b""
    assert http2_of(facts) == b"|00|" + facts.priorities + b"|m"
