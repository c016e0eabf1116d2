"""Real crawlers in a maze: they go round while the budget lasts, a verified bot never comes in, and a canary tells who it met."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.end_to_end.processes import Proxyguard, command, proxyguard, sample_site

PAGES = 40
"""What one client gets within a minute."""

RULES = """\
name: lost
rules:
  - name: lost
    when: {user_agent: {word: [Scrapy, curl, GPTBot]}}
    action: {maze: {wait: 20ms}}
"""
SETTINGS = f"""\
key_secret: a secret of sixteen characters
maze: {{pages: {PAGES * 10}, shares: 10, canary_domain: people.invalid}}
trust: {{proxies: [127.0.0.1]}}
origin: {{directory: origin}}
privacy: {{clients: clear}}
"""
GPTBOT = "Mozilla/5.0 (compatible; GPTBot/1.2)"

CRAWLER = """
import json, sys
import scrapy
from scrapy.crawler import CrawlerProcess

class Spider(scrapy.Spider):
    name = "lost"
    start_urls = [sys.argv[1]]
    custom_settings = {"LOG_ENABLED": False, "ROBOTSTXT_OBEY": False, "HTTPERROR_ALLOW_ALL": True, "TELNETCONSOLE_ENABLED": False,
                       "CLOSESPIDER_PAGECOUNT": 60, "CONCURRENT_REQUESTS": 4, "RETRY_ENABLED": False}
    found = []

    def parse(self, response):
        self.found.append((response.url, response.status))
        yield from response.follow_all(css="a")

process = CrawlerProcess()
process.crawl(Spider)
process.start()
json.dump(Spider.found, sys.stdout)
"""


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxyguard]:
    folder = tmp_path_factory.mktemp("maze")
    (folder / "rules").mkdir()
    (folder / "rules/10.yaml").write_text(RULES)
    (folder / "origin/ranges").mkdir(parents=True)
    listed = f"# date: {datetime.now(UTC).date()}\n# source: test\n# complete: yes\n93.184.216.0/24\n"
    (folder / "origin/ranges/gptbot.txt").write_text(listed)
    with sample_site(folder) as site, proxyguard(folder, site, rules=folder / "rules", settings=SETTINGS) as running:
        yield running


def test_a_crawler_goes_round_until_its_share_is_used_up(guard: Proxyguard) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CRAWLER, f"{guard.url}/profiles/17"], capture_output=True, text=True, timeout=120, check=True
    )
    found = json.loads(done.stdout)
    lost = [url for url, status in found if status == 200]

    assert PAGES <= len(lost) <= 2 * PAGES  # a minute may end meanwhile
    assert len(set(lost)) == len(lost)
    assert {status for _, status in found} == {200, 403}
    assert f"maze_pages_total {len(lost)}" in guard.admin("/metrics")


def _curl(guard: Proxyguard, client: str, *more: str) -> tuple[int, str]:
    arguments = ("curl", "-s", "-i", "-w", "%{http_code}", "-H", f"X-Forwarded-For: {client}", *more, f"{guard.url}/profiles/1")
    text = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=True).stdout
    return int(text[-3:]), text[:-3]


def test_a_canary_tells_when_it_was_handed_out_by_which_rule_and_to_whom(guard: Proxyguard, tmp_path: Path) -> None:
    status, text = _curl(guard, "198.51.100.9")
    assert status == 200
    assert "noindex" in text
    [token] = re.findall(r"([0-9a-f]{64})@people\.invalid", text)
    record = guard.wait_for_record(lambda record: record["client"] == "198.51.100.9", "the record of the page")
    assert (record["action"], record["rule"], record["status"]) == ("maze", "lost", 200)
    folder = guard.audit.parent
    where = ("--config", str(folder / "proxyguard.yaml"), "--audit", str(guard.audit), "--json")
    published = tmp_path / "published.csv"
    published.write_text(f"id,mail\n1,{'0' * 64}@x\n2,{token.upper()}@PEOPLE.invalid\n3,{token}@people.invalid\n")
    with published.open("rb") as text_on_sale:
        traced = subprocess.run(
            command("canary", "trace", "-", "--rules", folder / "rules", *where),
            stdin=text_on_sale,
            capture_output=True,
            text=True,
            check=True,
        )
    [found] = map(json.loads, traced.stdout.splitlines())
    assert found == {
        "canary": token, "time": int(record["time"]), "rule": "lost", "reference": record["reference"], "client": "198.51.100.9",
    }  # fmt: skip
    listed = subprocess.run(command("canary", "list", *where), capture_output=True, text=True, check=True).stdout.splitlines()
    assert token in [json.loads(line)["canary"] for line in listed]


def test_a_verified_bot_gets_the_site_and_a_forged_one_does_not(guard: Proxyguard) -> None:
    assert "A program made this page" not in _curl(guard, "93.184.216.7", "-A", GPTBOT)[1]
    assert "A program made this page" in _curl(guard, "81.2.69.7", "-A", GPTBOT)[1]


def test_the_name_of_a_page_of_the_maze_is_to_people_one_that_is_not_there(guard: Proxyguard) -> None:
    links = re.findall(r'href="([a-z]+-[a-z]+-[0-9a-f]{4})"', _curl(guard, "198.51.100.10")[1])
    answer = guard.get(f"/profiles/{links[0]}", headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"})
    assert (answer.status_code, "A program made this page" in answer.text) == (404, False)


def test_it_goes_round_over_http_2_as_well(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules/10.yaml").write_text(RULES)
    with (
        sample_site(tmp_path) as site,
        proxyguard(tmp_path, site, rules=tmp_path / "rules", settings="maze: {pages: 400, shares: 10}\n", alpn="h2") as guard,
    ):
        assert guard.authority is not None
        path, seen = "/profiles/1", set()
        for _ in range(3):
            arguments = (
                "curl",
                "-s",
                "--http2",
                "--cacert",
                guard.authority,
                "-w",
                "%{http_code} %{http_version}",
                f"{guard.url}{path}",
            )
            text = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=True).stdout
            assert text[-5:] == "200 2"
            assert "noindex" in text
            seen.add(path)
            path = "/profiles/" + re.findall(r'href="([a-z]+-[a-z]+-[0-9a-f]{4})"', text)[0]
        assert len(seen) == 3
        assert "maze_pages_total 3" in guard.admin("/metrics")
