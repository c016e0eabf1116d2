"""What is remembered of the last header section must never change what the next one comes to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.core.settings import Bounds
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http1.heads import RequestHead
from proxyguard.http.http2.hpack import Field
from proxyguard.http.http2.request_fields import RequestReader
from tests.examples import examples

START = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"a.example"), (b":path", b"/")]
METHODS = (b"GET", b"POST", b"HEAD", b"OPTIONS", b"get", b"", b"CONNECT")
PATHS = (
    b"/", b"/a?b", b"/%41", b"/A", b"*", b"", b"/a/../b", b"/a b", b"/ HTTP/1.1\r\nA: b\r\n\r\nGET /",
    b"/" + b"x" * 60, b"/" + b"y" * 90, b"https://a.example/",
)  # fmt: skip
REFERERS = st.sampled_from((
    b"https://a.example/1", b"https://a.example/22", b"", b" ", b" /a", b"/a ", b"/a\tb", b"/a\r\nb: c", b"/\r\n b", b"/\0",
    b"/\xff", b"/" + b"x" * 50, b"/" + b"x" * 120,
)) | st.binary(max_size=3)  # fmt: skip
MORE: tuple[list[Field], ...] = (
    [],
    [(b"accept", b"*/*")],
    [(b"cookie", b"a=1"), (b"accept", b"*/*"), (b"cookie", b"b=2")],
    [(b"cookie", b"a=1"), (b"cookie", b"b=3")],
    [(b"content-length", b"0")],
    [(b"content-length", b"5")],
    [(b"expect", b"100-continue")],
    [(b"te", b"trailers")],
    [(b"te", b"gzip")],
    [(b"connection", b"close")],
    [(b"host", b"a.example")],
    [(b"host", b"b.example")],
    [(b"Accept", b"*/*")],
    [(b"x", b" y")],
    [(b"x", b"y" * 100)],
    [(b":path", b"/")],
)
BOUNDS = (Bounds(), Bounds(field_bytes=64), Bounds(header_count=2), Bounds(head_bytes=160), Bounds(target_bytes=64))


@st.composite
def sections(draw: st.DrawFn) -> tuple[list[Field], bool]:
    """A header section, often much like the last, and whether no body follows."""
    fields = [*START, *draw(st.sampled_from(MORE))]
    if draw(st.booleans()):
        fields[0] = (b":method", draw(st.sampled_from(METHODS)))
    if draw(st.booleans()):
        fields[3] = (b":path", draw(st.sampled_from(PATHS)))
    if draw(st.integers(0, 5)) == 0:
        fields[2] = (b":authority", draw(st.sampled_from((b"b.example", b"A.example:443", b""))))
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 2)))):
        place = draw(st.sampled_from((3, 4, len(fields))))
        fields.insert(place, (draw(st.sampled_from((b"referer", b"referer", b"Referer"))), draw(REFERERS)))
    return fields, draw(st.sampled_from((True, True, False)))


def read(reader: RequestReader, fields: list[Field], *, whole: bool) -> RequestHead | str:
    try:
        return reader.read(fields, whole=whole)
    except Malformed as fault:
        return fault.reason


@given(st.lists(sections(), min_size=2, max_size=6), st.sampled_from(BOUNDS))
@settings(max_examples=examples(1000), deadline=None)
def test_a_section_means_the_same_whatever_came_before_it(requests: list[tuple[list[Field], bool]], bounds: Bounds) -> None:
    reader = RequestReader(bounds)
    for fields, whole in requests:
        for again in (fields, fields, list(fields)):
            found = read(reader, again, whole=whole)
            assert found == read(RequestReader(bounds), fields, whole=whole)
            if isinstance(found, RequestHead):
                assert_steady(found)


VARIED = st.tuples(st.sampled_from(METHODS[:3]), st.sampled_from(PATHS), REFERERS)


@given(st.lists(VARIED, min_size=2, max_size=8), st.sampled_from(MORE[:10]), st.booleans(), st.sampled_from(BOUNDS))
@settings(max_examples=examples(1000), deadline=None)
def test_what_may_vary_means_the_same_as_if_all_were_read(
    varied: list[tuple[bytes, bytes, bytes]], more: list[Field], whole: bool, bounds: Bounds
) -> None:
    reader = RequestReader(bounds)
    for method, path, referer in varied:
        fields = [(b":method", method), *START[1:3], (b":path", path), *more, (b"referer", referer), (b"x-last", b"1")]
        found = read(reader, fields, whole=whole)
        assert found == read(RequestReader(bounds), fields, whole=whole)
        if isinstance(found, RequestHead):
            assert_steady(found)


def assert_steady(head: RequestHead) -> None:
    at = head.referer_at
    referers = [place for place, (name, _) in enumerate(head.headers) if name == b"referer"]
    assert [at] == referers or (at == -1 and len(referers) != 1)
    assert head.steady == (head.headers if at < 0 else head.headers[:at] + head.headers[at + 1 :])


@pytest.mark.parametrize("before", [[], [(b"cookie", b"a=1"), (b"cookie", b"b=2")]])
def test_what_requests_share_that_have_other_referers_is_one_object(before: list[Field]) -> None:
    reader = RequestReader(Bounds())
    fields = [
        [*START[:3], (b":path", b"/%d" % number), *before, (b"referer", b"https://a.example/%d" % (number // 2)), (b"a", b"b")]
        for number in range(6)
    ]
    heads = [reader.read(each, whole=True) for each in fields]
    for number, head in enumerate(heads):
        assert head.target == b"/%d" % number
        assert head.headers[head.referer_at] == (b"referer", b"https://a.example/%d" % (number // 2))
        assert head.steady is heads[0].steady
        assert head == RequestReader(Bounds()).read(fields[number], whole=True)


def test_the_fields_of_a_repeated_section_are_one_object() -> None:
    reader = RequestReader(Bounds())
    first, second = (reader.read([*START[:3], (b":path", path), (b"a", b"b")], whole=True) for path in (b"/1", b"/2"))
    assert (first.target, second.target) == (b"/1", b"/2")
    assert first.headers is second.headers


def test_a_section_that_is_the_very_same_list_is_the_very_same_head() -> None:
    reader = RequestReader(Bounds())
    assert reader.read(START, whole=True) is reader.read(START, whole=True)
    assert reader.read(START, whole=False) == RequestReader(Bounds()).read(START, whole=False)
