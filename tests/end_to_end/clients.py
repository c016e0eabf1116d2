"""Real HTTP clients, each as one function: fetch URLs, say the statuses. Every one sends its own default user agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

_ASYNC_HTTPX: Final = """
import asyncio, httpx, sys
async def main():
    async with httpx.AsyncClient(verify=False) as client:
        for url in sys.argv[1:]:
            print((await client.get(url)).status_code)
asyncio.run(main())
"""
_AIOHTTP: Final = """
import aiohttp, asyncio, sys
async def main():
    async with aiohttp.ClientSession() as session:
        for url in sys.argv[1:]:
            async with session.get(url, ssl=False) as response:
                print(response.status)
asyncio.run(main())
"""
_REQUESTS: Final = """
import requests, sys, urllib3
urllib3.disable_warnings()
for url in sys.argv[1:]:
    print(requests.get(url, verify=False, timeout=20).status_code)
"""
_URLLIB: Final = """
import ssl, sys, urllib.error, urllib.request
for url in sys.argv[1:]:
    try:
        print(urllib.request.urlopen(url, timeout=20, context=ssl._create_unverified_context()).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""
_SCRAPY: Final = """
import sys
import scrapy
from scrapy.crawler import CrawlerProcess

class Spider(scrapy.Spider):
    name = "one"
    start_urls = sys.argv[1:]
    custom_settings = {"ROBOTSTXT_OBEY": False, "LOG_ENABLED": False, "HTTPERROR_ALLOW_ALL": True, "TELNETCONSOLE_ENABLED": False,
                       "RETRY_ENABLED": False}
    found = {}

    def parse(self, response):
        self.found[response.url] = response.status

process = CrawlerProcess()
process.crawl(Spider)
process.start()
print(*(Spider.found[url] for url in sys.argv[1:]))
"""


def _run(*command: str, authority: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=os.environ | trusting(authority))
    return done.stdout.strip() or done.stderr.strip()


def trusting(authority: Path | None) -> dict[str, str]:
    """The variables by which clients are told whom to trust."""
    names = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO")
    return dict.fromkeys(names, str(authority)) if authority else {}


def _python(script: str) -> Callable[[Sequence[str]], list[int]]:
    return lambda urls: [int(word) for word in _run(sys.executable, "-c", script, *urls).split()]


def _curl(urls: Sequence[str]) -> list[int]:
    into = [word for _ in urls for word in ("-o", os.devnull)]
    return [int(word) for word in _run("curl", "-sk", *into, "-w", "%{http_code}\n", *urls).split()]


def curl(url: str) -> int:
    return _curl([url])[0]


def _wget(urls: Sequence[str]) -> list[int]:
    said = _run("wget", "--no-check-certificate", "--tries=1", "--server-response", "-q", "-O", os.devnull, *urls)
    return [int(line.split()[1]) for line in said.splitlines() if line.strip().startswith("HTTP/")]


def lynx(url: str, authority: Path | None) -> int:
    said = _run("lynx", "-head", "-dump", url, authority=authority)
    return int(said.split()[1])


FETCHERS: Final[dict[str, Callable[[Sequence[str]], list[int]]]] = {
    "curl": _curl,
    "wget": _wget,
    "requests": _python(_REQUESTS),
    "httpx": _python(_ASYNC_HTTPX),
    "aiohttp": _python(_AIOHTTP),
    "urllib": _python(_URLLIB),
    "scrapy": _python(_SCRAPY),
}
"""Scripted clients: refused on pages, welcome at the feed, the API and downloads. Each fetches its URLs with one process, as
starting one takes longer than all that it does."""


def feed_entries(url: str, authority: Path | None) -> tuple[int, int]:
    """Status and number of entries that feedparser finds; in a process of its own, for it has global state."""
    script = "import feedparser, json, sys; f = feedparser.parse(sys.argv[1]); print(json.dumps([f.status, len(f.entries)]))"
    status, entries = json.loads(_run(sys.executable, "-c", script, url, authority=authority))
    return status, entries


def git_clone(url: str, into: Path, authority: Path | None) -> str:
    """Clone, and give the contents of the README."""
    subprocess.run(
        ["git", "clone", "--quiet", url, into], check=True, timeout=60, capture_output=True, env=os.environ | trusting(authority)
    )
    return (into / "README").read_text()
