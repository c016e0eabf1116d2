"""Who talks most: windows, lists, several workers as one, and what an attacker's names can fill."""

from __future__ import annotations

from typing import Any

import pytest

from proxyguard.core.address import Address
from proxyguard.core.privacy import Privacy, PrivacyPreset
from proxyguard.core.request import Headers, Request
from proxyguard.telemetry.discretion import Discretion
from proxyguard.telemetry.talkers import LISTS, Talkers, joined_histories, joined_windows, referring_host

WALL = 1_700_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def wall(self) -> float:
        return WALL + self.now


def request(client: str = "192.0.2.7", target: bytes = b"/posts/1", agent: bytes = b"curl/8.5", referer: bytes = b"") -> Request:
    headers: Headers = ((b"User-Agent", agent),) if agent else ()
    if referer:
        headers += ((b"Referer", referer),)
    return Request(Address.parse(client), b"GET", b"https", b"example.org", target, headers)


def made(clock: Clock) -> Talkers:
    return Talkers(Discretion(Privacy(), b"secret"), wall=clock.wall, clock=clock)


def answer(talkers: Talkers, window: str = "minute") -> dict[str, Any]:
    return joined_windows([talkers.window(window)])


def test_what_a_window_says_of_a_few_requests() -> None:
    clock = Clock()
    talkers = made(clock)
    for number in range(6):
        talkers.observe(request(target=b"/posts/%d" % number, referer=b"https://Search.example:443/?q=x"), "", 0, 100, 0.25)
    talkers.observe(request("2001:db8::1", b"/sign-up", b"", b"https://example.org/"), "sign-up-flood", 1, 50, None)
    clock.now += 4
    found = answer(talkers)
    assert {name: value for name, value in found.items() if name not in LISTS} == {
        "seconds": 4.0, "requests": 7, "refused": 1, "bytes": 650, "upstream_seconds": 1.5, "requests_per_second": 1.75,
        "refused_share": 0.1429,
    }  # fmt: skip
    assert found["networks"][0] == {
        "name": "192.0.2.0/24", "requests": 6, "refused": 0, "bytes": 600, "upstream_seconds": 1.5, "requests_at_most": 6,
    }  # fmt: skip
    names = {name: [row["name"] for row in found[name]] for name in LISTS if name != "clients"}
    assert names == {
        "networks": ["192.0.2.0/24", "2001:db8::/48"],
        "user_agents": ["curl/8.5", "(none)"],
        "paths": ["/posts/*", "/sign-up"],
        "rules": ["sign-up-flood"],
        "referers": ["search.example"],
        "sites": ["example.org"],
        "robots": [],
    }
    assert "192.0.2.7" not in str(found["clients"])
    assert talkers.find(found["clients"][0]["name"]) == "192.0.2.7"
    assert talkers.find(found["clients"][1]["name"]) == "2001:db8::/64"
    assert talkers.find("c-000000000000") is None


def test_in_the_clear_whoever_is_named_in_a_record_is_found_by_that_name() -> None:
    full = Talkers(discretion := Discretion(Privacy(preset=PrivacyPreset.FULL), b"secret"), wall=Clock().wall)
    assert full.name("not an address") == "not an address"
    assert discretion.find(full.name("2001:db8::7")) == "2001:db8::/64"


def test_windows_forget() -> None:
    clock = Clock()
    talkers = made(clock)
    talkers.observe(request(), "", 0, 1, None)
    clock.now += 100
    talkers.observe(request("198.51.100.9"), "", 0, 1, None)
    assert [answer(talkers, window)["requests"] for window in ("minute", "hour", "day")] == [1, 2, 2]
    clock.now += 4000
    assert [answer(talkers, window)["requests"] for window in ("minute", "hour", "day")] == [0, 0, 2]
    clock.now += 90_000
    assert [answer(talkers, window)["requests"] for window in ("minute", "hour", "day")] == [0, 0, 0]
    assert answer(talkers)["refused_share"] == 0.0
    with pytest.raises(KeyError):
        talkers.window("year")


