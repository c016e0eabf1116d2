"""Planted in every place of requests and answers, what tells of people is afterwards in nothing that is written or shown."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from tests.end_to_end.processes import Proxyguard, command, proxyguard, tell, told, wait_until
from tests.end_to_end.raw_upstream import Received, raw_upstream
from tests.paths import ROOT

PASSED: Final = "127.77.5.11"
REFUSED: Final = "127.78.6.12"
CLAIMED: Final = ("203.0.113.91", "198.51.100.92", "2001:db8:77::93")
"""Addresses that forwarding headers and PROXY headers name."""

CANARIES: Final = {
    "name": "Mustermann",
    "mail": "erika.canary@mail.example",
    "spelt": "erika.canary(at)mail.example",
    "code": "kQcanaryb7",
    "phone": "+49 170 5551234",
    "number": "4711081599021",
    "card": "4111 1111 1111 1111",
    "session": "s3ss10nC4n4ryT0k3nValue99",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlY2FuYXJ5",
    "uuid": "1b4e28ba-2fa1-11d2-883f-0016d3cca427",
    "password": "hunter2canary",
    "elsewhere": "192.0.2.94",
}

RULES: Final = """\
name: canary
rules:
  - {name: no-entry, why: Nobody may., when: {path: {contains: refuse}}, action: reject}
  - {name: sticky, why: Slow., when: {path: {contains: sticky}}, action: {tarpit: {hold: 1s, drip: 500ms}}}
  - {name: odd, why: Odd., when: {path: {contains: odd}}, action: {score: 5}}
  - {name: watched, why: Watched., when: {path: {contains: watched}}, action: reject, mode: shadow}
  - {name: too-many, why: Many., when: {path: {contains: many}}, limit: {rate: 2/hour, per: client}, action: {ban: {for: 1h}}}
  - {name: slow-down, why: Much., when: {path: {contains: page}}, limit: {rate: 1000/hour, per: [client]}, action: reject}
