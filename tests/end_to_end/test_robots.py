"""A site's robots.txt, read through a running instance: who breaks it, what is answered for it, and sites that answer badly."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from tests.end_to_end.processes import RULES, Proxyguard, proxyguard, tell, told, wait_until

ROBOTS: Final = b"User-agent: *\nDisallow: /private/\n"
AHREFS: Final = "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"
FIREFOX: Final = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "de", "Accept-Encoding": "gzip, deflate",
}  # fmt: skip

Answering = Callable[[BaseHTTPRequestHandler], None]


def plain(handler: BaseHTTPRequestHandler, status: int, body: bytes, **fields: str) -> None:
    handler.send_response(status)
    for name, value in fields.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def site(robots: Answering) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A site whose robots.txt is what the test says; and what it was asked: path and user agent."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("User-Agent", "")))
            if self.path.startswith("/robots.txt"):
                robots(self)
            else:
                plain(self, 200, b"a page", **({"TDM_Reservation": "0"} if self.path == "/open" else {}))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the standard library's signature
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()


def metric(guard: Proxyguard, name: str) -> float:
    lines = guard.admin("/metrics").splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"proxyguard_{name} ")))


def crawl(guard: Proxyguard, path: str) -> int:
    return guard.get(path, headers={"User-Agent": AHREFS}).status_code


def test_who_breaks_the_sites_own_robots_txt_is_limited_recorded_and_reported(tmp_path: Path) -> None:
    with (
        site(lambda handler: plain(handler, 200, ROBOTS)) as (upstream, asked),
        proxyguard(tmp_path, upstream, settings=f"control: {tmp_path}/control.sock\n") as guard,
    ):
        assert crawl(guard, "/private/0") == 200
        wait_until(lambda: metric(guard, "robots_read") == 1, "robots.txt")
        assert [crawl(guard, f"/private/{number}") for number in range(31)] == [200] * 30 + [429]
        assert crawl(guard, "/public") == 200
        assert all(guard.get(f"/private/{number}", headers=FIREFOX).status_code == 200 for number in range(20))
        record = guard.wait_for_record(lambda record: record["status"] == 429, "the refusal")
        assert (record["rule"], record["robots"], record["tags"]) == ("robots-txt-limit", "*", ["breaks-robots-txt"])
        assert metric(guard, "robots_broken") == 31
        [row] = told(tmp_path, "top", "--once", "--list", "robots")["robots"]
        assert (row["name"], row["requests"]) == ("seo", 31)
        report = tell(tmp_path, "report", "--audit", str(guard.audit)).stdout
        assert "of what robots.txt forbids, bots asked for: (seo 31)" in report
        assert [agent for path, agent in asked if path == "/robots.txt"] == ["proxyguard-robots"]


def test_what_clients_ask_for_robots_txt_changes_nothing(tmp_path: Path) -> None:
    """A site that answers strangers otherwise: by query, by cookie, by language."""

    def robots(handler: BaseHTTPRequestHandler) -> None:
        is_plain = handler.path == "/robots.txt" and "Cookie" not in handler.headers
        plain(handler, 200, ROBOTS if is_plain else b"User-agent: *\nDisallow: /\n")

    with site(robots) as (upstream, _), proxyguard(tmp_path, upstream) as guard:
        for path in ("/robots.txt?v=1", "/robots.txt"):
            guard.get(path, headers={"User-Agent": AHREFS, "Cookie": "a=b"})
        wait_until(lambda: metric(guard, "robots_read") == 1, "robots.txt")
        assert [crawl(guard, "/public") for _ in range(40)] == [200] * 40


@pytest.mark.parametrize("status", [500, 503])
def test_a_site_that_cannot_say_forbids_nothing_for_now(status: int, tmp_path: Path) -> None:
    with site(lambda handler: plain(handler, status, ROBOTS)) as (upstream, _), proxyguard(tmp_path, upstream) as guard:
        crawl(guard, "/private/0")
        wait_until(lambda: metric(guard, "robots_failed") == 1, "the failure")
        assert [crawl(guard, "/private/1") for _ in range(40)] == [200] * 40


def test_a_site_that_never_ends_its_robots_txt_is_read_as_far_as_it_counts(tmp_path: Path) -> None:
    def robots(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            handler.wfile.write(ROBOTS)
            while True:
                handler.wfile.write(b"# and so on\n" * 1000)
        except OSError:
            pass

    with site(robots) as (upstream, _), proxyguard(tmp_path, upstream) as guard:
        crawl(guard, "/private/0")
        wait_until(lambda: metric(guard, "robots_read") == 1, "robots.txt")
        assert [crawl(guard, "/private/1") for _ in range(31)][-1] == 429


def test_a_bots_name_over_invented_hosts_costs_the_site_little(tmp_path: Path) -> None:
    """A site for any host, whose robots.txt leads around: every host costs six questions, and few hosts are asked for."""
    with (
        site(lambda handler: plain(handler, 302, b"", Location=f"/robots.txt?{len(handler.path)}{'x' * 9}")) as (upstream, asked),
        proxyguard(tmp_path, upstream) as guard,
    ):
        for number in range(60):
            guard.get("/public", headers={"User-Agent": AHREFS, "Host": f"h{number}.example"})
        for host in ("a.example:99999", "a b", "a.example/../", "[::1", "a.example@b.example"):
            assert guard.get("/public", headers={"User-Agent": AHREFS, "Host": host}).status_code == 400
        wait_until(lambda: metric(guard, "robots_failed") == 8, "the failures")
        assert sum(agent == "proxyguard-robots" for _, agent in asked) == 8 * 6
        assert metric(guard, "robots_crowded") == 52


def test_hosts_that_no_site_serves_have_nothing_read(tmp_path: Path) -> None:
    with site(lambda handler: plain(handler, 200, ROBOTS)) as (upstream, asked):
        settings = f"sites:\n- hosts: [a.example]\n  upstream: {upstream}\n"
        with proxyguard(tmp_path, "", settings=settings) as guard:
            found = [guard.get("/", headers={"User-Agent": AHREFS, "Host": f"{name}.example"}).status_code for name in "abc"]
            assert found == [200, 421, 421]
            wait_until(lambda: metric(guard, "robots_read") == 1, "robots.txt")
            assert (metric(guard, "robots_hosts"), [path for path, _ in asked].count("/robots.txt")) == (1, 1)


SETTINGS: Final = """
preferences:
  search: yes
  ai_train: no
  robots_txt: append
  formats: [content-signal, content-usage, rsl, tdm]
