"""What is found out about settings before an instance starts: place, weight and words of each."""

from __future__ import annotations

import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxyguard.core.origin_settings import OriginTables
from proxyguard.instance.preflight.concern import Weight
from proxyguard.instance.preflight.run import Weighed, check_settings
from proxyguard.instance.preflight.unanswered import unanswered
from proxyguard.policy.load import load_policy
from proxyguard.settings.file import read_as_given
from tests.paths import BUNDLED_RULES

UPSTREAM = "upstream: http://192.0.2.1:9000\n"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (65_536, 65_536))
    monkeypatch.setattr(socket, "getaddrinfo", known_names(socket.getaddrinfo))


def known_names(ask: Callable[..., Any]) -> Callable[..., Any]:
    """A name server that knows one name of this machine, and nobody else's."""

    def answer(host: str | None, *rest: Any, **more: Any) -> Any:
        if host == "this-machine.example":
            return ask("127.0.0.1", *rest, **more)
        if host in (None, "localhost", "::", "::1") or str(host)[:1].isdigit():
            return ask(host, *rest, **more)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    return answer


def weighed(text: str, **environ: str) -> list[Weighed]:
    Path("proxyguard.yaml").write_text(text)
    found = read_as_given(None, environ)
    return check_settings(found)


def told(text: str, **environ: str) -> list[str]:
    return [f"{each.problem.place} {each.weight.name}: {each.problem.message}" for each in weighed(text, **environ)]


CASES = {
    "listen: 127.0.0.1:18080\nadmin: 127.0.0.1:18080\n":
        "2:8 FATAL: admin (127.0.0.1:18080) and listen (127.0.0.1:18080) are the same address",
    "listen: ['127.0.0.1:18080', '0.0.0.0:18080']\n": "1:29 FATAL: listen has 0.0.0.0:18080, which 127.0.0.1:18080 takes already",
    "listen: '[::]:9901'\n": "proxyguard.yaml FATAL: admin (127.0.0.1:9901) and listen ([::]:9901) are the same address",
    "listen: localhost:18080\nadmin: 127.0.0.1:18080\n":
        "2:8 FATAL: admin (127.0.0.1:18080) and listen (localhost:18080) are the same address",
    "listen: 192.0.2.77:18080\n": "1:9 FATAL: listen 192.0.2.77:18080: this machine does not have the address 192.0.2.77",
    "listen: web.internal:18080\n": "1:9 FATAL: listen web.internal:18080: the name web.internal has no address here",
    "listen: unix:/nowhere/at/all.sock\n": "1:9 FATAL: listen unix:/nowhere/at/all.sock: there is no folder /nowhere/at",
    "upstream: http://localhost:8080\n":
        "1:11 FATAL: the upstream http://localhost:8080 is where proxyguard itself listens (0.0.0.0:8080)",
    "upstream: ['http://192.0.2.1', 'http://this-machine.example:8080']\n":
        "1:32 FATAL: the upstream http://this-machine.example:8080 is where proxyguard itself listens (0.0.0.0:8080)",
    "listen: unix:/tmp/a\nupstream: unix:///tmp/a\n":
        "2:11 FATAL: the upstream unix:/tmp/a is where proxyguard itself listens (unix:/tmp/a)",
    "upstream: http://127.0.0.1:9901\n": "1:11 FATAL: the upstream http://127.0.0.1:9901 is the admin port of proxyguard",
    "sites:\n  - {hosts: a.example, upstream: 'http://192.0.2.1'}\n  - {hosts: b.example, upstream: 'http://127.0.0.1:8080'}\n":
        "3:34 FATAL: the upstream http://127.0.0.1:8080 is where proxyguard itself listens (0.0.0.0:8080)",
    "trust: {proxies: [0.0.0.0/0]}\n": "1:18 DOUBT: trust.proxies has 0.0.0.0/0: whoever connects may say who the client is",
    "trust: {proxies: ['::/0']}\n": "1:18 DOUBT: trust.proxies has ::/0: whoever connects may say who the client is",
    "trust: {proxies: [0.0.0.0/1, 128.0.0.0/1]}\n":
        "1:18 DOUBT: trust.proxies has 0.0.0.0/1, 128.0.0.0/1: whoever connects may say who the client is",
    "audit: {path: nowhere/audit.jsonl}\n": "1:15 FATAL: audit.path nowhere/audit.jsonl: there is no folder nowhere",
    "audit: {path: .}\n": "1:15 FATAL: audit.path .: it is a folder",
    "store: {snapshot: nowhere/a.snap}\n":
        "1:19 LOSS: store.snapshot nowhere/a.snap: there is no folder nowhere, so bans and counts end with the instance",
    "key_secret: 0123456789abcdef\nstore: {url: redis://127.0.0.1:1, learned: nowhere/a}\n":
        "2:44 LOSS: store.learned nowhere/a: there is no folder nowhere, so what was learned ends with the instance",
    "store: {snapshot: /proc/a.snap}\n":
        "1:19 LOSS: store.snapshot /proc/a.snap: nothing can be written in /proc: no such file or directory, so bans and counts "
        "end with the instance",
    "restrictions: {file: ..}\n":
        "1:22 LOSS: restrictions.file ..: it is a folder, so restrictions given by command end with the instance",
    "buffering: {directory: proxyguard.yaml}\n":
        "1:24 LOSS: buffering.directory proxyguard.yaml: proxyguard.yaml is not a folder; responses are not held there, and the "
        "site waits for slow clients",
    "origin: {directory: nowhere}\n": "1:21 DOUBT: origin.directory nowhere: there is no such folder",
    "origin: {directory: proxyguard.yaml}\n": "1:21 LOSS: origin.directory proxyguard.yaml: it is not a folder",
    "origin: {country_file: proxyguard.yaml}\n":
        "1:24 LOSS: proxyguard.yaml is no table of addresses: it is not in MaxMind's format (MMDB)",
    "control: nowhere/c.sock\n": "1:10 FATAL: control nowhere/c.sock: there is no folder nowhere",
    "bounds: {connections: 900000}\n":
        "1:23 DOUBT: bounds.connections is 900000, and this user may open 65536 files: 48960 connections at once",
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES.items(), ids=CASES)
def test_one_mistake(text: str, expected: str) -> None:
    text += "" if "upstream:" in text else UPSTREAM
    assert [each.removeprefix("proxyguard.yaml:") for each in told(text)] == [expected]


