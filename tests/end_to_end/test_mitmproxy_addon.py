"""The addon in a real mitmdump and mitmweb: refusals before bodies, tarpits, drops, delays, reloads, what mitmweb shows."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.end_to_end.mitmdump import Mitmproxy, mitmproxy, start
from tests.end_to_end.processes import wait_until
from tests.end_to_end.raw_upstream import RawUpstream, raw_upstream
from tests.ports import free_port

RULES = """\
name: addon
rules:
  - name: no-uploads
    why: Nobody uploads here.
    when: {path: /refused}
    action: reject
  - name: slowly
    when: {path: /slow}
    action: {tarpit: {hold: 2s, drip: 200ms}}
  - name: gone
    when: {path: /gone}
    action: drop
  - name: later
    when: {path: /later}
    action: {delay: 300ms}
  - name: in-shadow
    when: {path: /ghost}
    action: reject
    mode: shadow
  - name: banned-at-once
    when: {path: /banned}
    action: {ban: {for: 1h}}
"""

BODY_BYTES = 50_000_000
"""More than any buffer between the two ends holds."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with raw_upstream() as made:
        yield made


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "addon.yaml").write_text(RULES)
    return folder


@pytest.fixture
def web(tmp_path: Path, upstream: RawUpstream, rules: Path) -> Iterator[Mitmproxy]:
    """mitmweb with the addon; its own pages at `web_port`."""
    upstream.whole.clear()
    port = free_port()
    pages = ("--no-web-open-browser", "--web-port", str(port), "--set", "web_password=word")
    with mitmproxy(tmp_path, upstream.url, "--set", f"proxyguard_rules={rules}", *pages, tool="mitmweb") as running:
        running.wait_for(lambda: "proxyguard: rules in" in running.said(), "the addon is loaded")
        running.web_port = port
        yield running


def flows(web: Mitmproxy) -> dict[str, dict[str, Any]]:
    """What mitmweb shows, by path."""
    answer = requests.get(f"http://127.0.0.1:{web.web_port}/flows", params={"token": "word"}, timeout=10)
    return {flow["request"]["path"]: flow for flow in answer.json()}


def chosen(web: Mitmproxy, filter_: str) -> bytes:
    """The flows that a filter of mitmproxy's chooses, as a file of flows."""
    url = f"http://127.0.0.1:{web.web_port}/flows/dump"
    return requests.get(url, params={"token": "word", "filter": filter_}, timeout=10).content


def test_decisions_are_carried_out_and_shown(web: Mitmproxy, upstream: RawUpstream) -> None:
    assert requests.get(web.url + "/ok", timeout=10).status_code == 200
    assert requests.get(web.url + "/refused", timeout=10).status_code == 403
    assert requests.get(web.url + "/ghost", timeout=10).status_code == 200
    with pytest.raises(requests.ConnectionError):
        requests.get(web.url + "/gone", timeout=10)
    before = time.monotonic()
    assert requests.get(web.url + "/later", timeout=10).status_code == 200
    assert time.monotonic() - before >= 0.3
    tarpit = requests.get(web.url + "/slow", timeout=10)
    assert tarpit.status_code == 200
    assert tarpit.text.partition("<ul>\n")[2].startswith("<li>")
    assert requests.get(web.url + "/banned", timeout=10).status_code == 403
    assert requests.get(web.url + "/ok2", timeout=10).status_code == 403
    assert [received.line for received in upstream.whole] == [
        b"GET /ok HTTP/1.1", b"GET /ghost HTTP/1.1", b"GET /later HTTP/1.1",
    ]  # fmt: skip
    shown = {path: (flow["marked"], flow["comment"]) for path, flow in flows(web).items()}
    assert shown == {
        "/ok": ("", "pass by default"),
        "/refused": ("⛔", "reject by no-uploads: Nobody uploads here."),
        "/ghost": ("👻", "pass by default; in shadow: reject by in-shadow"),
        "/gone": ("✂", "drop by gone"),
        "/later": ("⌛", "delay by later"),
        "/slow": ("🐌", "tarpit by slowly"),
        "/banned": ("🔒", "ban by banned-at-once"),
        "/ok2": ("🔒", "ban by banned-at-once"),
    }
    assert b"/refused" in chosen(web, "~comment 'reject by no-uploads'")
    assert b"/ok" not in chosen(web, "~marker no_entry")
    assert b"/ghost" in chosen(web, "~meta 'proxyguard_shadow: reject by in-shadow'")


def test_a_body_is_not_waited_for(web: Mitmproxy, upstream: RawUpstream) -> None:
    """The answer comes when next to nothing of the body has been sent, and the connection is closed in the end."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as connection:
        head = b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES
        connection.sendall(head + b"x" * 10_000)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 403 ")
        with pytest.raises(OSError):  # noqa: PT012 - whichever of the two notices
            for _ in range(BODY_BYTES // 65536):
                connection.sendall(b"x" * 65536)
    assert upstream.whole == []
    shown = flows(web)["/refused"]
    assert (shown["request"]["host"], shown["request"]["port"]) == ("127.0.0.1", upstream.port)
    assert ["Content-Length", str(BODY_BYTES)] in shown["request"]["headers"]


def test_a_refused_request_with_a_small_body_leaves_nothing_behind(web: Mitmproxy, upstream: RawUpstream) -> None:
    """The body is not taken for a request."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as connection:
        connection.sendall(
            b"POST /refused HTTP/1.1\r\nHost: a\r\nContent-Length: 33\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        answer = b""
        while part := connection.recv(65536):
            answer += part
    assert answer.count(b"HTTP/1.1 ") == 1
    assert upstream.whole == []
    assert set(flows(web)) == {"/refused"}


def test_rules_are_reloaded_and_wrong_ones_are_refused(web: Mitmproxy, rules: Path) -> None:
    file = rules / "addon.yaml"
    file.write_text(RULES.replace("action: drop", "action: drip"))
    wait_until(lambda: "unknown action 'drip'" in web.said(), "wrong rules are refused")
    assert requests.get(web.url + "/refused", timeout=10).status_code == 403
    file.write_text(RULES.replace("/refused", "/refused-now"))
    wait_until(lambda: "rules reloaded" in web.said(), "the rules are reloaded")
    assert requests.get(web.url + "/refused", timeout=10).status_code == 200
    assert requests.get(web.url + "/refused-now", timeout=10).status_code == 403


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["proxyguard_rules=RULES"], "unknown action 'drip'"),
        (["proxyguard_config=nowhere.yaml"], "nowhere.yaml: error: the settings file cannot be read"),
        (["proxyguard_rules=one", "proxyguard_rules=two"], "Received multiple values for proxyguard_rules"),
        (["proxyguard_rule=rules"], "unknown option proxyguard_rule\n  hint: did you mean 'proxyguard_rules'?"),
    ],
    ids=["rules", "settings", "an option twice", "an option that is none"],
)
def test_nothing_is_served_with_what_is_wrong(
    tmp_path: Path, upstream: RawUpstream, rules: Path, options: list[str], said: str
) -> None:
    """mitmdump ends, and says why."""
    (rules / "addon.yaml").write_text(RULES.replace("action: drop", "action: drip"))
    given = [part for option in options for part in ("--set", option.replace("RULES", str(rules)))]
    running = start(tmp_path, upstream.url, *given)
    try:
        wait_until(lambda: running.process.poll() is not None, "mitmdump ends")
    finally:
        running.end()
    assert running.process.returncode == 1
    assert said in running.said()