"""


@pytest.mark.parametrize("alpn", ["", "h2"])
def test_preferences_are_said_and_the_sites_own_words_stay(alpn: str, tmp_path: Path) -> None:
    with (
        site(lambda handler: plain(handler, 200, ROBOTS)) as (upstream, _),
        proxyguard(tmp_path, upstream, settings=SETTINGS, alpn=alpn) as guard,
    ):
        assert guard.get("/robots.txt").content == ROBOTS
        wait_until(lambda: metric(guard, "robots_read") == 1, "robots.txt")
        answer = guard.get("/robots.txt")
        assert answer.text.startswith(ROBOTS.decode())
        assert "\nContent-Signal: search=yes, ai-train=no\nContent-Usage: search=y, train-ai=n\n" in answer.text
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
        assert guard.ask("HEAD", "/robots.txt").headers["Content-Length"] == str(len(answer.content))
        assert guard.get("/license.xml").headers["Content-Type"] == "application/rsl+xml"
        assert json.loads(guard.get("/.well-known/tdmrep.json").content) == [{"location": "/", "tdm-reservation": 1}]
        page = guard.get("/", headers=FIREFOX).headers
        assert (page["Content-Usage"], page["TDM-Reservation"]) == ("search=y, train-ai=n", "1")
        assert guard.get("/open", headers=FIREFOX).headers["TDM-Reservation"] == "0"
        assert guard.ask("POST", "/license.xml", headers=FIREFOX).status_code == 501


def test_a_site_without_robots_txt_gets_one(tmp_path: Path) -> None:
    settings = "preferences: {ai_train: no, robots_txt: own, formats: [content-signal]}\n"
    with (
        site(lambda handler: plain(handler, 404, b"nothing here")) as (upstream, _),
        proxyguard(tmp_path, upstream, rules=RULES, settings=settings) as guard,
    ):
        assert guard.get("/robots.txt").status_code == 404
        wait_until(lambda: metric(guard, "robots_read") == 1, "robots.txt")
        assert guard.get("/robots.txt").text == (
            "# What programs may do with what they read here\nUser-agent: *\nContent-Signal: ai-train=no\nAllow: /\n"
        )
