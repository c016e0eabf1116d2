"""The day that proxyguard was made for, on two instances and a real Valkey or Redis, with the files of the guide.

A flood of sign-ups is stopped while an office goes on; limits by class are changed in the file, and hold on both instances; users
read why and until when; and it ends by itself. One test, because it is one day: each part happens while the flood goes on.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.contracts.servers import valkey
from tests.end_to_end.members import Seen, Site, members, visit
from tests.end_to_end.processes import Proxyguard, proxyguard, wait_until
from tests.end_to_end.test_restrictions import listed
from tests.paths import ROOT

pytestmark = pytest.mark.alone

GUIDE = ROOT / "docs" / "guide" / "sign-up-flood.md"
FILE = re.compile(r"^```yaml\n# rules/(\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

FLOODING = ("127.1.1.1", "127.1.2.1", "127.1.3.1", "127.1.4.1")
OFFICE = "127.2.0.1"

STOPPED_WITHIN_SECONDS = 5.0
IN_FORCE_WITHIN_SECONDS = 2.0

READING_SECONDS = 0.8
"""What reading these rules takes at the most on a machine that has a core to spare; it has a low priority. This one may be
running a dozen other tests: what it takes longer is measured each time, and allowed to each of the two instances."""

LASTS_SECONDS = 12.0
"""From the last change to the end."""

CHANGES = ((4, 8), (9, 5), (3, 6))
"""What strangers and known members can read, three times over."""

type Pair = tuple[Proxyguard, Proxyguard]


def put_files(rules: Path) -> None:
    """The rule files of the guide, but for the restriction: it comes later."""
    rules.mkdir()
    for name, text in FILE.findall(GUIDE.read_text()):
        if "restrictions" not in name:
            (rules / name).write_text(text)


def restriction(anonymous: int, known: int, ends: datetime) -> str:
    """The restriction of the guide with other numbers, and an end that a test can wait for."""
    text = next(text for name, text in FILE.findall(GUIDE.read_text()) if "restrictions" in name)
    text, classes = re.subn(r"classes: .*", f"classes: {{known: {known}/day, anonymous: {anonymous}/day}}", text)
    text, ending = re.subn(r"until: .*", f"until: {ends:%Y-%m-%dT%H:%M:%SZ}", text)
    assert (classes, ending) == (1, 1)
    return text


@contextmanager
def flood(pair: Pair) -> Iterator[list[int]]:
    """Four addresses that sign up through both instances, each some twenty times a second; the answers."""
    stop = threading.Event()
    answers: list[int] = []

    def sign_up(address: str) -> None:
        for guard in itertools.cycle(pair):
            if stop.wait(0.05):
                return
            answers.append(visit(guard, address, "/signup", method="POST").status)

    threads = [threading.Thread(target=sign_up, args=(address,)) for address in FLOODING]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def office_day(pair: Pair) -> list[int]:
    """Sixty people behind one address read two pages each through either instance; ten of them sign up. Answers of the latter."""

    def person(number: int) -> int | None:
        guards = itertools.islice(itertools.cycle(pair), number % 2, None)
        session = f"member-{number}"
        pages = [visit(next(guards), OFFICE, "/posts/1", session=session).status for _ in range(2)]
        assert pages == [200, 200]
        return visit(next(guards), OFFICE, "/signup", method="POST").status if number % 6 == 0 else None

    with ThreadPoolExecutor(6) as people:
        return [status for status in people.map(person, range(60)) if status is not None]


strangers = (f"127.3.{high}.{low}" for high in range(256) for low in range(1, 255))
"""Each asks once, so that none is limited."""


def announced(guard: Proxyguard) -> str:
    """The limit for strangers that a stranger is told of."""
    return visit(guard, next(strangers), "/posts/1").headers.get("RateLimit-Policy", "none")


def seconds_until_in_force(pair: Pair, saved: float, policy: str) -> float:
    """Since when all workers of both instances announce a limit: after the last answer that did not."""
    stale = saved
    fresh = 0
    while fresh < 60:
        for guard in pair:
            if announced(guard) == policy:
                fresh += 1
            else:
                stale, fresh = time.monotonic(), 0
        assert time.monotonic() - saved < 20, f"{policy} did not come into force"
    return stale - saved


def passed(pair: Pair, address: str, session: str = "") -> tuple[int, Seen]:
    """How many requests pass, the instances by turns, before one is refused; and the refusal."""
    for number, guard in enumerate(itertools.islice(itertools.cycle(pair), 40)):
        seen = visit(guard, address, "/posts/1", session=session, accept="application/json")
        if seen.status != 200:
            return number, seen
    raise AssertionError("nothing was refused")


def test_a_flood_is_stopped_an_office_goes_on_and_limits_follow_the_file_on_both_instances(folder: Path) -> None:
    rules, socket = folder / "rules", folder / "store.sock"
    put_files(rules)
    # The time-out is long because what is counted here is exact; what a store that is away means is test_store_chaos's.
    settings = f"store: {{url: 'unix://{socket}', timeout: 2s}}\nkey_secret: the-same-on-all-instances\n"
    with (
        members() as site,
        valkey(socket),
        proxyguard(folder / "one", site.url, rules=rules, settings=settings) as one,
        proxyguard(folder / "two", site.url, rules=rules, settings=settings + "workers: 2\n") as two,
    ):
        pair = (one, two)
        began = time.monotonic()
        with flood(pair) as answers:
            assert office_day(pair) == [201] * 10
            time.sleep(max(0.0, began + STOPPED_WITHIN_SECONDS - time.monotonic()))
            so_far = len(answers)
            for numbers in CHANGES:
                ends = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=LASTS_SECONDS)
                allowed = IN_FORCE_WITHIN_SECONDS + 2 * max(0.0, reading_seconds(rules) - READING_SECONDS)
                on_data = change(pair, rules, numbers, ends)
                print(f"in force after {on_data:.2f} s, allowed {allowed:.2f} s")
                assert on_data < allowed
            check_words(pair, ends)
            wait_until(lambda: all(announced(guard) == "none" for guard in pair), "the end")
            assert timedelta(0) <= datetime.now(UTC) - ends < timedelta(seconds=IN_FORCE_WITHIN_SECONDS)
        check_flood(site, answers, began, so_far)
        assert passed_again(pair) == [200, 200]
        for guard in pair:
            wait_until(lambda guard=guard: listed(guard, "slow-reading")["reason"] == "it is over", "the last look")  # type: ignore[misc]  # a default is how a lambda keeps a loop's value


def reading_seconds(rules: Path) -> float:
    """How long it takes at this moment to read the rules as a reload does."""
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "proxyguard.instance.loader_process", rules, "enforce", "standard"],
        check=True,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    return time.monotonic() - began


def change(pair: Pair, rules: Path, numbers: tuple[int, int], ends: datetime) -> float:
    """Save other numbers; after how many seconds they hold everywhere. They are exact over both instances."""
    anonymous, known = numbers
    (rules / "90-restrictions.yaml").write_text(restriction(anonymous, known, ends))
    on_data = seconds_until_in_force(pair, time.monotonic(), f'"slow-reading-anonymous";q={anonymous};w=86400')
    session = f"member-of-{anonymous}"
    for guard in pair * 16:  # each worker hears by itself whose session it is
        visit(guard, OFFICE, "/", session=session)
    assert passed(pair, f"127.4.0.{anonymous}")[0] == anonymous
    assert passed(pair, OFFICE, session)[0] == known
    return on_data


def check_words(pair: Pair, ends: datetime) -> None:
    """Programs and people read what the limit is, why, and when it ends."""
    refused = visit(pair[0], f"127.4.0.{CHANGES[-1][0]}", "/posts/1", accept="application/json")
    told = json.loads(refused.body)
    why = "Somebody is copying our members' posts. Until that has stopped, everybody can read a limited number of posts a day."
    assert (refused.status, told["detail"], told["limit"]) == (429, why, "3 requests a day")
    assert told["ends"] == f"{ends:%Y-%m-%dT%H:%M:%SZ}"
    left = (ends - datetime.now(UTC)).total_seconds()
    assert 0 < int(refused.headers["Retry-After"]) <= left + 2
    page = visit(pair[1], f"127.4.0.{CHANGES[-1][0]}", "/posts/1", accept="text/html")
    text = page.body.decode()
    assert page.status == 429
    for words in ("This part of the site is limited for a time", why.replace("'", "&#x27;"), "3 requests a day"):
        assert words in text
    assert re.search(r"<dt>Ends</dt><dd>\d+ \w+ \d{4}, \d\d:\d\d UTC \(in \d+ seconds?\)</dd>", text)
    record = pair[0].wait_for_record(lambda each: each["rule"] == "slow-reading-anonymous", "its record")
    assert record["class"] == "anonymous"


def check_flood(site: Site, answers: list[int], began: float, so_far: int) -> None:
    """Nothing of the flood reached the site after the first seconds, although it went on; and little did before."""
    arrived = site.signed_up(*FLOODING)
    assert max(arrived) - began < STOPPED_WITHIN_SECONDS
    assert len(arrived) == 15 * len(FLOODING)
    assert len(answers) > so_far > len(arrived)
    assert set(answers[so_far:]) == {0}
    assert len(site.signed_up(OFFICE)) == 10


def passed_again(pair: Pair) -> list[int]:
    """What those get at the end who were refused before."""
    return [visit(guard, f"127.4.0.{CHANGES[-1][0]}", "/posts/1").status for guard in pair]
