"""Cookie jars with real clients: Chromium and lynx read on, a client without cookies is sent once, quotas follow the jar."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import sleep

import pytest
import requests

from proxyguard.limits.sightings import TELL_SECONDS
from tests.end_to_end.browser import chromium
from tests.end_to_end.processes import Proxyguard, proxyguard

RULES = """\
name: disclosure
items:
  profiles: {path: /profiles/*, id: path_segment.2}
rules:
  - {name: assets, when: {path: {suffix: [.css, .js, .png, .svg, .ico]}}, action: {jar: asset}}
  - {name: pages, when: {method: GET, path: {not: {suffix: [.css, .js, .png, .svg, .ico]}}}, action: jar}
  - {name: first-rare-page, when: {heat: cold}, action: prove}
  - name: rare-by-jar
    when: {heat: cold, jar: {not: none}}
    limit: {rate: 5/day, per: [jar], count: {distinct: item}}
    action: reject
  - name: rare-without-jar
    when: {heat: cold, jar: none}
    limit: {rate: 2/day, per: [client]}
    action: {reject: {status: 429}}
"""
FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


@pytest.fixture(scope="module")
def jar_guard(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Proxyguard]:
    folder = tmp_path_factory.mktemp("jar")
    (folder / "rules").mkdir()
    (folder / "rules" / "10.yaml").write_text(RULES)
    with proxyguard(folder, upstream, rules=folder / "rules", settings="workers: 2\ntrust: {proxies: [127.0.0.1]}\n") as running:
        yield running


def url(guard: Proxyguard, path: str) -> str:
    return f"http://127.0.0.1:{guard.port}{path}"


def test_who_keeps_cookies_is_sent_once_and_reads_its_quota(jar_guard: Proxyguard) -> None:
    with requests.Session() as session:
        session.headers.update(FIREFOX | {"X-Forwarded-For": "192.0.2.1"})
        first = session.get(url(jar_guard, "/profiles/1"))
        assert [each.status_code for each in (*first.history, first)] == [303, 200]
        assert first.history[0].headers["Cache-Control"] == "no-store"
        rest = [session.get(url(jar_guard, f"/profiles/{at}")) for at in range(2, 8)]
    assert [each.history for each in rest] == [[]] * 6
    assert [each.status_code for each in rest] == [200] * 4 + [429] * 2


def test_who_keeps_none_is_sent_by_no_worker_twice_and_has_a_budget(jar_guard: Proxyguard) -> None:
    def ask(path: str, client: str) -> list[int]:
        """On connections of their own, so that each may meet another worker."""
        seen = []
        for _ in range(4):
            answer = requests.get(
                url(jar_guard, path), headers=FIREFOX | {"X-Forwarded-For": client, "Connection": "close"}, allow_redirects=False
            )
            seen.append(answer.status_code)
            if answer.status_code != 303:
                break
        return seen

    tries = [ask(f"/profiles/{at}", "192.0.2.9") for at in range(20, 24)]
    assert [each[-1] for each in tries] == [200, 200, 429, 429]
    assert all(each.count(303) <= 2 for each in tries)
    assert 1 <= sum(each.count(303) for each in tries) <= 6
    assert ask("/", "192.0.2.9") == [200]


def bare(guard: Proxyguard, path: str, client: str, cookie: str = "") -> requests.Response:
    """One request on a connection of its own, which any worker may take."""
    headers = FIREFOX | {"X-Forwarded-For": client, "Connection": "close"} | ({"Cookie": cookie} if cookie else {})
    return requests.get(url(guard, path), headers=headers, allow_redirects=False)


def jar_of(answer: requests.Response) -> str:
    """The cookie that an answer gives, as a client sends it back."""
    return answer.headers["Set-Cookie"].partition(";")[0]


def test_what_all_workers_read_together_is_hot_of_each(jar_guard: Proxyguard) -> None:
    """Seven people and one more, each by the worker that takes the connection: nobody is asked for a cookie then."""
    for at in range(8):
        with requests.Session() as session:
            session.headers.update(FIREFOX | {"X-Forwarded-For": f"198.51.100.{at}"})
            assert session.get(url(jar_guard, "/profiles/77")).status_code == 200
    jar_guard.wait_for(
        lambda: [bare(jar_guard, "/profiles/77", f"203.0.113.{at}").status_code for at in range(12)] == [200] * 12,
        "the item is hot of all workers",
    )


def test_an_asset_that_the_site_does_not_have_proves_nothing(jar_guard: Proxyguard) -> None:
    """And one that it has proves the jar of all workers."""
    jar = jar_of(bare(jar_guard, "/", "203.0.113.90"))
    again = partial(bare, jar_guard, "/", "203.0.113.90", jar)

    def is_proven() -> bool:
        """Whether any worker writes it into the cookie."""
        return any("Set-Cookie" in again().headers for _ in range(8))

    assert bare(jar_guard, "/missing.css", "203.0.113.90", jar).status_code == 404
    sleep(1.0)
    assert not is_proven()
    assert bare(jar_guard, "/static/style.css", "203.0.113.90", jar).status_code == 200
    jar_guard.wait_for(lambda: all("Set-Cookie" in again().headers for _ in range(8)), "all workers know that the jar is proven")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_restart_forgets_neither_jars_nor_what_is_read(folder: Path, upstream: str, workers: int) -> None:
    """With a snapshot alone: without a key_secret of the operator's."""
    (folder / "rules").mkdir()
    (folder / "rules" / "10.yaml").write_text(RULES)
    settings = f"workers: {workers}\ntrust: {{proxies: [127.0.0.1]}}\nstore: {{snapshot: {folder}/snapshot}}\n"
    run = partial(proxyguard, folder, upstream, rules=folder / "rules", settings=settings)
    with run() as guard:
        jar = jar_of(bare(guard, "/", "198.51.100.1"))
        for at in range(8):
            with requests.Session() as session:
                session.headers.update(FIREFOX | {"X-Forwarded-For": f"198.51.100.{at}"})
                assert session.get(url(guard, "/profiles/77")).status_code == 200
        guard.wait_for(lambda: bare(guard, "/profiles/77", "203.0.113.1").status_code == 200, "the item is hot")
        sleep(2 * TELL_SECONDS)
    with run() as guard:
        assert [bare(guard, "/profiles/77", f"203.0.113.{at}").status_code for at in range(8)] == [200] * 8
        assert bare(guard, "/profiles/78", "198.51.100.1", jar).status_code == 200  # not sent for another jar
        assert "Set-Cookie" not in bare(guard, "/", "198.51.100.1", jar).headers


def test_a_browser_notices_nothing(jar_guard: Proxyguard, folder: Path) -> None:
    async def visit() -> list[tuple[str, int]]:
        async with chromium(folder) as page:
            await page.open(url(jar_guard, "/profiles/40"))
            await page.open(url(jar_guard, "/profiles/41"))
            assert "pg-jar" not in await page.look("document.cookie")
            return [(each["url"], each["status"]) for each in page.responses if "/profiles/" in each["url"]]

    [(last, status)] = asyncio.run(visit())
    assert last.endswith("/profiles/41")
    assert status == 200


def test_a_text_browser_reads_on(jar_guard: Proxyguard) -> None:
    shown = subprocess.run(
        ["lynx", "-dump", "-accept_all_cookies", "-useragent=Lynx/2.9", url(jar_guard, "/profiles/60")],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert "Alert" not in shown.stdout
    assert len(shown.stdout) > 100
