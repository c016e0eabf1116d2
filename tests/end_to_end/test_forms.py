"""Guarded forms with real clients, through nginx and an application: people without JavaScript sign up, and programs that repeat
themselves do not, whichever worker they meet."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.end_to_end.browser import chromium
from tests.end_to_end.processes import Proxyguard, proxyguard

AFTER = 1.05
"""Seconds that a person takes to fill in the form: a little more than it asks for."""
RULES = """\
name: sign-up
form_guard:
  sign-up: {read: /signup, after: 1s, within: 1h}
  log-in: {read: /login, after: 0s, within: 1h}
  reset: {read: /profiles/1, post: /reset, after: 30s, within: 1h}
lists:
  offices: [198.51.100.7]
rules:
  - name: unread-form
    why: Whoever fills in the form has read it, a while ago, and sends it once.
    when: {form: {not: good}}
    action: reject
  - name: questions
    why: Each answer tells whether an address has an account.
    when: {form: good, not: {client: $offices}}
    limit: {rate: 3/day, per: [client], window: calendar}
    action: {reject: {status: 429}}
"""
AGENT = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Connection": "close"}
"""Each request on a connection of its own, so that it may meet another worker."""


@pytest.fixture(scope="module")
def form_guard(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Proxyguard]:
    folder = tmp_path_factory.mktemp("forms")
    (folder / "rules").mkdir()
    (folder / "rules" / "10.yaml").write_text(RULES)
    with proxyguard(folder, upstream, rules=folder / "rules", settings="workers: 2\ntrust: {proxies: [127.0.0.1]}\n") as running:
        yield running


class Person:
    """A client that keeps cookies."""

    def __init__(self, guard: Proxyguard, address: str, read: str = "/login", post: str = "/login") -> None:
        self.url, self.action = (f"http://127.0.0.1:{guard.port}{path}" for path in (read, post))
        self.headers = AGENT | {"X-Forwarded-For": address}
        self.cookies: dict[str, str] = {}

    def read(self) -> int:
        return self._kept(requests.get(self.url, headers=self.headers, cookies=self.cookies, timeout=30))

    def post(self) -> int:
        form = {"email": "ada@example.net", "password": "correct horse"}
        return self._kept(requests.post(self.action, data=form, headers=self.headers, cookies=self.cookies, timeout=30))

    def _kept(self, answer: requests.Response) -> int:
        if answer.status_code < 300:
            assert answer.headers["Cache-Control"] == "private, no-cache"
        self.cookies |= answer.cookies.get_dict()
        return answer.status_code


def test_tokens_that_are_missing_early_used_or_foreign_are_refused_in_all_workers(form_guard: Proxyguard) -> None:
    hasty = Person(form_guard, "192.0.2.1", "/profiles/1", "/reset")
    assert [hasty.read(), hasty.post()] == [200, 403]
    person = Person(form_guard, "192.0.2.1")
    assert person.post() == 403
    assert person.read() == 200
    kept = dict(person.cookies)
    thief = Person(form_guard, "203.0.113.5")
    thief.cookies = dict(kept)
    assert thief.post() == 403
    assert person.post() == 200
    for _ in range(6):
        person.cookies = dict(kept)
        assert person.post() == 403
    record = form_guard.wait_for_record(lambda each: each["path"] == "/reset", "a record of the early post")
    assert (record["rule"], record["status"]) == ("unread-form", 403)


def test_a_client_asks_three_questions_a_day(form_guard: Proxyguard) -> None:
    people = [Person(form_guard, "192.0.2.77") for _ in range(5)]
    assert [each.read() for each in people] == [200] * 5
    assert [each.post() for each in people] == [200] * 3 + [429] * 2


def test_sixty_people_of_one_office_sign_up_together(form_guard: Proxyguard) -> None:
    people = [Person(form_guard, "198.51.100.7") for _ in range(60)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(Person.read, people)) == [200] * 60
        assert list(pool.map(Person.post, people)) == [200] * 60


def test_a_browser_without_javascript_signs_up_and_corrects_itself(form_guard: Proxyguard, folder: Path) -> None:
    async def visit() -> list[str]:
        async with chromium(folder, "--blink-settings=scriptEnabled=false") as page:
            await page.open(f"http://127.0.0.1:{form_guard.port}/signup")
            assert await page.look("document.cookie") == ""
            shown = []
            for email in ("not-yet@example.net", "grace@example.net"):
                await asyncio.sleep(AFTER)
                await page.submit("form[method=post]", email=email, password="x")
                shown.append(await page.look("document.getElementById('result').textContent"))
            return shown

    assert asyncio.run(visit()) == ["Welcome, not-yet@example.net!", "Welcome, grace@example.net!"]


def test_a_text_browser_signs_up(form_guard: Proxyguard, folder: Path) -> None:
    jar = folder / "cookies"
    jar.touch()
    (folder / "lynx.cfg").write_text("PERSISTENT_COOKIES:TRUE\n")
    lynx = [
        "lynx",
        f"-cfg={folder / 'lynx.cfg'}",
        "-dump",
        "-accept_all_cookies",
        f"-cookie_file={jar}",
        f"-cookie_save_file={jar}",
        "-useragent=Lynx/2.9",
    ]
    url = f"http://127.0.0.1:{form_guard.port}/signup"

    def shown(*more: str, typed: str = "") -> str:
        return subprocess.run([*lynx, *more, url], input=typed, capture_output=True, text=True, timeout=30, check=True).stdout

    assert "Password" in shown()
    time.sleep(AFTER)
    assert "Welcome, lynx@example.net!" in shown("-post_data", typed="email=lynx%40example.net&password=x\n---\n")