"""

SETTINGS: Final = """\
control: {folder}/control.sock
audit: {{passes: 1}}
trust: {{proxies: [127.0.0.1], proxy_protocol: true}}
store: {{snapshot: {folder}/state.sqlite}}
restrictions: {{file: {folder}/orders.json}}
ready_when: [upstream]
privacy: {{sealed: {folder}/sealed.jsonl, public_key: "{key}"}}
"""


def answer(connection: socket.socket, received: Received) -> None:
    """An answer full of canaries; for one path one that is malformed."""
    if b"broken" in received.line:
        connection.sendall(f"HTTP/1.1 200 {CANARIES['mail']}\r\nX-{CANARIES['name']} \x01: x\r\n\r\n".encode())
        return
    fields = "".join(f"X-{place}: {value}\r\nSet-Cookie: {place}={value}\r\n" for place, value in CANARIES.items())
    body = " ".join(CANARIES.values())
    connection.sendall(f"HTTP/1.1 200 OK\r\n{fields}Content-Length: {len(body)}\r\n\r\n{body}".encode())


def ask(port: int, source: str, target: str, *, method: str = "GET", host: str = "a.example", front: str = "") -> bytes:
    """One request full of canaries, on a connection of its own; its answer."""
    names = {place: re.sub(r"[^A-Za-z0-9-]", "-", value) for place, value in CANARIES.items()}
    everything = "&".join(f"{place}={quote(value)}" for place, value in CANARIES.items())
    fields = [
        f"Host: {host}",
        f"User-Agent: Bot ({CANARIES['mail']}; {CANARIES['phone']})",
        f"Referer: https://{CANARIES['session']}.example/{quote(CANARIES['mail'])}?{everything}",
        f"Cookie: sid={CANARIES['session']}; " + "; ".join(f"{place}={quote(value)}" for place, value in CANARIES.items()),
        f"Authorization: Bearer {CANARIES['jwt']}",
        f"X-Forwarded-For: {', '.join(CLAIMED)}",
        f"Forwarded: for={CLAIMED[0]}",
        f"From: {CANARIES['mail']}",
        *(f"X-{place}: {value}\r\nX-{names[place]}: 1" for place, value in CANARIES.items()),
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(everything)}",
        "Connection: close",
    ]
    head = "\r\n".join((f"{method} {target} HTTP/1.1", *fields))
    with socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0)) as connection:
        connection.sendall(f"{front}{head}\r\n\r\n{everything}".encode())
        parts = []
        with suppress(ConnectionResetError):
            while part := connection.recv(65536):
                parts.append(part)
        return b"".join(parts)


def targets(word: str) -> Iterator[str]:
    """Paths with canaries as they are, encoded once and twice, and in the query."""
    for place, value in CANARIES.items():
        if place in ("name", "password"):
            yield f"/{word}/users/{quote(value)}?x={quote(value)}"
        elif place == "code":
            yield f"/{word}/reset/{value}?x={value}"
        else:
            yield f"/{word}/{quote(value)}?x={quote(value)}"
            yield f"/{word}/{quote(quote(value))};sid={CANARIES['session']}?{quote(value)}"


def tell_alone(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command that asks no instance, or finds it by its settings."""
    return subprocess.run([*map(str, command(*arguments))], capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("canary")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Proxyguard]:
    """An instance after the traffic."""
    (folder / "rules").mkdir()
    (folder / "rules/canary.yaml").write_text(RULES)
    with ExitStack() as stack:
        site = stack.enter_context(raw_upstream(answer))
        made = tell_alone("privacy", "keys", "--out", str(folder / "reveal.key"))
        settings = SETTINGS.format(folder=folder, key=made.stdout.rpartition("public_key: ")[2].strip())
        guard = stack.enter_context(proxyguard(folder, site.url, rules=folder / "rules", settings=settings))
        port = guard.port
        count = 0
        for number in range(60):  # a place that no setting names: that names stand there is learned
            colleague = f"{'abcdefghij'[number // 6]}{'klmnop'[number % 6]}"
            ask(port, f"127.90.{number % 8}.5", f"/watched/staff/{colleague}")
            count += 1
        for name in (
            CANARIES["name"],
            f"{CANARIES['name']}/photos",
            f"max.{CANARIES['name']}",
            f"J%C3%BCrgen-{CANARIES['name']}",
        ):
            ask(port, REFUSED, f"/watched/staff/{name}")
            count += 1
        for word, source in (("page", PASSED), ("refuse", REFUSED), ("odd", REFUSED), ("watched", REFUSED)):
            for target in targets(word):
                assert ask(port, source, target)
                count += 1
        for number in range(4):
            ask(port, REFUSED.replace(".12", ".13"), f"/many/{number}")
        ask(port, REFUSED, f"/sticky/{quote(CANARIES['mail'])}")
        ask(port, PASSED, f"/broken/{quote(CANARIES['mail'])}")
        ask(port, PASSED, "/page", host=CANARIES["elsewhere"])
        ask(port, PASSED, "/page", host=f"{CANARIES['session']}.example")
        ask(port, REFUSED, "/page", method=CANARIES["session"])
        ask(port, REFUSED, f"/page {CANARIES['mail']}")
        ask(port, REFUSED, f"http://{CANARIES['elsewhere']}/refuse")
        for address in CLAIMED:
            kind = "TCP6" if ":" in address else "TCP4"
            here = "::1" if ":" in address else "127.0.0.1"
            ask(port, "127.0.0.1", "/page/proxied", front=f"PROXY {kind} {address} {here} 4000 80\r\n")
        ask(port, "127.0.0.1", "/page", front=f"PROXY TCP4 {CANARIES['mail']} {CLAIMED[0]} 1 2\r\n")
        for record in range(2):
            wait_until(lambda: len(guard.records()) > count + 8, f"all is recorded ({record})")
        tell(folder, "bans", "add", CLAIMED[1], "--for", "1h")
        yield guard


@pytest.fixture(scope="module")
def written(running: Proxyguard, folder: Path) -> dict[str, str]:
    """Everything that is written or shown, by its name."""
    report = ("report", "--audit", str(running.audit), "--html", str(folder / "alone.html"))
    shown = {
        **{f"top {window}": tell(folder, "top", "--once", "--json", "--window", window).stdout for window in ("minute", "hour")},
        "status": tell(folder, "status", "--json").stdout + tell(folder, "status").stdout,
        "bans": tell(folder, "bans", "list").stdout + tell(folder, "bans", "list", "--json").stdout,
        "shadow": tell(folder, "shadow", "report", "--full").stdout,
        "restrict": tell(folder, "restrict", "list", "--json").stdout,
        "report": tell(folder, "report").stdout + tell(folder, "report", "--json").stdout,
        "report of the log": tell_alone(*report).stdout,
        "metrics": running.admin("/metrics"),
    }
    reference = next(record["reference"] for record in running.records() if record["rule"] == "no-entry")
    looked_up = ("explain", "--reference", reference, "--audit", str(running.audit), "--rules", str(folder / "rules"))
    shown["explain"] = tell_alone(*looked_up).stdout
    wait_until(lambda: "too-many" in shown["bans"], "a ban")
    files = {
        path.name: path.read_bytes().decode("latin-1")
        for path in folder.iterdir()
        if path.is_file() and path.name not in ("proxyguard.yaml", "state.sqlite.key", "reveal.key")
    }
    return {**shown, **files}


