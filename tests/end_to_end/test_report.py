"""The questions of an operator at night, answered by `report`, `top` and `status` after an attack whose truth is known.

Eight bots sign up, a library reads, forty slow readers copy a browser's headers, sixty people go about their business: all
through one instance with the bundled rules, each from an address of its own.
"""

from __future__ import annotations

import http.client
import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any, Final

import pytest

from tests.end_to_end.processes import RULES, Proxyguard, command, proxyguard, tell, told, wait_until

BOTS: Final = tuple(f"127.10.{number}.1" for number in range(1, 9))
LIBRARY: Final = "127.40.0.1"
READERS: Final = tuple(f"127.20.{number % 4}.{number + 1}" for number in range(40))
READERS_NETWORKS: Final = {f"127.20.{number}.0/24" for number in range(4)}
PEOPLE: Final = tuple(f"127.{31 + number}.7.1" for number in range(60) if number != 9)
"""None in the network of the library."""

MOST_SECONDS: Final = 10.0
"""What an operator waits for the answer to a question, at most."""

SIGN_UPS: Final = 25
LIBRARY_READS: Final = 150
READS: Final = 14

COPIED: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"
REQUESTS_AGENT: Final = "python-requests/2.32.3"


def person_agent(number: int) -> str:
    version = 120 + number % 20
    return f"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"


def visit(guard: Proxyguard, address: str, agent: str, method: str, path: str, body: str | None = None) -> int:
    """One request on a connection of its own; its status, of a tarpit that of its head. 0: no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", guard.port, timeout=30, source_address=(address, 0))
    headers = {
        "User-Agent": agent,
        "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
        "Accept-Language": "en",
        "Accept-Encoding": "gzip, deflate, br",
        **({"Content-Type": "application/x-www-form-urlencoded"} if body else {}),
    }
    try:
        connection.request(method, path, body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def attack(guard: Proxyguard) -> list[int]:
    """Everybody's requests, mixed; the answers to people."""

    def bot(address: str) -> None:
        for number in range(SIGN_UPS):
            visit(guard, address, COPIED, "POST", "/signup", f"email=bot{number}@example.net&password=x")

    def library() -> None:
        for number in range(LIBRARY_READS):
            visit(guard, LIBRARY, REQUESTS_AGENT, "GET", f"/profiles/{number % 30 + 1}")

    def reader(at: int) -> None:
        for number in range(READS):
            visit(guard, READERS[at], COPIED, "GET", f"/profiles/{(at * READS + number) % 30 + 1}")

    def person(at: int) -> list[int]:
        agent = person_agent(at)
        paths = ("/", "/search?q=cats", "/static/site.css", "/about")
        return [visit(guard, PEOPLE[at], agent, "GET", path) for path in paths]

    with ThreadPoolExecutor(8) as pool:
        work = [pool.submit(bot, address) for address in BOTS[:4]]
        work += [pool.submit(library)]
        work += [pool.submit(reader, at) for at in range(len(READERS))]
        work += [pool.submit(bot, address) for address in BOTS[4:]]
        answers = [status for statuses in pool.map(person, range(len(PEOPLE))) for status in statuses]
        for each in work:
            each.result()
    return answers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guard")


@pytest.fixture(scope="module")
def guard(folder: Path, upstream: str) -> Iterator[Proxyguard]:
    """An instance that was attacked."""
    settings = f"control: {folder}/control.sock\naudit: {{passes: 1}}\n"
    shutil.copytree(RULES, folder / "rules")
    (folder / "rules" / "65-reading-by-jar.yaml").unlink()  # it would stop the readers, who are to get through
    with proxyguard(folder, upstream, settings=settings, rules=folder / "rules") as running:
        answers = attack(running)
        assert {status for status in answers if status in (0, 403, 429)} == set()
        whole = len(BOTS) * SIGN_UPS + LIBRARY_READS + len(READERS) * READS + len(answers)
        wait_until(lambda: told(folder, "top", "--window", "hour")["requests"] >= whole, "all tarpits are counted")
        wait_until(lambda: len(running.records()) >= whole, "all is recorded")
        yield running


@pytest.fixture(scope="module")
def report(guard: Proxyguard, folder: Path) -> dict[str, Any]:
    return told(folder, "report", "--since", "1h", "--audit", str(guard.audit))


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["name"] for row in rows]


def row_of(rows: list[dict[str, Any]], name: str) -> Mapping[str, Any]:
    return next(row for row in rows if row["name"] == name)


@pytest.mark.parametrize(
    "question", [("status",), ("top", "--once"), ("report", "--since", "1h", "--audit", "AUDIT")], ids=lambda each: each[0]
)
def test_nobody_waits_ten_seconds_for_an_answer(guard: Proxyguard, folder: Path, question: tuple[str, ...]) -> None:
    began = monotonic()
    said = tell(folder, *(str(guard.audit) if word == "AUDIT" else word for word in question))
    assert (said.returncode, monotonic() - began < MOST_SECONDS) == (0, True), said


def test_is_something_going_on(report: dict[str, Any], folder: Path) -> None:
    assert report["rates"]["unusual"] is True
    now, before, day_before = report["rates"]["periods"]
    assert now["refused_share"] == pytest.approx(told(folder, "top", "--window", "hour")["refused_share"], abs=0.02)
    assert now["refused_share"] > 0.2
    assert before["requests"] is day_before["requests"] is None  # it did not run then
    assert told(folder, "status")["requests"] >= now["requests"] - 5


