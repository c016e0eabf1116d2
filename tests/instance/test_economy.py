"""What several workers have counted is one figure, and status says it in words."""

from __future__ import annotations

from proxyguard.cli.control import economy_lines
from proxyguard.instance.economy import joined

PART = {
    "items": {"cold, fresh cookie": 3, "hot, without a cookie": 1_000},
    "for_1000_cold": [
        {"networks": "homes", "with_cookies": True, "needed": {"jars": 17, "addresses": 12}, "of_site": None},
        {"networks": "homes", "with_cookies": False, "needed": {}, "of_site": 1_470},
    ],
    "tarpit_seconds": 1.5,
    "mazes": {"pages": 0, "bytes": 0, "cpu_seconds": 0.0, "held_seconds": 0.0},
    "refused_bytes": 700,
    "check_seconds": 0.25,
}


def test_counts_of_workers_are_added_up_and_prices_are_not() -> None:
    assert joined([PART, {}, PART]) == {
        "items": {"cold, fresh cookie": 6, "hot, without a cookie": 2_000},
        "for_1000_cold": PART["for_1000_cold"],
        "tarpit_seconds": 3.0,
        "mazes": PART["mazes"],
        "refused_bytes": 1_400,
        "check_seconds": 0.5,
    }
    assert joined([{}, {}]) == {}


def test_status_says_it_in_words() -> None:
    assert economy_lines(PART) == [
        "items disclosed  3 cold, fresh cookie, 1,000 hot, without a cookie",
        "1,000 cold items homes, with cookies: 17 jars, 12 addresses",
        "1,000 cold items homes, without cookies: no limit; at most 1,470 a day for all together",
        "spent            2 s of theirs in tarpits, 700 bytes of answers, 0.2 s of ours for checks",
    ]
    assert economy_lines({}) == []


def test_pages_of_mazes_are_in_what_was_spent() -> None:
    part = {**PART, "mazes": {"pages": 40, "bytes": 9_000, "cpu_seconds": 0.06, "held_seconds": 120.4}}
    assert joined([part, PART, part])["mazes"] == {"pages": 80, "bytes": 18_000, "cpu_seconds": 0.12, "held_seconds": 240.8}
    assert economy_lines(part)[-1] == (
        "spent            2 s of theirs in tarpits and 120 s in 40 pages of mazes, 700 bytes of answers, "
        "0.2 s of ours for checks and 0.1 s for mazes"
    )
