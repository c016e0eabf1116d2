"""What one process counts while restrictions are on, and what it remembers of the last hour."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from proxyguard.core.decision import PASS_BY_DEFAULT, Decision, Reject
from proxyguard.restrictions.active import MAX_WATCHED, ActiveRestriction, ActiveRestrictions, as_plain, on_from
from proxyguard.restrictions.history import (
    ELSEWHERE,
    MAX_KEYS,
    MAX_SECTIONS,
    Allowance,
    PathShare,
    PathText,
    Reads,
    RequestHistory,
    Tried,
    section_of,
    share_of,
    tried,
)
from proxyguard.restrictions.monitor import Ended, GivenRestriction, Overrides, Started
from proxyguard.restrictions.override_file import OverrideFile

REFUSED = Decision(Reject(), "slow-anonymous", restriction="slow")


def test_the_tags_say_what_is_on_and_how_far_it_has_come() -> None:
    restricting = ActiveRestrictions()
    restricting.switch({"slow": ActiveRestriction(100.0), "shed": ActiveRestriction(None, 2)})
    assert restricting.tags == {"restriction:slow", "restriction:shed", "restriction:shed/1", "restriction:shed/2"}
    assert (restricting.ends("slow"), restricting.ends("shed"), restricting.ends("other")) == (100.0, None, None)
    restricting.switch({})
    assert restricting.tags == frozenset()


def test_those_to_be_spared_are_counted_once_each_while_it_is_on() -> None:
    restricting = ActiveRestrictions()
    restricting.observe("member", "a", PASS_BY_DEFAULT)
    assert restricting.collateral() == {}
    restricting.switch({"slow": ActiveRestriction(100.0, 0, "member"), "other": ActiveRestriction()})
    for class_name, who, decision in (
        ("member", "a", PASS_BY_DEFAULT),
        ("member", "b", PASS_BY_DEFAULT),
        ("member", "b", REFUSED),
        ("member", "b", REFUSED),
        ("anonymous", "c", REFUSED),
    ):
        restricting.observe(class_name, who, decision)
    assert restricting.collateral() == {"slow": (1, 2)}
    assert restricting.refused == {"slow": 3}
    restricting.switch({"slow": ActiveRestriction(200.0, 0, "member")})
    assert restricting.collateral() == {"slow": (1, 2)}
    restricting.switch({})
    restricting.switch({"slow": ActiveRestriction(200.0, 0, "member")})
    assert (restricting.collateral(), restricting.refused["slow"]) == ({"slow": (0, 0)}, 0)


def test_a_crowd_does_not_make_the_count_grow_without_end() -> None:
    restricting = ActiveRestrictions()
    restricting.switch({"slow": ActiveRestriction(100.0, 0, "member")})
    for number in range(MAX_WATCHED + 10):
        restricting.observe("member", str(number), REFUSED)
    assert restricting.collateral() == {"slow": (MAX_WATCHED, MAX_WATCHED)}


def test_what_is_on_travels_as_json() -> None:
    on = {"slow": ActiveRestriction(100.0, 0, "member"), "shed": ActiveRestriction(None, 2)}
    assert on_from(as_plain(on)) == on


def tried_out(recent: RequestHistory, allowance: Allowance, now: float) -> Tried:
    return tried(allowance, [recent.reads(allowance, now)])


def test_a_limit_is_tried_on_the_last_hour() -> None:
    recent = RequestHistory()
    for _ in range(10):
        recent.observe("anonymous", "a", b"/posts/1", 0.0)
    for minute in range(40):
        recent.observe("anonymous", "b", b"/posts/1", minute * 60.0)
    recent.observe("anonymous", "c", b"/about", 2400.0)
    recent.observe("member", "d", b"/posts/1", 2400.0)
    assert tried_out(recent, Allowance("anonymous", 10.0, 40.0), 2400.0) == Tried(3, 0)
    assert tried_out(recent, Allowance("anonymous", 9.0, 39.0), 2400.0) == Tried(3, 2)
    assert tried_out(recent, Allowance("anonymous", 100.0, 39.0, (PathText(b"/posts/"),)), 2400.0) == Tried(2, 1)
    assert tried_out(recent, Allowance("anonymous", 0.0, 0.0, (PathText(b"/posts/1"),)), 2400.0) == Tried(2, 2, exact=False)
    assert tried_out(recent, Allowance("anonymous", 9.0, 39.0), 3900.0) == Tried(2, 0)


def test_what_several_workers_saw_of_a_client_is_taken_together() -> None:
    workers = RequestHistory(), RequestHistory()
    for number in range(40):
        workers[number % 2].observe("anonymous", "a", b"/posts/1", number * 60.0)
    workers[0].observe("anonymous", "b", b"/posts/1", 0.0)

    def both(in_piece: float, in_hour: float) -> Tried:
        allowance = Allowance("anonymous", in_piece, in_hour)
        reads = [json.loads(json.dumps(each.reads(allowance, 2400.0))) for each in workers]
        return tried(allowance, [Reads(*each) for each in reads])

    assert [both(9.0, 39.0), both(4.0, 99.0)] == [Tried(2, 1), Tried(2, 1)]
    assert [both(9.0, 40.0), both(5.0, 99.0)] == [Tried(2, 0), Tried(2, 0)]


def test_what_does_not_fit_is_said() -> None:
    recent = RequestHistory()
    for number in range(MAX_KEYS + 7):
        recent.observe("anonymous", str(number), b"/", 0.0)
    recent.observe("anonymous", "0", b"/", 1.0)
    assert recent.not_kept(1.0) == 7
    assert tried_out(recent, Allowance("anonymous", 1.0, 1.0), 1.0) == Tried(MAX_KEYS, 1)


def test_what_is_counted_is_what_came() -> None:
    recent, came, dice = RequestHistory(), dict[tuple[str, str, bytes], int](), Random(7)
    sections = set[bytes]()
    for _ in range(5000):
        class_name, who, path = dice.choice("ab"), dice.choice("xyz"), b"/%d/p" % dice.randrange(2 * MAX_SECTIONS)
        recent.observe(class_name, who, path, 10.0)
        section = section_of(path)
        if section in sections or len(sections) < MAX_SECTIONS:
            sections.add(section)
        else:
            section = ELSEWHERE
        came[class_name, who, section] = came.get((class_name, who, section), 0) + 1
    assert recent._pieces[-1].counts == came
    assert recent._pieces[-1].sections == sections


def test_made_up_parts_of_the_site_are_one() -> None:
    recent = RequestHistory()
    for number in range(MAX_SECTIONS + 50):
        recent.observe("anonymous", "a", b"/%d/" % number, 0.0)
    assert len(recent._pieces[-1].counts) == MAX_SECTIONS + 1
    assert tried_out(recent, Allowance("anonymous", 40.0, 99.0, (PathText(b"/0/"),)), 0.0) == Tried(1, 1, exact=False)
    assert tried_out(recent, Allowance("anonymous", 99.0, 99.0), 0.0) == Tried(1, 1)


@pytest.mark.parametrize(
    ("path", "section"), [(b"/posts/1", b"/posts/"), (b"/posts/", b"/posts/"), (b"/about", b"/"), (b"/", b"/"), (b"*", b"/")]
)
def test_a_part_of_the_site_ends_with_its_slash(path: bytes, section: bytes) -> None:
    assert section_of(path) == section


@pytest.mark.parametrize(
    ("section", "path", "share"),
    [
        (b"/posts/", PathText(b"/posts/"), PathShare.ALL),
        (b"/posts/", PathText(b"/po"), PathShare.ALL),
        (b"/posts/", PathText(b"/"), PathShare.ALL),
        (b"/posts/", PathText(b"/posts/7"), PathShare.SOME),
        (b"/posts/", PathText(b"/posts/7", is_prefix=False), PathShare.SOME),
        (b"/posts/", PathText(b"/posts"), PathShare.ALL),
        (b"/posts/", PathText(b"/users/"), PathShare.NONE),
        (b"/", PathText(b"/sign-up"), PathShare.SOME),
        (b"/", PathText(b"/posts/"), PathShare.NONE),
        (b"/", PathText(b"/"), PathShare.ALL),
        (b"/", PathText(b"/", is_prefix=False), PathShare.SOME),
        (ELSEWHERE, PathText(b"/posts/"), PathShare.SOME),
        (ELSEWHERE, PathText(b"/"), PathShare.ALL),
    ],
)
def test_how_much_of_a_part_of_the_site_some_paths_are(section: bytes, path: PathText, share: PathShare) -> None:
    assert share_of(section, (path,)) is share
    assert share_of(section, (PathText(b"/no/"), path)) >= share
    assert (share_of(section, None), share_of(section, ())) == (PathShare.ALL, PathShare.NONE)


PLAIN = {"name": "extra", "why": "Because.", "classes": {"anonymous": "5/day"}, "until": "2090-01-01"}
ORDERS = Overrides(
    {"prepared": Started(1.0, 50.0), "other": Started(2.0)},
    {"slow": Ended(3.0, "ended by command", "ab12")},
    {"extra": GivenRestriction(4.0, 60.0, PLAIN)},
)


def test_orders_are_there_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "orders"
    assert OverrideFile(path).keep(ORDERS)
    again = OverrideFile(path)
    assert again.orders == ORDERS
    assert path.stat().st_mode & 0o777 == 0o600
    again.keep(Overrides())
    assert OverrideFile(path).orders == Overrides()


def test_orders_that_cannot_be_written_are_in_force_all_the_same(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = OverrideFile(tmp_path / "nowhere" / "orders")
    assert not file.keep(ORDERS)
    assert file.orders == ORDERS
    assert caplog.records[-1].message == f"the orders cannot be written to {file.path}: No such file or directory"


def test_a_folder_that_was_named_by_mistake_stays_where_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    (folder / "precious").mkdir(parents=True)
    assert OverrideFile(folder).orders == Overrides()
    assert (folder / "precious").is_dir()
    assert not OverrideFile(folder).keep(ORDERS)
    assert (folder / "precious").is_dir()


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", pytest.param("[" * 100_000, id="deep"), '{"started": {"a": 1}, "ended": {}, "given": {}}', "\0\0\0",
        f'{{"started": {{"a": [{10**400}, null]}}, "ended": {{}}, "given": {{}}}}',
    ],
)  # fmt: skip
def test_a_damaged_file_is_set_aside_and_nothing_is_ordered(tmp_path: Path, text: str) -> None:
    path = tmp_path / "orders"
    path.write_text(text)
    assert OverrideFile(path).orders == Overrides()
    assert not path.exists()
    assert (tmp_path / "orders.damaged").read_text() == text