def test_there_is_enough_to_look_through(written: dict[str, str]) -> None:
    assert len(written) >= 14
    assert all(len(text) > 20 for name, text in written.items() if name not in ("state.sqlite-shm", "proxyguard.log")), (
        written.keys()
    )
    assert "[e-mail]" in written["audit.jsonl"]
    assert "no-entry" in written["explain"]
    assert re.search("c-[0-9a-f]{12}", written["bans"])


def spellings(value: str) -> set[str]:
    solid = re.sub(r"[^0-9A-Za-z]", "", value)
    return {each.lower() for each in (value, quote(value), quote(quote(value)), quote(value, safe=""), solid)}


@pytest.mark.parametrize("place", CANARIES)
def test_no_canary_is_anywhere(place: str, written: dict[str, str]) -> None:
    found = [
        (name, spelling, text[max(0, at - 80) : at + 80])
        for name, text in written.items()
        for spelling in spellings(CANARIES[place])
        if (at := text.lower().find(spelling)) >= 0
    ]
    assert found == []


@pytest.mark.parametrize("address", [PASSED, REFUSED, REFUSED.replace(".12", ".13"), *CLAIMED])
def test_no_address_of_a_client_is_anywhere(address: str, written: dict[str, str]) -> None:
    looked_for = re.compile(rf"(?<![\d.]){re.escape(address)}(?![\d.])")
    found = [(name, looked_for.findall(text)) for name, text in written.items() if looked_for.search(text)]
    assert found == []


def test_a_pseudonym_is_enough_to_act(running: Proxyguard, folder: Path) -> None:
    record = running.wait_for_record(lambda found: found["score"] > 0, "a record of a flagged client")
    pseudonym = record["client"]
    banned = tell(folder, "bans", "add", pseudonym, "--for", "1h")
    assert banned.returncode == 0, banned.stderr
    assert f"client:{pseudonym}" in banned.stdout
    assert ask(running.port, REFUSED, "/page/after").startswith(b"HTTP/1.1 403")
    lifted = tell(folder, "bans", "remove", f"client:{pseudonym}")
    assert (lifted.returncode, lifted.stdout) == (0, f"client:{pseudonym} is no longer banned\n")
    assert ask(running.port, REFUSED, "/page/after").startswith(b"HTTP/1.1 200")


def test_what_a_person_asks_for_is_found_revealed_and_erased(running: Proxyguard, folder: Path) -> None:
    """After all the others: it erases what they look at."""
    logs = ("--audit", str(running.audit), "--sealed", str(folder / "sealed.jsonl"))
    person = (REFUSED, *logs)
    found = told(folder, "privacy", "find", *person)
    records = sum(found["records"].values())
    assert records > 30
    assert sum(found["sealed"].values()) > 0
    record = next(record for record in running.records() if record["score"] > 0)
    key = ("--key", f"{folder}/reveal.key", "--reason", "case 17", *logs)
    revealed = told(folder, "privacy", "reveal", record["reference"], *key)
    assert [each["address"] for each in revealed["found"]] == [REFUSED]
    plain = [each for each in running.records() if each.get("rule") == "default"]
    passed = next(each for each in plain if not (each["score"] or each["shadow"]))
    nobody = tell(folder, "privacy", "reveal", passed["client"], *key)
    assert nobody.returncode == 1
    assert PASSED not in nobody.stdout
    assert tell(folder, "privacy", "erase", *person, "--reason", "request 12").returncode == 1
    again = told(folder, "privacy", "find", *person)
    assert again["records"] == found["records"]
    assert sum(again["sealed"].values()) >= sum(found["sealed"].values())  # what waits to be sealed is written meanwhile
    erased = tell(folder, "privacy", "erase", *person, "--reason", "request 12", "--yes")
    assert erased.returncode == 0, erased.stderr
    left = told(folder, "privacy", "find", *person)
    assert (left["records"], left["sealed"]) == ({}, {})
    wait_until(lambda: [each["kind"] for each in running.records() if "who" in each] == ["reveal", "reveal", "erase"], "notices")
    verified = tell_alone("privacy", "verify", "--audit", str(running.audit))
    assert verified.stdout.endswith(f"{records} of them erased by request\nthe chain holds\n"), verified
