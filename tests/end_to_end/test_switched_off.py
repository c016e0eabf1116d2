"""People who switched off cookies, scripts or pictures read what nobody else reads, with the bundled rules: real browsers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.end_to_end.browser import chromium
from tests.end_to_end.processes import Proxyguard, proxyguard
from tests.end_to_end.test_programs import run
from tests.paths import ROOT

PAGES: Final = ("/", *(f"/profiles/{each}" for each in range(301, 306)))
"""The first page, and profiles that are read once."""

WORKERS: Final = 2
FIREFOX: Final = ROOT / "tests" / "fingerprints" / "programs" / "firefox.py"
PREFERENCES: Final[dict[str, tuple[str, ...]]] = {
    "nothing": (),
    "cookies": ("network.cookie.cookieBehavior=2",),
    "scripts": ("javascript.enabled=false",),
    "pictures": ("permissions.default.image=2",),
}
"""Of Firefox, for what a person switched off."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, upstream: str) -> Iterator[Proxyguard]:
    settings = f"audit: {{passes: 1}}\nworkers: {WORKERS}\n"
    with proxyguard(tmp_path_factory.mktemp("guard"), upstream, settings=settings, alpn="h2") as running:
        yield running


@pytest.fixture(params=PREFERENCES)
def off(request: pytest.FixtureRequest) -> str:
    """What a person switched off."""
    return str(request.param)


def test_chromium_reads_on(guarded: Proxyguard, folder: Path, off: str) -> None:
    kinds = {"cookies": "cookies", "scripts": "javascript", "pictures": "images"}
    blocked = {kinds[off]: 2} if off in kinds else {}
    profile = folder / "profile" / "Default"
    profile.mkdir(parents=True)
    (profile / "Preferences").write_text(json.dumps({"profile": {"default_content_setting_values": blocked}}))

    async def visit() -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        async with chromium(folder) as page:
            await page.open(f"https://localhost:{guarded.port}/")
            await page.be_no_robot()
            for path in PAGES:
                await page.open(f"https://localhost:{guarded.port}{path}")
                found[path] = [each["status"] for each in page.responses if each["url"].endswith(path)]
            kept = await page.cookies()
        assert (kept == []) is (off == "cookies")
        return found

    statuses = asyncio.run(visit())
    assert {path: seen[-1:] for path, seen in statuses.items()} == {path: [200] for path in PAGES}


def test_firefox_reads_on(guarded: Proxyguard, folder: Path, off: str) -> None:
    before = len(guarded.records())
    urls = " ".join(f"https://localhost:{guarded.port}{path}" for path in PAGES)
    subprocess.run([sys.executable, FIREFOX, urls, folder, *PREFERENCES[off]], check=True, timeout=90)
    last = dict.fromkeys(PAGES, 0)
    for record in guarded.records()[before:]:
        if record["path"] in last and "Firefox" in record["user_agent"]:
            last[record["path"]] = record["status"]
    assert last == dict.fromkeys(PAGES, 200)


@pytest.mark.parametrize("options", [("-cookies",), ("-accept_all_cookies",)], ids=["without cookies", "with cookies"])
def test_lynx_reads_on(guarded: Proxyguard, folder: Path, options: tuple[str, ...]) -> None:
    for path in PAGES:
        said = run("lynx", "-dump", *options, f"https://localhost:{guarded.port}{path}", authority=guarded.authority, cwd=folder)
        assert "Sign up" in said


@pytest.mark.parametrize("options", [("-no-cookie",), ("-cookie",)], ids=["without cookies", "with cookies"])
def test_w3m_reads_on(guarded: Proxyguard, folder: Path, options: tuple[str, ...]) -> None:
    """Without cookies it follows no redirect to where it is: the page that it shows has a link, which its user follows."""
    trusted = ("-o", f"ssl_ca_file={guarded.authority}")
    for path in PAGES:
        url = f"https://localhost:{guarded.port}{path}"
        for _ in range(WORKERS + 1):
            said = run("w3m", "-dump", *options, *trusted, url, authority=guarded.authority, cwd=folder)
            if options == ("-cookie",) or "Go on to the page" not in said:
                break
        assert "Sign up" in said
