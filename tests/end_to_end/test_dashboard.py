"""The dashboard in a real browser: every panel with the numbers of the test's own traffic, orders, a prefix, and no barrier.

Two workers, so that every number is that of the whole instance.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from tests.end_to_end.browser import Page, chromium
from tests.end_to_end.nginx import running_nginx
from tests.end_to_end.processes import Proxyguard, Running, accepts, proxyguard, tell
from tests.paths import ROOT
from tests.ports import free_port

RULES: Final = """\
name: r
items:
  posts: {path: /posts/*, id: path_segment.2}
rules:
  - {name: posts-a-day, when: {heat: cold}, limit: {rate: 200/day, window: calendar, per: [client]}, action: reject}
  - {name: no-curl, when: {user_agent: {word: curl}}, action: reject}
  - {name: pit, when: {path: /pit}, action: {tarpit: {hold: 60s}}}
  - {name: quiet-search, when: {path: /search}, action: reject, mode: shadow}
"""

WRITE: Final = "a-token-to-write-0123456789"
READ: Final = "a-token-to-read-0123456789"

SETTINGS: Final = f"workers: 2\ncontrol: {{folder}}/control.sock\nadmin_token: {WRITE}\nadmin_read_token: {READ}\n"

PEOPLE: Final = 30
CURLS: Final = 12
REFUSED: Final = CURLS + 1
"""With the one in the tarpit."""
SEARCHES: Final = 5

NONE: Final = "\u2013"

MARKUP: Final = "<img src=x onerror=document.body.dataset.hurt=1>"

PREFIX: Final = """
  server {{
    listen 127.0.0.1:{port};
    location /ops/proxyguard/ {{ proxy_pass http://127.0.0.1:{admin}/; proxy_set_header X-Forwarded-For $remote_addr; }}
  }}
"""


def visit(guard: Proxyguard, address: str, path: str, agent: str = "Mozilla/5.0 Firefox/128.0") -> tuple[int, str]:
    """One request; its status and its reference."""
    connection = http.client.HTTPConnection("127.0.0.1", guard.port, timeout=30, source_address=(address, 0))
    try:
        connection.request("GET", path, headers={"User-Agent": agent, "Host": "www.example.org"})
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader("X-Proxyguard-Reference", "")
    finally:
        connection.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dashboard")


@pytest.fixture(scope="module")
def guard(folder: Path) -> Iterator[Proxyguard]:
    """An instance after some traffic, with one client in a tarpit."""
    port = free_port()
    rules = folder / "rules"
    rules.mkdir()
    (rules / "r.yaml").write_text(RULES)
    site = Running.start([sys.executable, "-m", "tests.end_to_end.waiting_upstream", str(port)], folder / "site.log")
    try:
        site.wait_for(lambda: accepts(port), "the site listens")
        with proxyguard(folder, f"http://127.0.0.1:{port}", rules=rules, settings=SETTINGS.format(folder=folder)) as running:
            for number in range(PEOPLE):
                assert visit(running, f"127.6.0.{number % 10 + 1}", f"/posts/{number}")[0] == 200
            for _ in range(CURLS):
                assert visit(running, "127.5.0.1", "/secret", "curl/8.5.0")[0] == 403
            for _ in range(SEARCHES):
                assert visit(running, "127.7.0.1", "/search", MARKUP)[0] == 200
            with socket.create_connection(("127.0.0.1", running.port)) as held:
                held.sendall(b"GET /pit HTTP/1.1\r\nHost: x\r\nUser-Agent: y\r\n\r\n")
                assert held.recv(12) == b"HTTP/1.1 200"
                yield running
    finally:
        site.end(signal.SIGKILL)


@contextlib.asynccontextmanager
async def page_of(guard: Proxyguard, profile: Path, url: str = "") -> AsyncIterator[Page]:
    """The dashboard in a new browser, once it has shown something; at the end nothing must have been complained of."""
    await asyncio.to_thread(profile.mkdir)
    async with chromium(profile) as page:
        await page.show_as(width=1440, height=1000)
        await page.open(url or f"http://127.0.0.1:{guard.admin_port}/dashboard/")
        yield page
        assert page.complaints == []
        assert not [response["url"] for response in page.responses if "token" in response["url"]]


async def text(page: Page, selector: str) -> str:
    found: str = await page.look(f"document.querySelector({selector!r}).textContent")
    return found


async def rows(page: Page, body: str) -> list[list[str]]:
    script = f"[...document.getElementById({body!r}).rows].map((row) => [...row.cells].map((cell) => cell.textContent))"
    found: list[list[str]] = await page.look(script)
    return found


async def looked(page: Page) -> None:
    await page.until("Number(document.body.dataset.looks ?? 0) > 0", wanted=True)


async def press(page: Page, selector: str) -> None:
    await page.look(f"document.querySelector({selector!r}).click()")


async def fill(page: Page, **values: str) -> None:
    for name, value in values.items():
        find = f"const found = document.getElementById({name!r}); found.value = {value!r};"
        await page.look(f"{{ {find} found.dispatchEvent(new Event('input', {{bubbles: true}})); }}")


async def confirm(page: Page) -> None:
    """Press the button of the dialog and wait until it is carried out."""
    await press(page, "#dialog-do")
    await page.until(
        "document.getElementById('dialog').open && !document.getElementById('dialog-fault').textContent", wanted=False
    )
    assert await text(page, "#dialog-fault") == ""


async def sign_in(page: Page, token: str) -> None:
    await fill(page, **{"token-given": token})
    await page.look("document.getElementById('dialog-form').requestSubmit()")
    await page.until("document.getElementById('dialog').open", wanted=False)


async def barriers(page: Page) -> Any:
    """What axe finds, in light and in dark."""
    if await page.look("typeof axe") == "undefined":
        await page.look((ROOT / "tests/data/axe/axe.min.js").read_text() + "; true")
    found = []
    for dark in (False, True):
        await page.show_as(width=1440, height=1000, dark=dark)
        script = "axe.run().then((found) => found.violations.map((each) => [each.id, each.nodes.map((node) => node.html)]))"
        found += await page.look(script)
    return found


def test_every_panel_shows_the_traffic_there_was(guard: Proxyguard, folder: Path) -> None:
    tell(folder, "restrict", "start", "slow-posts", "--class", "anonymous=1000/hour", "--path-prefix", "/x/", "--until", "2h",
         "--why", "Overloaded.")  # fmt: skip
    tell(folder, "bans", "add", "127.8.0.1", "--for", "2h", "--note", "ticket 4711")

    async def read() -> None:
        async with page_of(guard, folder / "reads") as page:
            await looked(page)
            total = PEOPLE + REFUSED + SEARCHES
            assert (await text(page, "#tile-rate-more")).startswith(f"{total} in the last ")
            assert await text(page, "#tile-refused-more") == f"{REFUSED} requests"
            assert await text(page, "#tile-tarpits") == "1"
            assert await text(page, "#tile-bans") == "1"
            assert await text(page, "#tile-up") == "Up"
            assert await text(page, "#legend-passed") == str(PEOPLE + SEARCHES)
            assert await text(page, "#legend-refused") == str(REFUSED)
            label = await page.look("document.getElementById('chart').getAttribute('aria-label')")
            assert label.startswith(f"{total} requests in the last 1h, {REFUSED} of them refused; most at ")
            assert await page.look("document.querySelector('#chart canvas').width > 0") is True
            assert sum(int(row[2]) for row in await rows(page, "history")) == REFUSED
            [first, *_] = await rows(page, "talkers")
            assert (first[0][:2], first[1:3]) == ("c-", [str(CURLS), "100%"])
            for name, wanted in (
                ("networks", "127.5.0.0/24"),
                ("user_agents", MARKUP),
                ("rules", "no-curl"),
                ("sites", "www.example.org"),
            ):
                await press(page, f"[data-list={name}]")
                assert wanted in [row[0] for row in await rows(page, "talkers")]
            found = {row[0]: row[1:5] for row in await rows(page, "rules")}
            assert found["no-curl"] == ["in force", "reject", str(CURLS), NONE]
            assert found["quiet-search"] == ["shadow", "reject", NONE, str(SEARCHES)]
            assert found["pit"][2] == "1"
            [[who, why, *_]] = await rows(page, "bans")
            assert (who[:2], why) == ("c-", "an operator: ticket 4711")
            assert (await text(page, "#restrictions")).startswith("slow-postsonEnd…ends ")
            assert "anonymous 1000 requests an hour" in (await text(page, "#restrictions")).replace(",", "")
            orders = [row[1] for row in await rows(page, "changes")]
            assert orders == ["bans-add", "restrictions-start"]
            assert "up" in await text(page, "#health")
            assert await rows(page, "items") == [["cold, without a cookie", str(PEOPLE)]]
            assert ["elsewhere, without cookies", "5 addresses", NONE] in await rows(page, "prices")
            assert "of theirs in tarpits" in await text(page, "#economy-spent")

    asyncio.run(read())


def test_decisions_are_shown_as_they_are_made_and_looked_up(guard: Proxyguard, folder: Path) -> None:
    async def read() -> None:
        async with page_of(guard, folder / "feed") as page:
            await looked(page)
            await page.until("document.querySelectorAll('#feed li').length > 0", wanted=True)
            await fill(page, **{"feed-filter": "curl no-curl"})
            await page.until("document.querySelectorAll('#feed li').length", CURLS)
            await press(page, "#feed li button")
            await page.until("document.querySelector('#found .verdict')?.textContent", "reject by no-curl")
            assert "holds" in await text(page, "#found ul")
            assert "127.5.0.1" not in await text(page, "body")
            assert await page.look("document.body.dataset.hurt") is None
            assert await page.look("document.querySelectorAll('main img').length") == 0
            await press(page, "#panic")
            assert await text(page, "#dialog pre") == "proxyguard shadow on --for 30m"
            assert await page.look("document.getElementById('dialog-do').hidden") is True
            await press(page, "#dialog-cancel")
            assert await barriers(page) == []
            for width in (390, 320):
                await page.show_as(width=width, height=800)
                await page.until(f"document.documentElement.scrollWidth <= {width}", wanted=True)  # charts follow a moment later
            await page.show_as(width=1440, height=1000)
            await page.look("document.activeElement.blur()")
            await page.press("Tab", 9)
            assert await page.look("document.activeElement.className") == "skip"

    asyncio.run(read())


def test_orders_are_carried_out_by_who_has_the_token(guard: Proxyguard, folder: Path) -> None:
    async def act() -> None:
        async with page_of(guard, folder / "acts") as page:
            await looked(page)
            await press(page, "#token")
            assert await barriers(page) == []
            await sign_in(page, WRITE)
            await page.until("document.getElementById('token').textContent", "Signed in")
            await press(page, "#talkers button")
            await confirm(page)
            await page.until("document.getElementById('tile-bans').textContent", "2")
            assert (await asyncio.to_thread(visit, guard, "127.5.0.1", "/posts/1"))[0] == 403
            await press(page, "#bans tr:nth-child(2) button")
            assert (await text(page, "#dialog pre")).startswith("proxyguard bans remove c-")
            await confirm(page)
            await page.until("document.getElementById('tile-bans').textContent", "1")
            assert (await asyncio.to_thread(visit, guard, "127.5.0.1", "/posts/1"))[0] == 200
            await press(page, "#panic")
            await fill(page, why="people are refused")
            assert await text(page, "#dialog pre") == "proxyguard shadow on --for 30m --why 'people are refused'"
            await confirm(page)
            await page.until("document.getElementById('state-text').textContent.startsWith('NOTHING ACTS')", wanted=True)
            assert (await asyncio.to_thread(visit, guard, "127.5.0.1", "/", "curl/8.5.0"))[0] == 200
            await press(page, "#panic")
            await confirm(page)
            await page.until("document.getElementById('state-text').textContent", "Rules act")
            await press(page, "[aria-label='Promote quiet-search']")
            await page.until("document.querySelector('.evidence').textContent.startsWith('It would be refused')", wanted=True)
            assert await text(page, "#dialog pre") == "proxyguard promote quiet-search"
            await press(page, "#dialog-do")
            await page.until("document.getElementById('dialog-fault').textContent.includes('stays in shadow')", wanted=True)
            page.complaints = [each for each in page.complaints if "409" not in each]  # the browser notes every refusal
            await press(page, "#dialog-cancel")

    asyncio.run(act())
    said = guard.said()
    assert WRITE not in said
    assert "order shadow-on carried out, by the API from 127.0.0.1" in said
    assert "127.5.0.1" not in said


def test_behind_a_proxy_and_a_prefix_a_token_is_needed_and_is_enough(guard: Proxyguard, folder: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/ops/proxyguard"

    async def read() -> None:
        async with page_of(guard, folder / "prefix", f"{url}/dashboard/") as page:
            await page.until("document.getElementById('dialog').open", wanted=True)
            assert await text(page, "#state-text") == "Not signed in"
            await sign_in(page, READ)
            await looked(page)
            await page.until("document.getElementById('feed-state').textContent", "live")
            assert await text(page, "#token") == "Reading"

    with running_nginx(folder, PREFIX.format(port=port, admin=guard.admin_port), port):
        assert requests.get(url + "/", timeout=20, allow_redirects=False).headers["Location"].endswith("dashboard/")
        assert requests.get(f"{url}/api/v1/status", timeout=20).status_code == 401
        answer = requests.get(f"{url}/api/v1/status", timeout=20, headers={"Authorization": f"Bearer {READ}"})
        assert answer.json()["ready"] is True
        asyncio.run(read())