FINE = (
    "listen: 127.0.0.1:18080\nadmin: '[::1]:18080'\n", "listen: ['127.0.0.1:18080', '127.0.0.2:18080']\n",
    "trust: {proxies: [10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 2001:db8::/32]}\n", "upstream: http://127.0.0.1:8081\n",
    "listen: 127.0.0.1:18080\nupstream: http://192.0.2.1:18080\n", "audit: {path: audit.jsonl}\n",
    "store: {snapshot: a.snap}\nrestrictions: {file: b.json}\nbuffering: {directory: .}\n", "upstream: http://nobody.example:8080\n",
)  # fmt: skip


@pytest.mark.parametrize("text", FINE)
def test_what_is_right_is_not_complained_of_and_leaves_nothing_behind(text: str) -> None:
    assert told(text + ("" if "upstream:" in text else UPSTREAM)) == []
    assert [path.name for path in Path().iterdir()] == ["proxyguard.yaml"]


def test_what_rests_on_a_setting_that_cannot_be_read_is_left_out() -> None:
    """The default of a setting says nothing of what was meant."""
    assert told("listen: 8080x\nupstream: http://127.0.0.1:8080\n") == []
    assert told("listen: 127.0.0.1:18080\nadmin: [\nupstream: http://127.0.0.1:9901\n") == []


def test_a_variable_is_the_place_when_it_said_so() -> None:
    [found] = weighed(UPSTREAM, PROXYGUARD_AUDIT_PATH="nowhere/x")
    assert (found.problem.place, found.weight) == ("PROXYGUARD_AUDIT_PATH", Weight.FATAL)


def test_rules_about_places_that_no_table_knows_are_named_but_for_bundled_ones(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "name: mine\nimport: bundled\nrules:\n"
        "  - {name: from-there, when: {country: DE}, action: reject}\n"
        "  - {name: by-owner, limit: {rate: 5/minute, per: [asn]}, action: reject}\n"
        "  - {name: resting, mode: 'off', when: {country: DE}, action: reject}\n"
        "  - {name: by-kind, when: {network_kind: hosting}, action: reject}\n"
    )
    policy = load_policy(tmp_path).policy
    assert policy is not None
    assert [(each.line, each.message) for each in unanswered(policy, OriginTables())] == [
        (4, "'from-there' asks for country, and it is never known: there is no table of countries"),
        (5, "'by-owner' asks for asn, and it is never known: there is no table of autonomous systems"),
    ]
    tables = OriginTables(country=tmp_path / "country.mmdb")
    assert [each.line for each in unanswered(policy, tables)] == [5]
    copies = load_policy(BUNDLED_RULES).policy
    assert copies is not None
    assert unanswered(copies, OriginTables()) == []
