"""Cookie jars with real clients: Chromium and lynx read on, a client without cookies is sent once, quotas follow the jar."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

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