@pytest.mark.parametrize(("window", "seconds"), [("minute", 60), ("hour", 3600), ("day", 86_400)])
def test_a_quiet_time_before_is_part_of_the_window(window: str, seconds: int) -> None:
    clock = Clock()
    talkers = made(clock)
    talkers.observe(request(), "", 0, 1, None)
    clock.now += 2 * seconds
    for _ in range(seconds):
        talkers.observe(request(), "", 0, 1, None)
    clock.now += 5
    found = answer(talkers, window)
    assert (found["requests"], found["seconds"], found["requests_per_second"]) == (seconds, seconds, 1.0)


def test_what_came_before_a_window_is_not_in_its_seconds() -> None:
    clock = Clock()
    talkers = made(clock)
    for _ in range(200):
        talkers.observe(request(), "", 0, 1, None)
        clock.now += 1
    found = answer(talkers)
    assert found["requests"] == pytest.approx(found["seconds"], abs=1.0)
    assert 50 <= found["seconds"] <= 60


@pytest.mark.long
def test_a_day_at_full_rate_says_what_came() -> None:
    clock = Clock()
    talkers = made(clock)
    for _ in range(2 * 8640):
        talkers.observe(request(), "", 0, 1, None)
        clock.now += 5
    assert 11 <= answer(talkers)["requests"] <= 14
    assert 715 <= answer(talkers, "hour")["requests"] <= 780
    assert 17_270 <= answer(talkers, "day")["requests"] <= 17_280
    assert answer(talkers, "hour")["requests_per_second"] == pytest.approx(0.2, abs=0.005)
    for _ in range(960):
        talkers.observe(request(), "", 0, 1, None)
        clock.now += 5
    history = talkers.history()
    assert len(history) == 1500
    assert history[-2][0] - history[-3][0] == 60


def test_names_made_up_neither_fill_memory_nor_push_out_who_talks_most() -> None:
    clock = Clock()
    talkers = made(clock)
    for number in range(20_000):
        clock.now += 0.01
        one = request(
            f"10.{number >> 8 & 255}.{number & 255}.1", b"/%x/x" % number, b"%d" % number * 40, b"http://h%d.test/" % number
        )
        talkers.observe(one, "", 0, 1, None)
        if number % 20 == 0:
            talkers.observe(request(), "rule", 1, 5, None)
    for name in LISTS:
        assert len(answer(talkers, "hour")[name]) <= 50
    assert answer(talkers, "hour")["user_agents"][0]["name"] == "curl/8.5"
    assert answer(talkers, "hour")["networks"][0]["name"] == "192.0.2.0/24"
    assert all(len(top.counts) <= 256 for top in talkers._slice.tops)
    assert len(talkers._families) <= 4096


def test_workers_are_added_up() -> None:
    clock = Clock()
    one, two = made(clock), made(clock)
    for talkers in (one, two, two):
        talkers.observe(request(), "", 0, 10, None)
    two.observe_refused_connection(Address.parse("203.0.113.9"), "sign-up-flood")
    clock.now += 2
    whole = joined_windows([one.window("minute"), two.window("minute")])
    assert (whole["requests"], whole["refused"], whole["requests_per_second"]) == (4, 1, 2.0)
    assert [(row["requests"], row["bytes"]) for row in whole["clients"]] == [(3, 30), (1, 0)]
    assert [row["name"] for row in whole["rules"]] == ["sign-up-flood"]
    assert joined_windows([])["requests"] == 0
    minute = int((WALL + 1000) // 60) * 60
    assert joined_histories([one.history(), two.history()]) == [[minute, 4, 1, 30, 0]]


@pytest.mark.parametrize(
    ("referer", "host"),
    [
        (b"https://a.example/x", b"a.example"),
        (b"http://User:pw@A.example:8080?x", b"a.example"),
        (b"https://[2001:db8::1]:80/", b"[2001:db8::1]"),
        (b"android-app://com.example", b"com.example"),
        (b"about:blank", b""),
        (b"", b""),
        (b"//", b""),
        (b"https://" + b"a" * 4000, b"a" * 100),
        (b"https://erika:" + b"a" * 4000 + b"@example.org/", b"example.org"),
    ],
)
def test_only_the_host_of_a_referer_is_kept(referer: bytes, host: bytes) -> None:
    assert referring_host(referer) == host
