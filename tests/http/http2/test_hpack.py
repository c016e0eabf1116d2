"""Compressed fields, held to the hpack library in both directions, and to what RFC 7541 calls an error."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hpack import Decoder, Encoder, HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman as their_decode_huffman
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.http.http2 import hpack
from proxyguard.http.http2.errors import BoundExceeded, ConnectionFault, ErrorCode
from proxyguard.http.http2.hpack import REMEMBERED_NAMES, TABLE_BYTES, Field, FieldDecoder, FieldEncoder
from proxyguard.http.http2.huffman import decode_huffman
from tests.examples import examples

NAMES = st.sampled_from([b":path", b"user-agent", b"x-a", b"x-b", b"set-cookie", b"etag", b"server", b"accept-encoding", b"via"])
VALUES = st.sampled_from([b"", b"/", b"gzip, deflate", b"z" * 60, b"y" * 300, b"\xff\x80", b"Q" * 5000]) | st.binary(max_size=40)
BLOCKS = st.lists(st.lists(st.tuples(NAMES, VALUES), max_size=12), max_size=10)


def plain(fields: list[Field]) -> list[Field]:
    return [(bytes(name), bytes(value)) for name, value in fields]


RFC_EXAMPLES = [
    (
        "plain",
        [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ],
    ),
    (
        "huffman",
        ["828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"],
    ),
]


@pytest.mark.parametrize("blocks", [blocks for _, blocks in RFC_EXAMPLES], ids=[name for name, _ in RFC_EXAMPLES])
def test_the_examples_of_the_rfc_are_decoded(blocks: list[str]) -> None:
    """RFC 7541, appendices C.3 and C.4."""
    decoder = FieldDecoder(1000, 10)
    host = (b":authority", b"www.example.com")
    start = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), host]
    assert [decoder.decode(bytes.fromhex(block)) for block in blocks] == [
        start,
        [*start, (b"cache-control", b"no-cache")],
        [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/index.html"), host, (b"custom-key", b"custom-value")],
    ]
    assert decoder._size == 164


@pytest.mark.slow
@given(BLOCKS, st.booleans())
@settings(max_examples=examples(300), deadline=None)
def test_what_others_encode_we_decode(blocks: list[list[Field]], huffman: bool) -> None:
    theirs, ours = Encoder(), FieldDecoder(1 << 20, 1000)
    for fields in blocks:
        assert ours.decode(theirs.encode(fields, huffman=huffman)) == fields
        assert ours._size == sum(len(name) + len(value) + 32 for name, value in ours._entries) <= TABLE_BYTES


@pytest.mark.slow
@given(BLOCKS, st.lists(st.integers(0, 6000), max_size=6))
@settings(max_examples=examples(300), deadline=None)
def test_what_we_encode_others_decode(blocks: list[list[Field]], limits: list[int]) -> None:
    ours, theirs = FieldEncoder(), Decoder(1 << 20)
    theirs.max_allowed_table_size = TABLE_BYTES
    for place, fields in enumerate(blocks):
        if place < len(limits):
            theirs.max_allowed_table_size = limits[place]
            ours.set_limit(limits[place])
        assert plain(list(theirs.decode(ours.encode(fields), raw=True))) == fields
        assert ours._size == sum(len(name) + len(value) + 32 for name, value in ours._numbers) <= TABLE_BYTES


@given(st.lists(st.tuples(BLOCKS.filter(bool), st.booleans()), max_size=4), st.lists(st.integers(0, 50), max_size=30))
@settings(max_examples=examples(300), deadline=None)
def test_a_block_that_comes_again_means_what_it_means_without_its_memory(kinds: list[tuple[Any, bool]], picks: list[int]) -> None:
    encoder, known = Encoder(), [b"", b"\x20", b"\x3f\xe1\x1f", b"\x82\x04\x01/", b"\xbe", b"\x82\xbf"]
    known += [encoder.encode(fields, huffman=huffman) for blocks, huffman in kinds for fields in blocks]
    forgetful, mindful = FieldDecoder(2000, 20), FieldDecoder(2000, 20, remembers=True)
    for pick in picks:
        for block in (known[pick % len(known)],) * (1 + pick % 2):
            expected, found = decoded(forgetful, block), decoded(mindful, block)
            assert found == expected
            if isinstance(expected, str):
                return


def decoded(decoder: FieldDecoder, block: bytes) -> tuple[object, ...] | str:
    try:
        fields = decoder.decode(block)
    except (ConnectionFault, BoundExceeded) as fault:
        return repr(fault)
    return (fields, decoder.path_form, decoder.is_wasteful, decoder._entries, decoder._size)


@given(
    st.lists(st.lists(st.tuples(NAMES, VALUES), max_size=6), min_size=1, max_size=4), st.lists(st.integers(0, 40), max_size=30)
)
@settings(max_examples=examples(300), deadline=None)
def test_fields_that_come_again_are_encoded_as_without_a_memory(lists: list[list[Field]], picks: list[int]) -> None:
    forgetful, mindful = FieldEncoder(), FieldEncoder(remembers=True)
    for pick in picks:
        if pick > 30:
            forgetful.set_limit(pick % 3 * 60)
            mindful.set_limit(pick % 3 * 60)
        for _ in range(1 + pick % 2):
            fields = lists[pick % len(lists)]
            assert mindful.encode(fields) == forgetful.encode(list(fields))
            assert mindful._numbers == forgetful._numbers


@pytest.mark.slow
@given(st.binary(max_size=60))
@settings(max_examples=examples(500), deadline=None)
def test_any_bytes_are_fields_or_a_fault(block: bytes) -> None:
    decoder = FieldDecoder(1000, 50)
    try:
        fields = decoder.decode(block)
    except (ConnectionFault, BoundExceeded):
        return
    theirs = Decoder(1 << 20)
    assert plain(list(theirs.decode(block, raw=True))) == fields


def test_a_block_cut_anywhere_is_a_fault_or_fewer_fields() -> None:
    block = Encoder().encode([(b":path", b"/abc"), (b"x-long", b"v" * 200), (b"user-agent", b"curl/8")])
    whole = FieldDecoder(10_000, 10).decode(block)
    for place in range(len(block)):
        fields = None
        with suppress(ConnectionFault):
            fields = FieldDecoder(10_000, 10).decode(block[:place])
        assert fields is None or fields == whole[: len(fields)]


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xbe",  # the first dynamic entry of an empty table
        b"\xff\x80\x80\x80\x80\x80\x01",  # an integer without end
        b"\x82\x20",  # a table size after a field
        b"\x3f\xe2\x1f",  # a table larger than allowed
        b"\x20\x20\x20\x20\x20\x20\x20\x20\x20\x20",  # sizes over and over
        b"\x40\x05ab",  # a name cut short
        b"\x41\x83\xff\xff\xff",  # Huffman code that ends in more than 7 ones
        b"\x41\x84\x3f\xff\xff\xff",  # the end of string in Huffman code
        b"\x41\x81\x00",  # Huffman padding that is not all ones
    ],
)
def test_blocks_that_cannot_be_decoded_end_the_connection(block: bytes) -> None:
    with pytest.raises(ConnectionFault) as caught:
        FieldDecoder(1000, 10).decode(block)
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


CODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
ENDS = st.sampled_from([b"", b"\xff", b"\xff\xff\xff\xff", b"\x3f", b"\x07"])
CODED = st.binary(max_size=40) | st.tuples(st.binary(max_size=40).map(CODER.encode), ENDS).map(b"".join)


@given(CODED)
@settings(max_examples=examples(2000), deadline=None)
def test_huffman_code_is_what_the_hpack_library_says(text: bytes) -> None:
    try:
        expected = their_decode_huffman(text)
    except HPACKDecodingError:
        with pytest.raises(ConnectionFault) as caught:
            decode_huffman(text)
        assert caught.value.code is ErrorCode.COMPRESSION_ERROR
    else:
        assert decode_huffman(text) == expected


def test_every_string_of_one_and_two_bytes_is_read_as_the_hpack_library_does() -> None:
    for number in range(256 + 65_536):
        text = bytes((number,)) if number < 256 else (number - 256).to_bytes(2, "big")
        try:
            expected: bytes | None = their_decode_huffman(text)
        except HPACKDecodingError:
            expected = None
        found: bytes | None = None
        with suppress(ConnectionFault):
            found = decode_huffman(text)
        assert found == expected, text


def test_a_bomb_is_given_up_early() -> None:
    decoder = FieldDecoder(10_000, 100)
    decoder.decode(b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000)
    with pytest.raises(BoundExceeded) as caught:
        decoder.decode(b"\xbe" * 1000)
    assert caught.value.bound == "head_bytes"
    with pytest.raises(BoundExceeded):
        FieldDecoder(10_000, 100).decode(b"\x84" * 101)


def test_repeated_fields_become_short_and_secrets_stay_out_of_the_table() -> None:
    encoder = FieldEncoder()
    fields = [(b":status", b"200"), (b"server", b"nginx"), (b"content-security-policy", b"default-src 'self'" * 20)]
    first, second = encoder.encode(fields), encoder.encode(fields)
    assert (len(first) > 300, len(second)) == (True, 3)
    assert encoder.encode([(b"set-cookie", b"a=b")]) == b"\x1f\x28\x03a=b"
    assert (b"set-cookie", b"a=b") not in encoder._numbers
    assert encoder.encode([(b"etag", b'"x"')]) == b'\x0f\x13\x03"x"'


def test_what_others_compress_is_remembered_but_for_secrets_and_long_names() -> None:
    names = (b"x-kind", b"cookie", b"set-cookie", b"authorization", b"proxy-authorization")
    before = hpack._remembered.cache_info().currsize
    block = Encoder().encode([(name, b"a-value-of-" + name) for name in names], huffman=True)
    assert len(FieldDecoder(10_000, 100).decode(block)) == len(names)
    assert hpack._remembered.cache_info().currsize - before == 2  # the name and the value of x-kind; others' names are numbers
    hpack._kept_names.clear()
    FieldEncoder().encode([(b"x" * 1000, b"1"), (b"x-short", b"1")])
    assert hpack._kept_names == {b"x-short": b"\x40\x07x-short"}


def test_a_table_of_names_that_is_full_begins_anew() -> None:
    names = [b"x-%d" % number for number in range(2 * REMEMBERED_NAMES)]
    blocks = [FieldEncoder().encode([(name, b"")]) for name in names]
    assert blocks == [b"\x40%c%b\0" % (len(name), name) for name in names]
    assert 0 < len(hpack._kept_names) <= REMEMBERED_NAMES


def test_a_client_that_wants_no_table_gets_none() -> None:
    encoder = FieldEncoder()
    encoder.encode([(b"server", b"nginx")])
    encoder.set_limit(0)
    encoder.set_limit(100)
    assert encoder.encode([(b"server", b"n")]) == b"\x20\x3f\x45" + b"\x76\x01n"
    encoder.set_limit(0)
    assert encoder.encode([(b"server", b"n")]) == b"\x20" + b"\x0f\x27\x01n"
    assert encoder._numbers == {}
