"""`proxyguard bans` over a real control socket, to the store of an instance: what is banned, and what is said."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from time import time
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli import main
from proxyguard.core.address import Prefixes
from proxyguard.core.decision import Drop, Reject, Tarpit
from proxyguard.core.pseudonym import Pseudonyms
from proxyguard.core.settings import Settings
from proxyguard.instance.control.ban_keys import BanKeys
from proxyguard.instance.control.ban_names import BanNames
from proxyguard.instance.control.client import send_command
from proxyguard.instance.control.commands import ControlCommands
from proxyguard.instance.control.server import Command, ControlServer
from proxyguard.limits.stores.open import MemoryBackend
from proxyguard.limits.stores.store import BanTerms

UNSAVED = "  it ends with this instance: the setting store.snapshot would keep it\n"


class Instance:
    """What answers at a control socket: the operations on a store, and rules that ban by an API key."""

    ready = True

    def __init__(self, control: Path) -> None:
        self.control = control
        self.books = MemoryBackend(Settings())
        self.store = self.books.memory
        reloader: Any = SimpleNamespace(current=SimpleNamespace(banned_by=frozenset({"header.x-api-key"})))
        commands = ControlCommands(
            self.books, BanKeys(b"secret", Prefixes()), reloader, self, reloader, BanNames(Pseudonyms(b"secret"), is_clear=True)
        )
        self.commands: Mapping[str, Command] = commands.commands

    async def whose(self, pseudonym: str) -> str | None:
        return "192.0.2.7" if pseudonym == "c-0123456789ab" else None

    async def ban_hits(self, keys: list[str]) -> dict[str, tuple[int, float]]:
        return {key: (44, time()) for key in keys if key == "client:192.0.2.7"}

    async def missing(self) -> list[str]:
        return []

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        return b"", accept

    async def status(self) -> dict[str, Any]:
        return {}

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["bans", *arguments, "--control", str(self.control)])

    def banned(self) -> dict[str, tuple[float, object, str]]:
        """What is in force: by key the seconds left, what the banned get, and the note."""
        now = time()
        return {each.key: (round(each.until - now), each.then, each.note) for each in self.store.bans(now)}


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    instance = Instance(tmp_path / "control.sock")
    serving, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        server = ControlServer(instance, None, instance.control)
        server.start()
        loops.append(asyncio.get_running_loop())
        serving.set()
        await stop.wait()
        server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert serving.wait(30)
    yield instance
    loops[0].call_soon_threadsafe(stop.set)
    thread.join(30)


def test_an_address_is_banned_and_listed_and_lifted(instance: Instance) -> None:
    done = instance.run("add", "2001:db8:7::1", "--for", "2h", "--note", "ticket 4711", "--then", "tarpit")
    assert re.fullmatch(
        r"client:2001:db8:7::/64 is banned until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(tarpit\)\n" + UNSAVED, done.output
    )
    assert instance.banned() == {"client:2001:db8:7::/64": (7200, Tarpit(), "ticket 4711")}
    listed = instance.run("list").output
    headings = {"banned", "until", "(UTC)", "by", "rule", "gets", "times", "refused", "last", "seen", "note"}
    assert headings <= set(listed.split())
    assert {"client:2001:db8:7::/64", "operator", "tarpit", "1", "ticket", "4711"} <= set(listed.split())
    assert instance.run("remove", "2001:db8:7::2").output == "client:2001:db8:7::/64 is no longer banned\n"
    assert instance.run("list").output == "no bans are in force\n"


def test_of_a_full_table_only_those_are_looked_at_that_are_asked_for(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time()
    looked_at: list[str] = []
    for number in range(300):
        terms = BanTerms(1000.0 + number * 7 % 300, Reject())
        instance.store.ban(f"client:192.0.2.{number}", "rule", "reason", terms, now)

    async def ban_hits(keys: list[str]) -> dict[str, tuple[int, float]]:
        looked_at.extend(keys)
        return {}

    monkeypatch.setattr(instance, "ban_hits", ban_hits)
    answer = send_command(instance.control, "bans-list", {"most": 20})
    ends = [ban["until"] for ban in answer["bans"]]
    whole = send_command(instance.control, "bans-list")
    assert (len(ends), answer["total"]) == (20, 300)
    assert ends == sorted((ban["until"] for ban in whole["bans"]), reverse=True)[:20]
    assert len(looked_at) == 20 + 300


def test_a_pseudonym_is_whom_the_workers_know_by_it_and_the_list_says_how_often_it_came_back(instance: Instance) -> None:
    assert instance.run("add", "c-0123456789ab", "--for", "1h").output.startswith("client:192.0.2.7 is banned until ")
    (ban,) = json.loads(instance.run("list", "--json").output)["bans"]
    assert (ban["key"], ban["hits"], ban["last_seen"] is not None) == ("client:192.0.2.7", 44, True)
    assert " 44 " in instance.run("list").output
    assert instance.run("remove", "c-0123456789ab").exit_code == 0
    unknown = instance.run("add", "c-00000000000a", "--for", "1h")
    assert unknown.exit_code == 1
    assert "no client of today or yesterday is known by the pseudonym c-00000000000a" in unknown.output


def test_a_network_is_as_many_bans_as_it_takes_and_is_lifted_whole(instance: Instance) -> None:
    done = instance.run("add", "203.0.112.0/22", "--for", "30m", "--then", "drop")
    assert done.output.startswith("203.0.112.0/22 (4 bans) are banned until ")
    assert instance.banned() == {f"network:203.0.{third}.0/24": (1800, Drop(), "") for third in range(112, 116)}
    instance.run("remove", "network:203.0.113.0/24")
    assert instance.run("remove", "203.0.112.0/22").output.startswith("203.0.112.0/22 (3 bans) are no longer banned\n")
    assert instance.banned() == {}


def test_a_value_is_banned_by_its_hash(instance: Instance) -> None:
    assert instance.run("add", "header.X-Api-Key=3f7ab1", "--for", "7d").exit_code == 0
    (key,) = instance.banned()
    assert re.fullmatch("header.x-api-key:[0-9a-f]{16}", key)
    assert instance.run("remove", key).exit_code == 0


def test_what_an_operator_says_takes_the_place_of_a_ban_in_force(instance: Instance) -> None:
    instance.store.ban("client:192.0.2.7", "sign-up-flood", "", BanTerms(60.0, Reject()), time())
    done = instance.run("add", "192.0.2.7", "--for", "7d", "--then", "drop")
    assert "\n  in place of 1 in force\n" in done.output
    assert instance.banned() == {"client:192.0.2.7": (604_800, Drop(), "")}


def test_answers_as_json(instance: Instance) -> None:
    added = json.loads(instance.run("add", "192.0.2.7", "--for", "1h", "--json").output)
    assert (added["bans"][0]["key"], added["replaced"], added["saved"]) == ("client:192.0.2.7", 0, False)
    met = {"hits": 44, "last_seen": ANY}
    assert [ban | met for ban in added["bans"]] == json.loads(instance.run("list", "--json").output)["bans"]
    removed = instance.run("remove", "192.0.2.7", "--json")
    assert (json.loads(removed.output)["removed"], removed.exit_code) == (["client:192.0.2.7"], 0)
    again = instance.run("remove", "192.0.2.7", "--json")
    assert (json.loads(again.output)["removed"], again.exit_code) == ([], 1)


def fill(instance: Instance) -> None:
    now = time()
    for key, note in (("client:192.0.2.7", "deny all;\n\x1b[2J"), ("network:2001:db8::/48", ""), ("header.x:ab", "")):
        instance.store.ban(key, "flood", "", BanTerms(3600.0 - len(key), Reject(), note=note), now)
    instance.store.put_note("override:slow", "{}", now + 3600.0, now)


def test_bans_are_exported_for_other_programs(instance: Instance) -> None:
    fill(instance)
    lines = instance.run("export").output.splitlines()
    assert [json.loads(line)["key"] for line in lines] == ["header.x:ab", "client:192.0.2.7", "network:2001:db8::/48"]
    nginx = instance.run("export", "--format", "nginx")
    assert [line.split("#")[0].rstrip() for line in nginx.stdout.splitlines()] == ["deny 192.0.2.7;", "deny 2001:db8::/48;", ""]
    assert re.search(r"^deny 192\.0\.2\.7;  # until \S+ \S+ UTC, flood deny all;\\n\\x1b\[2J$", nginx.stdout, re.MULTILINE)
    assert nginx.stderr == "left out: 1 bans of something else than an address\n"
    text = instance.run("export", "--format", "text").stdout.splitlines()
    assert [line.split("#")[0].rstrip() for line in text] == ["192.0.2.7", "2001:db8::/48", ""]


def test_an_export_is_a_list_that_rules_can_read(instance: Instance, tmp_path: Path) -> None:
    fill(instance)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "banned.txt").write_text(instance.run("export", "--format", "text").stdout)
    (tmp_path / "r.yaml").write_text(
        "name: r\nlists: {banned: {file: lists/banned.txt}}\n"
        "rules: [{name: known, why: Banned elsewhere., when: {client: $banned}, action: reject}]\n"
        "tests: [{request: {client: 192.0.2.7}, expect: reject by known}]\n"
    )
    done = CliRunner().invoke(main, ["test", str(tmp_path)])
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, f"{tmp_path}: 1 test passed"), done.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add", "192.0.2.7"), 2, "Missing option '--for'"),
        (("add", "192.0.2.7", "--for", "soon"), 2, "'soon' is not a number and a unit"),
        (("add", "192.0.2.7", "--for", "1h", "--then", "block"), 2, "'block' is not one of 'reject', 'tarpit', 'drop'"),
        (("add", "192.0.2.7", "--for", "0s"), 1, "a ban lasts more than 0 and at most 315360000 seconds, not 0.0"),
        (("add", "example.com", "--for", "1h"), 1, "'example.com' is neither an address, nor a network"),
        (("add", "cookie.a=b", "--for", "1h"), 1, "no rule bans by cookie.a, so nobody would look at a ban"),
        (("remove", "192.0.2.7"), 1, "client:192.0.2.7 was not banned"),
        (("remove", "192.0.2.0/28"), 1, "nothing of 192.0.2.0/28 was banned"),
        (("remove", "10.0.0.0/8"), 1, "action: reject; to lift bans, name each as `bans list` shows it"),
        (("remove", "c-00000000000a"), 1, "by the pseudonym c-00000000000a\n  hint: name its address or its network"),
        (("export", "--format", "xml"), 2, "'xml' is not one of 'json', 'text', 'nginx'"),
    ],
)
def test_what_cannot_be_done_says_why(instance: Instance, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = instance.run(*arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert words in done.stderr
    assert instance.banned() == {}


def test_without_an_instance_it_says_where_it_looked(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["bans", "list", "--control", str(tmp_path / "none")])
    assert done.exit_code == 1
    assert f"no instance is running with the control socket {tmp_path / 'none'}" in done.stderr
