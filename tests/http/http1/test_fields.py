"""Where a header section ends, what is cut from a value, and which fault a malformed one is refused for."""

from __future__ import annotations

import pytest

from proxyguard.http.http1 import fields
from proxyguard.http.http1.faults import Malformed
from proxyguard.http.http1.fields import MAX_LIST_BYTES, MAX_LISTS, field_fault, list_tokens, read_fields


def test_fields_before_and_after_the_section_are_not_read() -> None:
    text = b"A: 1\r\nB: 2\r\nC: 3\r\n"
    assert read_fields(text, 6, 12) == [(b"B", b"2")]


def test_only_blanks_and_tabs_are_cut_from_the_end_of_a_value() -> None:
    assert read_fields(b"A: X \t\r\nB:\tX\r\n", 0, 14) == [(b"A", b"X"), (b"B", b"X")]


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (b"A: b:\x01\r\n", "field-value"),
        (b"A \t: b\r\n", "space-before-colon"),
        (b"A\x0b: b\r\n", "field-name"),
        (b"A\x0c: b\r\n", "field-name"),
    ],
)
def test_the_first_colon_ends_the_name_and_only_blanks_are_space_before_it(section: bytes, reason: str) -> None:
    assert field_fault(section) == reason


def test_blanks_tabs_and_empty_members_are_no_part_of_a_list_of_tokens() -> None:
    assert list_tokens(b"a,\t Close \t,") == [b"a", b"close"]


@pytest.mark.parametrize("value", [b"close\x0b", b"\x0cclose", b"a, close\x0b"])
def test_no_other_space_surrounds_a_token(value: bytes) -> None:
    with pytest.raises(Malformed, match="connection"):
        list_tokens(value)


def test_a_list_that_came_before_means_the_same_and_is_nobody_elses() -> None:
    first = list_tokens(b"Keep-Alive, X-Mine")
    first.append(b"changed by its reader")
    again = list_tokens(b"Keep-Alive, X-Mine")
    again.clear()
    assert list_tokens(b"Keep-Alive, X-Mine") == [b"keep-alive", b"x-mine"]
    for _ in range(2):
        with pytest.raises(Malformed, match="connection"):
            list_tokens(b"keep-alive, x y")


def test_few_lists_are_remembered_and_no_long_ones() -> None:
    for number in range(2 * MAX_LISTS):
        assert list_tokens(b"x-%d" % number) == [b"x-%d" % number]
        assert len(fields._lists) <= MAX_LISTS
    assert list_tokens(b"x" * (MAX_LIST_BYTES + 1)) == [b"x" * (MAX_LIST_BYTES + 1)]
    assert all(len(each) <= MAX_LIST_BYTES for each in fields._lists)
