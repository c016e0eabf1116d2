"""Learning from logs: what a session is, what is kept in every format, and that nothing of anybody is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from proxyguard.tools.range.learning.families import Vocabulary, family_pattern, target_of, words_of
from proxyguard.tools.range.learning.learned import LearnedTraffic, format_learned
from proxyguard.tools.range.learning.learner import MAX_COUNTED, Learner
from proxyguard.tools.range.learning.software import group_of, known_names, label_of, software_of
from proxyguard.tools.range.values import Draw
from proxyguard.tools.replay.detect import Stated
from proxyguard.tools.replay.log_files import Journal, LogFile, in_time_order
from tests.tools.range.small import policy
from tests.tools.replay.samples import FORMATS, START, Hit, Written

CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"
VOCABULARY = Vocabulary(words_of([policy()]))


def hit(at: float, target: str, *, client: str = "192.0.2.1", agent: str = CHROME, method: str = "GET", status: int = 200) -> Hit:
    return Hit(START + int(at), client, method, target, status, 4_000, "-", agent)


def learned(path: Path, hits: Sequence[Hit], case: Written = FORMATS[0]) -> LearnedTraffic:
    """What is learned from these requests, written in a format."""
    path.write_text("".join(f"{each}\n" for each in (*case.head, *map(case.write, hits))))
    log = LogFile(str(path), Stated(case.name, fields=case.fields))
    learner = Learner(VOCABULARY, log.format.knowledge)
    learner.learn(in_time_order([log], Journal(), None))
    return learner.learned("ours", "legitimate")


def canaries() -> list[Hit]:
    """Six sessions that have something of somebody wherever a log has room for it."""
    found = []
    for number in range(6):
        begin = number * 2_400
        client = f"198.51.100.{200 + number}"
        agent = f"CanaryReader{number}/1.0 (canary.ada@example.org)" if number % 2 else CHROME + " canary-build"
        for step, target in enumerate((
            "/users/canary.ada.lovelace", "/canary-ada/orders/4711?email=canary%40example.org&token=canarysecret",
            "/search?q=canary+illness", "/login", "/profiles/777000777", "/static/canary-avatar.png",
        )):  # fmt: skip
            hit_ = hit(begin + step * 7, target, client=client, agent=agent)
            found.append(hit_._replace(referer=f"https://canary.example/{number}?user=canary"))
    return found


@pytest.mark.parametrize("case", FORMATS, ids=[case.case for case in FORMATS])
def test_nothing_of_anybody_is_kept_whatever_the_format(tmp_path: Path, case: Written) -> None:
    hits = canaries()
    found = learned(tmp_path / "log", hits, case)
    text = format_learned(found)
    assert [family.path for family in found.site if family.path.startswith("/users/")] == ["/users/{word}"]
    for secret in ("canary", "ada", "illness", "777000777", "4711", "198.51.100", "example", "2026", str(START)[:6]):
        assert secret not in text.lower(), secret
    assert set(words(found)) <= set(VOCABULARY.words.values()) | {"png"}


def words(found: LearnedTraffic) -> list[str]:
    segments = (segment for family in found.site for segment in family.path.replace(".", "/").split("/"))
    return [segment for segment in segments if segment and "{" not in segment]


def test_sessions_end_with_half_an_hour_of_silence_and_are_counted_by_client_and_software(tmp_path: Path) -> None:
    feed = "Feedly/1.0 (+https://feedly.com/poller.html; 16 subscribers)"
    hits = [
        hit(client * 7 + step * 20, f"/posts/{step}", client=f"192.0.2.{client}") for client in range(1, 7) for step in range(3)
    ]
    hits += [hit(4_000 + client, "/posts/9", client=f"192.0.2.{client}") for client in range(1, 7)]
    hits += [hit(step * 3_000, "/feed.xml", client="192.0.2.1", agent=feed) for step in range(5)]
    found = learned(tmp_path / "log", sorted(hits, key=lambda each: each.time))
    by_name = {cohort.name: cohort for cohort in found.cohorts}
    assert set(by_name) == {"ours-desktop", "ours-feed-reader"}
    people, readers = by_name["ours-desktop"], by_name["ours-feed-reader"]
    assert (people.sessions_a_day, people.addresses_a_day, sum(people.hours)) == (12, 6, 12)
    assert (people.requests[0], people.requests[-1]) == (1, 3)
    assert set(people.waits) == {20.0}
    assert [(each.label, each.share) for each in people.software] == [("chrome 143 windows", 1.0)]
    assert (readers.sessions_a_day, readers.addresses_a_day) == (5, 1)
    assert [each.label for each in readers.software] == ["bot Feedly"]
    assert [found.site[each.family].path for each in readers.first] == ["/feed.xml"]
    assert people.fields == {"referer": 0.0}


def test_refusals_are_not_how_the_site_answers_and_methods_are_kept(tmp_path: Path) -> None:
    hits = [hit(at, "/signup", client=f"192.0.2.{at}", method="POST", status=429 if at % 2 else 303) for at in range(12)]
    hits += [hit(20 + at, "/gone/x", client=f"192.0.2.{at}", status=404) for at in range(3)]
    found = learned(tmp_path / "log", hits)
    by_path = {family.path: family for family in found.site}
    assert (by_path["/signup"].status, by_path["/{word}/{word}"].status) == (303, 404)
    assert by_path["/{word}/{word}"].items == 0
    assert [each.method for each in found.cohorts[0].first] == ["POST"]


def test_the_same_log_is_learned_the_same_way(tmp_path: Path) -> None:
    assert format_learned(learned(tmp_path / "a", canaries())) == format_learned(learned(tmp_path / "b", canaries()))


def test_a_log_of_ever_new_clients_and_paths_keeps_its_bounds(tmp_path: Path) -> None:
    hits = [
        hit(at / 10, "/" + "/".join("abcd"[at // 4**place % 4] * 3 for place in range(6)) + f"/{at}.x",
            client=f"10.{at >> 8}.{at & 255}.1",
            agent=f"Mozilla/5.0 (X11; Linux x86_64) Chrome/{20 + at % 300}.0.0.0 Safari/537.36")
        for at in range(MAX_COUNTED + 1_000)
    ]  # fmt: skip
    found = learned(tmp_path / "log", hits)
    assert len(found.site) == 1  # no word of these is known, and what lies deeper than six is left out
    assert max(len(cohort.software) for cohort in found.cohorts) == 100
    assert len(format_learned(found)) < 60_000


@pytest.mark.parametrize(
    ("path", "family"),
    [
        (b"/", "/"),
        (b"/profiles/7", "/profiles/{number}"),
        (b"/Profiles/ada", "/profiles/{word}"),
        (b"/a%20b/c@d", "/{word}/{word}"),
        (b"/x/y.PNG", "/{word}/{word}.png"),
        (b"/x/y.secret", "/{word}/{word}"),
        (b"/a/b/c/d/e/f/g/h", "/" + "/".join(["{word}"] * 6)),
        (b"/" + b"9" * 30, "/{word}"),
        (b"/.well-known/ai.txt", "/.well-known/ai.txt"),
        (b"//", "//"),
        (b"/\xff\xfe", "/{word}"),
        (b"/{word}", "/{word}"),
    ],
)
def test_a_path_becomes_its_family(path: bytes, family: str) -> None:
    assert VOCABULARY.family(path) == family
    made = target_of(family, Draw(1, "x").stream())
    assert VOCABULARY.family(made) == family
    assert family_pattern(family).fullmatch(made)


@pytest.mark.parametrize(
    ("agent", "label", "group"),
    [
        (CHROME, "chrome 143 windows", "desktop"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "firefox 145 linux", "desktop"),
        (
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 "
                "Mobile/15E148 Safari/604.1"
            ),
            "safari 26 iphone", "phone",
        ),
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot Googlebot", "search"),
        ("curl/8.5.0", "bot curl", "http-library"),
        ("", "none", "none"),
        ("-", "none", "none"),
        ("ada@example.org", "other", "other"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/9999.0 Safari/537.36", "other", "other"),
    ],
)  # fmt: skip
def test_a_user_agent_becomes_a_label_from_which_a_client_can_be_made(agent: str, label: str, group: str) -> None:
    assert label_of(agent.encode()) == label
    assert group_of(label) == group
    made = software_of(label)
    assert label_of(made.agent) == label


def test_a_label_is_made_of_known_words_only() -> None:
    assert b"Feedly" in known_names()
    for nonsense in ("bot Zzyzx", "chrome 143 amiga", "", "safari x mac", "bot curl\r\nX: y"):
        with pytest.raises(ValueError):
            software_of(nonsense)


def test_what_is_written_can_be_read_as_json_with_the_keys_that_the_guide_names(tmp_path: Path) -> None:
    value = json.loads(format_learned(learned(tmp_path / "log", canaries())))
    assert list(value) == ["site", "cohorts", "version"]
