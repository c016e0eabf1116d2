"""A shadow rule on the real thing: reported, refused, promoted by force, and back in shadow by itself when it stops people."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.end_to_end.processes import Proxyguard, proxyguard, tell, told, wait_until

RULES = """\
# Kept as it is.
name: house
classes:
  - {name: signed-in, when: {cookie.session: present}}
rules:
  - name: no-exports      # since the raid
    when: {path: {prefix: /export/}}
    action: {reject: {status: 410}}
    mode: shadow
"""


def ask(guard: Proxyguard, client: int, path: str, cookie: str = "") -> int:
    """The status that a client of its own address gets."""
    with socket.create_connection(("127.0.0.1", guard.port), 20, source_address=(f"127.0.9.{client}", 0)) as connection:
        lines = [f"GET {path} HTTP/1.1", "Host: example.org", "User-Agent: x", "Connection: close"]
        lines += [f"Cookie: session={cookie}"] if cookie else []
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_shadow_rule_is_reported_guarded_promoted_and_rolled_back(folder: Path, upstream: str, workers: int) -> None:
    rules = folder / "rules"
    rules.mkdir()
    (rules / "10.yaml").write_text(RULES)
    settings = f"workers: {workers}\ncontrol: {folder}/control.sock\n"
    with proxyguard(folder / "guard", upstream, rules=rules, settings=settings) as guard:
        for client in range(1, 21):
            ask(guard, client, "/export/all", cookie="ada" if client <= 8 else "")
        for client in range(1, 11):
            ask(guard, client, "/robots.txt", cookie="ada")
        report = told(folder, "shadow", "report")
        assert report["protected_clients_seen"] == 10
        assert [
            (each["rule"], each["requests"], each["clients"], each["networks"], each["protected_clients"], each["top"])
            for each in report["rules"]
        ] == [("no-exports", 20, 20, 1, 8, [{"name": "127.0.9.0/24", "requests": 20}])]
        table = tell(folder, "shadow", "report").stdout
        assert "8 (40.0% of requests)" in table
        assert "127.0.9.0/24 20" in table

        refused = tell(folder, "promote", "no-exports")
        assert refused.returncode == 1
        assert "8 of 10 clients of protected classes (80.0%; allowed 1.0%)" in refused.stderr
        assert "127.0.9.0/24: 8 requests of protected clients" in refused.stderr
        assert (rules / "10.yaml").read_text() == RULES
        assert tell(folder, "promote", "no-exports", "--dry-run").returncode == 1

        done = tell(folder, "promote", "no-exports", "--force")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"no-exports acts from now on ({rules}/10.yaml:9)\n")
        assert (rules / "10.yaml").read_text() == RULES.replace("mode: shadow", "mode: enforce")
        assert ask(guard, 20, "/export/all") == 410
        assert list(told(folder, "status")["promotions"]["watched"]) == ["no-exports"]

        assert ask(guard, 1, "/export/all", cookie="ada") == 410
        wait_until(lambda: ask(guard, 1, "/export/all", cookie="ada") != 410, "the roll-back")
        wait_until(lambda: (rules / "10.yaml").read_text() == RULES, "the roll-back in the file")
        wait_until(lambda: not told(folder, "status")["promotions"]["held_in_shadow"], "the end of the hold")
        status = told(folder, "status")
        assert [each["rule"] for each in status["promotions"]["rolled_back"]] == ["no-exports"]
        assert status["promotions"]["watched"] == {}
        assert "rolled back      no-exports, " in tell(folder, "status").stdout
        assert "rule no-exports is back in shadow" in guard.said()
        assert 'proxyguard_rollbacks_total{rule="no-exports"} 1.0' in guard.admin("/metrics")


def test_demote_works_at_once_even_where_the_file_cannot_be_written(folder: Path, upstream: str) -> None:
    rules = folder / "rules"
    rules.mkdir()
    enforced = RULES.replace("    mode: shadow\n", "")
    (rules / "10.yaml").write_text(enforced)
    (rules / "20.yaml").write_text("name: other\nrules: [{name: other, when: {path: /other}, action: drop}]\n")
    settings = f"control: {folder}/control.sock\n"
    with proxyguard(folder / "guard", upstream, rules=rules, settings=settings) as guard:
        assert ask(guard, 1, "/export/all") == 410
        (rules / "20.yaml").write_text("name: [\n")  # somebody's half-done edit keeps the directory from loading
        done = tell(folder, "demote", "no-exports")
        assert done.returncode == 0
        assert done.stdout.startswith("no-exports is in shadow in memory only; its file still says otherwise:\n")
        assert ask(guard, 1, "/export/all") != 410
        assert (rules / "10.yaml").read_text() == enforced
        assert told(folder, "status")["promotions"]["held_in_shadow"] == ["no-exports"]
