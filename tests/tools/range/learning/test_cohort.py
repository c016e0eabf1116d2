"""Cohorts that were learned, let loose: they do what the log said, on the site that the log had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from proxyguard.tools.range.firewall import OpenGate
from proxyguard.tools.range.learning.cohort import learned_site, with_learned
from proxyguard.tools.range.learning.learned import MAX_FILE_BYTES, LearnedError, LearnedTraffic, format_learned, read_learned
from proxyguard.tools.range.run import only, perform, run_scenario
from proxyguard.tools.range.scenarios import SCENARIOS
from proxyguard.tools.range.values import Fetch
from tests.tools.range.learning.test_learner import canaries, hit, learned
from tests.tools.range.small import firewall, scenario


def shop(tmp_path: Path) -> LearnedTraffic:
    """Thirty people who look at a shop at nine, six pages each, ten seconds apart."""
    hits = [
        hit(client * 60 + step * 10, ("/products/7", "/products/lamp", "/style.css")[step % 3], client=f"192.0.2.{client}")
        for client in range(30) for step in range(6)
    ]  # fmt: skip
    return learned(tmp_path / "log", sorted(hits, key=lambda each: each.time))


def test_a_learned_cohort_does_what_the_log_said(tmp_path: Path) -> None:
    found = shop(tmp_path)
    run = only(with_learned(SCENARIOS["calm-day"], [found]), ["ours-desktop"])
    seen: list[tuple[Fetch, float]] = []
    free = perform(run, 1, OpenGate())
    free.run(told=lambda fetch, _, now: seen.append((fetch, now)))
    [tally] = free.tallies
    assert (tally.cohort.name, tally.sessions, tally.requests) == ("ours-desktop", 30, 180)
    assert tally.items == len({fetch.target for fetch, _ in seen if b"/products/" in fetch.target}) > 50
    assert {fetch.target.split(b"/")[1] for fetch, _ in seen} == {
        b"products",
        *{f.target[1:] for f, _ in seen if b"." in f.target},
    }
    assert all(fetch.headers[0] == (b"Host", b"range.example") for fetch, _ in seen)
    assert not any(name.lower() == b"referer" for fetch, _ in seen for name, _ in fetch.headers)
    at_nine = [now for _, now in seen if now % 86_400 // 3_600 == 9]
    assert len(at_nine) > 170  # when the log had them
    assert 12 <= len(tally.addresses) <= 30  # drawn from thirty, some of them twice


def test_learned_people_are_judged_beside_the_built_in_ones_and_alone_do_the_same(tmp_path: Path) -> None:
    run = with_learned(SCENARIOS["calm-day"], [shop(tmp_path)])
    assert len(run.members) == len(SCENARIOS["calm-day"].members) + 1
    [row] = run_scenario(only(run, ["ours-desktop"]), 1, firewall()).cohorts
    assert (row.sessions, row.refused_sessions) == (30, 0)


def test_two_cohorts_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two cohorts are called 'ours-desktop'; learn one of them again with another --name"):
        with_learned(scenario(), [shop(tmp_path), shop(tmp_path)])


def test_the_site_answers_what_was_learned_and_what_is_built_in(tmp_path: Path) -> None:
    site = learned_site(shop(tmp_path).site)
    assert site(b"GET", b"/products/lamp?x=1", (), b"", 0.0)[:3] == (200, 1, 4_000)
    assert site(b"GET", b"/products/lamp/more", (), b"", 0.0).status == 404
    assert site(b"GET", b"/feed.xml", (), b"", 0.0).items == 20


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    found = learned(tmp_path / "log", canaries())
    path = tmp_path / "learned.json"
    path.write_text(format_learned(found))
    assert read_learned(path) == found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "Invalid enum value 2"),
        ({"people": 1}, "unknown field `people`"),
        ({"sessions_a_day": 10**9}, "<= 1000000"),
        ({"hours": [1] * 23}, "length >= 24"),
        ({"name": "Ada; rm -rf"}, "matching regex"),
        ({"software": [{"label": "bot Zzyzx", "share": 1.0}]}, "'bot Zzyzx' is not the label of a client - at `$.cohorts[0]`"),
        ({"first": [{"family": 77, "share": 1.0}]}, "reads family 77; site has 3 - at `$.cohorts[0]`"),
        ({"first": [{"family": -1, "share": 1.0}]}, ">= 0 - at `$.cohorts[0].first[0].family`"),
        ({"first": []}, "length >= 1 - at `$.cohorts[0].first`"),
        ({"waits": [0.0] * 20 + [1e300]}, "<= 1000000000"),
        ({"waits": [9.0] + [1.0] * 20}, "waits of ours-desktop are quantiles, and do not fall - at `$.cohorts[0]`"),
        ({"requests": [1.0] * 20 + [1e9]}, "<= 1000000.0 - at `$.cohorts[0].requests[20]`"),
        ({"hours": ["one"] * 24}, "Expected `int`, got `str` - at `$.cohorts[0].hours[0]`"),
        ({"site": None}, "Expected `array`, got `null` - at `$.site`"),
        ({"site": [{"path": "/{word}{word}{word}"}]}, "matching regex"),
        ({"site": [{}]}, "missing required field `path` - at `$.site[0]`"),
    ],
)
def test_a_file_that_was_not_written_by_us_is_refused_with_its_fault(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    value = json.loads(format_learned(shop(tmp_path)))
    (value if next(iter(change)) in {"version", "people", "site"} else value["cohorts"][0]).update(change)
    path = tmp_path / "learned.json"
    path.write_text(json.dumps(value))
    with pytest.raises(LearnedError) as raised:
        read_learned(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)
    assert str(raised.value).endswith("\n  hint: write it with proxyguard range learn")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "Input data was truncated"),
        (b'{"site": [', "Input data was truncated"),
        (b"not JSON", "JSON is malformed: invalid character (byte 4)"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"version": 1, "version": NaN}', "JSON is malformed"),
        (b'{"site": [{"path": "/\xff"}]}', "byte 22 is not UTF-8"),
        (b"[" * 1_000_000, "Expected `object`, got `array`"),
        (b'{"cohorts": [{"name": "a"}]}', "missing required field `kind` - at `$.cohorts[0]`"),
    ],
)
def test_what_is_no_such_file_is_refused_with_the_place_of_its_fault(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "learned.json"
    path.write_bytes(data)
    with pytest.raises(LearnedError) as raised:
        read_learned(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)


def test_all_faults_of_a_file_are_named_at_once_up_to_ten(tmp_path: Path) -> None:
    value = json.loads(format_learned(shop(tmp_path)))
    cohort = value["cohorts"][0]
    value["cohorts"] = [cohort, {**cohort, "first": [{"family": 400, "share": 1.0}] * 12}]
    path = tmp_path / "learned.json"
    path.write_text(json.dumps(value))
    with pytest.raises(LearnedError) as raised:
        read_learned(path)
    lines = str(raised.value).splitlines()
    assert len(lines) == 12
    assert lines[0] == f"{path}: a second cohort is called 'ours-desktop' - at `$.cohorts[1]`"
    assert lines[-2] == f"{path}: and 3 more like these"


def test_a_file_that_is_too_large_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b" " * (MAX_FILE_BYTES + 1))
    with pytest.raises(LearnedError, match="larger than 4 MiB"):
        read_learned(path)
    with pytest.raises(LearnedError, match="No such file"):
        read_learned(tmp_path / "none.json")
