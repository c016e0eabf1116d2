"""What processes on one store tell each other: heard by others with the same secret, never more than there is room for."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.limits.sightings import MARK_BYTES, MOST_COUNT, MOST_NUMBERS, MOST_WAITING, Sightings, Subject

SECRET = b"x" * 32


def hearing(sightings: Sightings, subject: Subject = Subject.READ) -> list[tuple[int, int]]:
    """What a process hears from now on."""
    heard: list[tuple[int, int]] = []
    sightings.listen(subject, lambda number, seen: heard.append((number, seen)))
    return heard


def test_what_one_tells_others_hear_with_how_often_it_was() -> None:
    one, two = Sightings(SECRET), Sightings(SECRET)
    own, heard = hearing(one), hearing(two)
    for number in (1, (1 << 64) - 1, 1):
        one.tell(Subject.READ, number)
    one.tell(Subject.ASSET, 5)
    message = one.message()
    for each in (one, two):
        each.hear(message)
    assert own == []
    assert heard == [(1, 2), ((1 << 64) - 1, 1)]
    assert one.message() == b""


def test_numbers_made_with_another_secret_say_nothing() -> None:
    one, two = Sightings(SECRET), Sightings(b"y" * 32)
    heard = hearing(two)
    one.tell(Subject.READ, 1)
    two.hear(one.message())
    assert heard == []


def test_what_is_more_than_a_message_holds_waits_for_the_next() -> None:
    one, two = Sightings(SECRET), Sightings(SECRET)
    heard = hearing(two)
    for number in range(MOST_WAITING + 10):
        one.tell(Subject.READ, number)
    for _ in range(MOST_COUNT + 10):
        one.tell(Subject.READ, 0)
    assert one.untold == 10
    two.hear(one.message())
    assert heard == [(0, MOST_COUNT), *((number, 1) for number in range(1, MOST_NUMBERS))]
    one.tell(Subject.READ, 0)
    while message := one.message():
        two.hear(message)
    assert heard[MOST_NUMBERS:] == [*((number, 1) for number in range(MOST_NUMBERS, MOST_WAITING)), (0, 1)]


def test_one_subject_does_not_take_the_room_of_another() -> None:
    one, two = Sightings(SECRET), Sightings(SECRET)
    heard = hearing(two, Subject.ASSET)
    for number in range(MOST_WAITING + 10):
        one.tell(Subject.RARE_READ, number)
    one.tell(Subject.ASSET, 7)
    two.hear(one.message())
    assert heard == [(7, 1)]


@pytest.mark.parametrize(
    "content",
    [
        {0: {-1: 1}}, {0: {1: 0}}, {0: {1: -3}}, {0: {1: MOST_COUNT + 1}}, {9: {1: 1}},
        {0: dict.fromkeys(range(MOST_NUMBERS + 1), 1)},
        {0: {"1": 1}}, [1], 7, {0: [1]},
    ],
)  # fmt: skip
def test_what_no_process_of_ours_says_is_not_heard(content: object) -> None:
    one = Sightings(SECRET)
    heard = hearing(one)
    mark = Sightings(SECRET)
    mark.tell(Subject.READ, 1)
    one.hear(mark.message()[: 2 * MARK_BYTES] + msgspec.msgpack.encode(content))
    assert heard == []


@given(data=st.binary(max_size=200))
def test_no_bytes_of_a_store_raise(data: bytes) -> None:
    one, two = Sightings(SECRET), Sightings(SECRET)
    hearing(one)
    two.tell(Subject.READ, 1)
    head = two.message()[: 2 * MARK_BYTES]
    one.hear(data)
    one.hear(head + data)
