"""Real clients through the real command, with the bundled rules: each passes or is stopped as the rules say."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.end_to_end.clients import FETCHERS, feed_entries, git_clone, lynx
from tests.end_to_end.processes import Proxyguard

APP = "ExampleApp/2.1"
"""A program that claims to be no browser: over TLS a script that does is told apart."""


OF_SCRIPTS = {
    "/profiles/1": 403,
    "/files/hello.html": 403,
    "/feed.xml": 200,
    "/api/profiles/1": 200,
    "/robots.txt": 200,
    "/.well-known/security.txt": 200,
    "/releases/hello.html": 200,
}


@pytest.mark.parametrize("client", sorted(FETCHERS))
def test_scripted_clients_get_the_feed_and_the_api_but_no_pages(guard: Proxyguard, client: str) -> None:
    statuses = FETCHERS[client]([guard.url + path for path in OF_SCRIPTS])
    assert dict(zip(OF_SCRIPTS, statuses, strict=True)) == OF_SCRIPTS


def test_git_clones_over_smart_http(guard: Proxyguard, folder: Path) -> None:
    assert git_clone(f"{guard.url}/git/notes.git", folder / "clone", guard.authority) == "Notes on bread.\n"


def test_a_feed_reader_reads_the_feed(guard: Proxyguard) -> None:
    assert feed_entries(f"{guard.url}/feed.xml", guard.authority) == (200, 20)


def test_a_text_browser_reads_pages(guard: Proxyguard) -> None:
    assert lynx(f"{guard.scheme}://localhost:{guard.port}/profiles/1", guard.authority) == 200


def test_a_declared_crawler_is_refused_with_a_reference_and_recorded(guard: Proxyguard) -> None:
    agent = "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)"
    answer = guard.get("/profiles/2?token=secret", headers={"User-Agent": agent})
    assert answer.status_code == 403
    assert answer.headers["cache-control"] == "no-store"
    reference = answer.headers["x-proxyguard-reference"]
    assert reference in answer.text
    assert "ai-training-crawlers" not in answer.text
    record = guard.wait_for_record(lambda record: record["reference"] == reference, "the record of the refusal")
    assert (record["action"], record["rule"], record["status"], record["network"], record["path"]) == (
        "reject", "ai-training-crawlers", 403, "127.0.0.0/24", "/profiles/2",
    )  # fmt: skip


def test_the_upstream_sees_the_host_and_the_true_client_only(guard: Proxyguard) -> None:
    forged = {
        "User-Agent": APP, "Host": "commons.example", "X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7",
        "X-Real-IP": "203.0.113.7",
    }  # fmt: skip
    seen = guard.get("/api/headers", headers=forged).json()
    headers = {name.lower(): value for name, value in seen["headers"]}
    assert headers["host"] == "commons.example"
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == guard.scheme
    assert not any("203.0.113.7" in value for value in headers.values())


def test_a_sign_up_flood_is_held_and_reading_goes_on(guard: Proxyguard) -> None:
    form = {"email": "ada@example.net", "password": "x"}
    agent = {"User-Agent": APP}
    statuses = [guard.ask("POST", "/signup", data=form, headers=agent).status_code for _ in range(5)]
    assert statuses == [200] * 5
    with (
        guard.ask("POST", "/signup", data=form, headers=agent, timeout=1, stream=True) as held,
        pytest.raises(requests.exceptions.ConnectionError, match="Read timed out"),
    ):
        b"".join(held.iter_content(1))
    assert guard.get("/profiles/1", headers=agent).status_code == 200
    record = guard.wait_for_record(lambda record: record["action"] == "tarpit", "the record of the tarpit")
    assert (record["rule"], record["status"]) == ("sign-up-flood", 200)


def test_metrics_count_what_was_decided(guard: Proxyguard) -> None:
    guard.get("/profiles/3", headers={"User-Agent": "Nikto"}, timeout=(5, 60), stream=True).close()
    metrics = guard.admin("/metrics")
    assert 'proxyguard_decisions_total{action="reject"' in metrics
    assert 'rule="http-libraries"' in metrics
    assert guard.admin("/healthz").strip()
