"""Two instances and a real Valkey or Redis: one count for all. What happens while the server is gone is test_store_chaos's."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
from pathlib import Path

import pytest

from tests.contracts.servers import valkey
from tests.end_to_end.processes import Proxyguard, proxyguard, wait_until

RULES = """
name: shared
rules:
  - {name: hourly, when: {path: {prefix: /profiles}}, limit: {rate: 60/hour, per: [site]}, action: reject}
  - {name: scan, limit: {rate: 3/hour, count: {status: 404}, per: [header.x-client], missing: skip}, action: reject}
  - name: many
    limit: {rate: 3/day, window: calendar, count: {distinct: query.q}, per: [header.x-reader], missing: skip}
    action: reject
"""

BACK_SECONDS = 15.0


def settings(socket: Path, timeout: str, on_down: str = "local", workers: int = 1) -> str:
    store = f"store: {{url: 'unix://{socket}', timeout: {timeout}, on_down: {on_down}}}"
    return f"{store}\nworkers: {workers}\nkey_secret: one-long-random-text-for-all-instances\n"


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rules")
    (folder / "shared.yaml").write_text(RULES)
    return folder


@pytest.fixture
def pair(tmp_path: Path, upstream: str, rules: Path) -> Iterator[tuple[Proxyguard, Proxyguard]]:
    """Two instances, one of them with two workers, on one server; nobody is in a hurry."""
    socket = tmp_path / "valkey"
    with (
        valkey(socket),
        proxyguard(tmp_path / "one", upstream, rules=rules, settings=settings(socket, "5s")) as one,
        proxyguard(tmp_path / "two", upstream, rules=rules, settings=settings(socket, "5s", workers=2)) as two,
    ):
        yield one, two


def test_two_instances_admit_exactly_the_limit_under_concurrent_load(pair: tuple[Proxyguard, Proxyguard]) -> None:
    turns = [guard for guard, _ in zip(cycle(pair), range(150), strict=False)]
    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(lambda guard: guard.get("/profiles/1").status_code, turns))
    assert {status: answers.count(status) for status in set(answers)} == {200: 60, 429: 90}


def test_what_one_instance_hears_of_a_client_the_other_knows(pair: tuple[Proxyguard, Proxyguard]) -> None:
    one, two = pair
    scanner, reader = {"X-Client": "scanner"}, {"X-Reader": "ada"}
    assert [one.get(f"/no-such-page-{number}", headers=scanner).status_code for number in range(3)] == [404] * 3
    wait_until(lambda: two.get("/no-such-page", headers=scanner).status_code == 429, "a refusal by the other", within=2)
    assert two.get("/no-such-page", headers={"X-Client": "somebody-else"}).status_code == 404
    answers = [
        guard.get(f"/?q={word}", headers=reader).status_code for guard, word in zip(cycle(pair), "aabbccdda", strict=False)
    ]
    assert answers == [200, 200, 200, 200, 200, 200, 429, 429, 200]


def test_nothing_is_asked_of_a_server_that_was_never_there(tmp_path: Path, upstream: str, rules: Path) -> None:
    chosen = settings(tmp_path / "nothing", "200ms", "closed")
    with proxyguard(tmp_path / "guard", upstream, rules=rules, settings=chosen) as guard:
        assert guard.get("/").status_code == 200
        assert guard.get("/profiles/1").status_code == 503
        with valkey(tmp_path / "nothing"):
            wait_until(lambda: guard.get("/profiles/1").status_code == 200, "counting", within=BACK_SECONDS)
