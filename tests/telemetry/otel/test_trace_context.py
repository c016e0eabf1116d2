"""What clients say of a trace is read as the W3C standard has it, and nothing else is believed or passed on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.telemetry.otel.trace_context import MAX_STATE_BYTES, MAX_STATE_MEMBERS, Parent, read_parent, read_state, written

TRACE, SPAN = b"0af7651916cd43dd8448eb211c80319c", b"b7ad6b7169203331"
GOOD = b"00-" + TRACE + b"-" + SPAN + b"-01"


def test_the_example_of_the_standard() -> None:
    assert read_parent((GOOD,), (b"rojo=00f067aa0ba902b7, congo=t61rcWkgMzE",)) == Parent(
        0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, 1, b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    )


@pytest.mark.parametrize(
    "parents",
    [
        (),
        (b"",),
        (GOOD, GOOD),
        (GOOD + b"-x",),
        (GOOD + b" ",),
        (GOOD.upper(),),
        (b"ff" + GOOD[2:],),
        (b"0" + GOOD,),
        (b"00-" + b"0" * 32 + b"-" + SPAN + b"-01",),
        (b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",),
        (b"00-" + TRACE[:-1] + b"-" + SPAN + b"-01",),
        (b"00-" + TRACE + b"-" + SPAN + b"-1",),
        (b"00-" + TRACE + b"-" + SPAN + b"-01\n",),
        ("00-\u0660af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01".encode(),),
        (GOOD * 1000,),
    ],
)
def test_what_is_not_as_the_standard_says_is_no_parent(parents: tuple[bytes, ...]) -> None:
    assert read_parent(parents, (b"a=1",)) is None


def test_a_later_version_may_say_more() -> None:
    assert read_parent((b"cc" + GOOD[2:] + b"-what-the-future-will-be-like",), ()) is not None
    assert read_parent((b"cc" + GOOD[2:] + b".x",), ()) is None


@pytest.mark.parametrize(
    ("values", "passed"),
    [
        ((), b""),
        ((b"a=1",), b"a=1"),
        ((b"a=1 , b=2",), b"a=1,b=2"),
        ((b"a=1", b"b=2"), b"a=1,b=2"),
        ((b"a=1,,",), b"a=1"),
        ((b"t61@vendor=x y",), b"t61@vendor=x y"),
        ((b"a=1,a=2",), b""),
        ((b"A=1",), b""),
        ((b"a=1=2",), b""),
        ((b"a",), b""),
        ((b"a=\x00",), b""),
        ((b"a=\xc3\xa9",), b""),
        ((b"a=1\r\nx: y",), b""),
        (
            (b",".join(b"k%d=1" % number for number in range(MAX_STATE_MEMBERS)),),
            b",".join(b"k%d=1" % n for n in range(MAX_STATE_MEMBERS)),
        ),
        ((b",".join(b"k%d=1" % number for number in range(MAX_STATE_MEMBERS + 1)),), b""),
        ((b"a=" + b"x" * 250 + b",b=" + b"x" * 250,), b"a=" + b"x" * 250 + b",b=" + b"x" * 250),
        ((b"a=" + b"x" * 255 + b",b=" + b"x" * 255,), b""),
        ((b"," * 100_000,), b""),
    ],
)
def test_state_passes_whole_or_not_at_all(values: tuple[bytes, ...], passed: bytes) -> None:
    assert read_state(values) == passed


@given(st.lists(st.binary(max_size=80), max_size=4), st.lists(st.binary(max_size=80), max_size=4))
def test_whatever_is_passed_on_is_read_the_same_again(parents: list[bytes], states: list[bytes]) -> None:
    found = read_parent((GOOD, *parents) if not parents else tuple(parents), tuple(states))
    state = read_state(tuple(states))
    assert len(state) <= MAX_STATE_BYTES
    assert read_state((state,)) == state
    if found is not None:
        (_, parent), *_ = written(*found)
        again = read_parent((parent,), (found.state,))
        assert again == found