def test_who(report: dict[str, Any], folder: Path) -> None:
    top = told(folder, "top", "--window", "hour")
    for lists in (report["who"], top):
        assert set(names(lists["networks"])[:5]) == {"127.40.0.0/24", *READERS_NETWORKS}
        assert lists["clients"][0]["requests"] == lists["clients"][0]["refused"] == LIBRARY_READS
        assert names(lists["user_agents"])[:2] == [COPIED, REQUESTS_AGENT]
        assert names(lists["paths"])[0] == "/profiles/*"
    assert not any("127." in name for name in names(report["who"]["clients"]))


def test_what_was_stopped_and_by_what(report: dict[str, Any]) -> None:
    rules = {rule["rule"]: rule for rule in report["stopped"]["rules"]}
    assert set(rules) == {"sign-up-flood", "http-libraries"}
    assert rules["http-libraries"]["requests"] == LIBRARY_READS
    assert rules["http-libraries"]["clients"] == 1
    assert rules["sign-up-flood"]["clients"] == len(BOTS)
    assert rules["sign-up-flood"]["once"] == 0
    assert set(rules["sign-up-flood"]["actions"]) <= {"tarpit", "reject"}
    assert report["stopped"]["clients"] == len(BOTS) + 1
    assert report["stopped"]["exact"] is True


def test_who_gets_through_and_looks_like_whom(report: dict[str, Any]) -> None:
    busiest = report["through"]["busiest"]
    assert names(busiest["user_agents"])[0] == COPIED
    assert names(busiest["paths"])[0] == "/profiles/*"
    assert row_of(busiest["paths"], "/profiles/*")["requests"] == len(READERS) * READS
    assert set(names(busiest["networks"])[:4]) == READERS_NETWORKS
    assert REQUESTS_AGENT not in names(busiest["user_agents"])
    assert report["through"]["kinds"][0]["kind"] == "browsers"
    assert report["through"]["kinds"][0]["share"] > 0.95


def test_people_are_not_hurt(report: dict[str, Any]) -> None:
    figures = {figure["name"]: figure["value"] for figure in report["people"]}
    assert figures["references looked up"] == 0
    assert figures["refusals of protected classes"] == 0
    assert figures["clients refused once only"] == 0
    assert figures["clients refused that more often got through with a browser's user agent"] in (0, None)
    assert not any("demote" in step["command"] for step in report["next"])


def test_health(report: dict[str, Any], folder: Path) -> None:
    assert report["health"]["ready"] is True
    assert report["health"]["troubles"] == []
    assert {each["state"] for each in told(folder, "status")["upstreams"]} == {"up"}
    status = told(folder, "status")
    assert status["audit"] == {"waiting": 0, "lost": 0}
    for name in ("check_seconds", "request_seconds", "upstream_head_seconds"):
        times = status["latencies"][name]
        assert 0 < times["p50"] <= times["p95"] <= times["p99"]
    assert "p95, last 5 min" in tell(folder, "status").stdout


@pytest.mark.parametrize("name", ["clients", "networks", "user_agents", "paths", "rules"])
def test_top_has_every_list_with_every_column(guard: Proxyguard, folder: Path, name: str) -> None:
    top = told(folder, "top", "--once", "--window", "hour")
    assert top["requests_per_second"] > 0
    assert 0 < top["refused_share"] < 1
    assert top[name]
    for row in top[name]:
        assert set(row) >= {"name", "requests", "refused", "bytes"}
        assert row["refused"] <= row["requests"] <= top["requests"]
        assert name != "clients" or row["name"].startswith("c-")


def test_what_to_do_next(guard: Proxyguard, report: dict[str, Any], folder: Path) -> None:
    commands = [step["command"] for step in report["next"]]
    assert "proxyguard restrict preview --class anonymous=60/hour --path-prefix /profiles/" in commands
    [ban] = [each for each in commands if "--then drop" in each]
    for each in commands:
        assert tell(folder, *shlex.split(each)[1:]).returncode == 0, each
    assert visit(guard, LIBRARY, REQUESTS_AGENT, "GET", "/profiles/1") == 0
    assert visit(guard, PEOPLE[0], person_agent(0), "GET", "/") == 200
    assert row_of(report["who"]["clients"], shlex.split(ban)[3])["requests"] == LIBRARY_READS


def run(*arguments: str | Path) -> str:
    """What a command prints; it must succeed."""
    whole = [str(part) for part in command(*arguments)]
    return subprocess.run(whole, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_look_up_is_counted(guard: Proxyguard, folder: Path) -> None:
    record = next(record for record in guard.records() if record["rule"] == "sign-up-flood")
    run("explain", "--reference", record["reference"], "--audit", guard.audit, "--config", folder / "proxyguard.yaml")
    [looked_up, *_] = told(folder, "report")["people"]
    assert looked_up["value"] == 1
    assert looked_up["detail"] == {"sign-up-flood": 1}


def test_the_log_alone_and_the_page(guard: Proxyguard, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    alone = json.loads(run("report", "--audit", guard.audit, "--html", page, "--json"))
    clients = {rule["rule"]: rule["clients"] for rule in alone["stopped"]["rules"]}
    assert (clients["sign-up-flood"], clients["http-libraries"]) == (len(BOTS), 1)
    assert alone["health"]["ready"] is None
    text = page.read_text()
    assert "sign-up-flood" in text
    assert "<script" not in text
    assert not any(address in text for address in (*BOTS, LIBRARY, *READERS, *PEOPLE))
