"""The bounds of the chunked coding, each to the byte: of a chunk, of what sizes cost besides the data, and of trailers."""

from __future__ import annotations

import pytest

from proxyguard.http.http1.chunked import MAX_CHUNK_BYTES, OVERHEAD_BYTES, ChunkedDecoder
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http1.heads import RequestEvent

CHUNK = b"1;%b\r\nx\r\n"


def _read(decoder: ChunkedDecoder, *pieces: bytes) -> None:
    events: list[RequestEvent] = []
    for piece in pieces:
        decoder.read(piece, 0, events)


def test_a_chunk_may_be_as_large_as_the_bound() -> None:
    decoder = ChunkedDecoder(100, 9)
    _read(decoder, b"%x\r\n" % MAX_CHUNK_BYTES)
    assert not decoder.done
    with pytest.raises(Malformed, match="chunk-size"):
        _read(ChunkedDecoder(100, 9), b"%x\r\n" % (MAX_CHUNK_BYTES + 1))


def test_size_lines_may_exceed_the_data_by_the_bound_and_a_large_chunk_gives_no_credit() -> None:
    line = 256  # bytes, the most there may be; 16 are free, and two for each byte of data
    whole, rest = divmod(OVERHEAD_BYTES, line - 18)
    sent = b"64\r\n%b\r\n" % (b"x" * 100) + CHUNK % (b"x" * (line - 4)) * whole
    last = b"x" * (rest + 18 - 4)
    _read(ChunkedDecoder(100, 9), sent, CHUNK % last)
    with pytest.raises(Malformed, match="chunk-overhead"):
        _read(ChunkedDecoder(100, 9), sent, CHUNK % (last + b"x"))


TRAILERS = b"X-A: 1\r\nX-B: 2\r\n\r\n"


@pytest.mark.parametrize("cut", [0, 1, 9, len(TRAILERS) - 1])
def test_trailers_have_a_bound_of_bytes_whatever_the_cut(cut: int) -> None:
    pieces = (b"0\r\n" + TRAILERS[:cut], TRAILERS[cut:])
    decoder = ChunkedDecoder(len(TRAILERS), 9)
    _read(decoder, *pieces)
    assert decoder.trailers == ((b"X-A", b"1"), (b"X-B", b"2"))
    with pytest.raises(Malformed, match="trailer-size"):
        _read(ChunkedDecoder(len(TRAILERS) - 1, 9), *pieces)


def test_trailers_have_a_bound_of_fields() -> None:
    decoder = ChunkedDecoder(100, 2)
    _read(decoder, b"0\r\n" + TRAILERS)
    assert decoder.done
    with pytest.raises(Malformed, match="trailer-size"):
        _read(ChunkedDecoder(100, 1), b"0\r\n" + TRAILERS)
