"""The admin port and the control socket, over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from proxyguard.core.settings import Listen
from proxyguard.instance.control.client import ControlError, send_command
from proxyguard.instance.control.server import AdminPage, Command, CommandError, ControlServer, _arguments
from proxyguard.instance.process import configure_logging
from proxyguard.telemetry.exposition import exposition
from proxyguard.telemetry.metrics import Metrics


class FakeInstance:
    """Ready or not; one command that echoes and one that refuses."""

    ready = True
    lacks: tuple[str, ...] = ()

    async def missing(self) -> list[str]:
        return list(self.lacks)

    @property
    def commands(self) -> Mapping[str, Command]:
        return {"echo": self._echo, "refuse": self._refuse}

    async def _echo(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return arguments

    async def _refuse(self, _arguments: dict[str, Any]) -> dict[str, Any]:
        raise CommandError("not today")

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        counts = Metrics()
        counts.requests = 1
        return exposition(counts.snapshot(), (), accept)

    async def status(self) -> dict[str, Any]:
        return {"ready": self.ready}


def fetch(port: int | None, path: str, method: str = "GET") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, data=b"{}" if method == "POST" else None)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def serve(tmp_path: Path, instance: FakeInstance, *calls: Any) -> list[Any]:
    """The results of blocking calls made beside a served instance; each gets the server."""

    async def run() -> list[Any]:
        server = ControlServer(instance, Listen("127.0.0.1", 0), tmp_path / "control.sock")
        server.start()
        try:
            return [await asyncio.to_thread(call, server) for call in calls]
        finally:
            server.stop()

    return asyncio.run(run())


def test_the_port_reads_and_never_acts(tmp_path: Path) -> None:
    paths = ("/healthz", "/readyz", "/metrics", "/status", "/nothing")
    results = serve(tmp_path, FakeInstance(), *(lambda server, path=path: fetch(server.port, path) for path in paths))
    (status, page), results[2] = results[2], (200, "")
    assert status == 200
    assert "\nproxyguard_requests_total 1.0\n" in page
    assert results == [
        (200, "ok\n"),
        (200, "ready\n"),
        (200, ""),
        (200, '{"ready": true}\n'),
        (404, '{"error": "Not Found", "status": 404}\n'),
    ]
    assert serve(tmp_path, FakeInstance(), lambda server: fetch(server.port, "/command/echo", "POST"))[0][0] == 404


class Fields(AdminPage):
    """How many fields were read of a form, and the bytes of its body."""

    def post(self) -> None:
        self.answer([len(self.request.body_arguments), len(self.request.files), len(self.request.body)])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"a=1&b=2"),
        ("application/x-www-form-urlencoded; charset=utf-8", b"a=1&b=2"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'),
        ("multipart/form-data", b"no boundary"),
    ],
)
def test_a_form_is_not_taken_apart_before_anybody_is_asked_for_a_token(tmp_path: Path, kind: str, body: bytes) -> None:
    async def run() -> None:
        server = ControlServer(FakeInstance(), Listen("127.0.0.1", 0), None, routes=[("/fields", Fields, {})])
        server.start()
        request = urllib.request.Request(f"http://127.0.0.1:{server.port}/fields", data=body, headers={"Content-Type": kind})
        try:
            with await asyncio.to_thread(urllib.request.urlopen, request, timeout=20) as response:
                assert json.loads(response.read()) == [0, 0, len(body)]
        finally:
            server.stop()

    asyncio.run(run())


def test_an_instance_without_what_it_needs_says_what_it_lacks(tmp_path: Path) -> None:
    instance = FakeInstance()
    instance.lacks = ("the store is down",)
    assert serve(tmp_path, instance, lambda s: fetch(s.port, "/readyz")) == [(503, "not ready\nthe store is down\n")]


def test_an_instance_that_drains_is_alive_but_not_ready(tmp_path: Path) -> None:
    instance = FakeInstance()
    instance.ready = False
    assert serve(tmp_path, instance, lambda s: fetch(s.port, "/healthz"), lambda s: fetch(s.port, "/readyz")) == [
        (200, "ok\n"),
        (503, "not ready\n"),
    ]


def test_commands_go_through_the_socket_which_only_its_owner_may_use(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    def refused(_server: ControlServer) -> str:
        with pytest.raises(ControlError) as caught:
            send_command(path, "refuse")
        return str(caught.value)

    assert serve(
        tmp_path,
        FakeInstance(),
        lambda server: stat.S_IMODE(path.stat().st_mode),
        lambda server: send_command(path, "echo", {"a": [1]}),
        lambda server: send_command(path, "status"),
        refused,
    ) == [0o600, {"a": [1]}, {"ready": True}, "not today"]
    assert not path.exists()


def test_halves_of_characters_become_text_that_files_and_processes_take() -> None:
    """Ours sends none; JSON can."""
    assert _arguments(b'{"note": "caf\\udce9", "keys": ["\xf0\x9f\x98\x80 \\\\ud83d"]}') == {
        "note": "caf?",
        "keys": ["\U0001f600 \\ud83d"],
    }


def test_nobody_at_the_socket_is_said_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=r"no instance is running .*\n  hint: "):
        send_command(tmp_path / "none.sock", "status")


def test_a_killed_instances_socket_is_replaced_a_live_ones_and_a_files_are_not(tmp_path: Path) -> None:
    async def run() -> None:
        path = tmp_path / "control.sock"
        first = ControlServer(FakeInstance(), None, path)
        first.start()
        with pytest.raises(OSError, match="another instance is running"):
            ControlServer(FakeInstance(), None, path).start()
        for acceptor in first._acceptors:
            acceptor.stop()
        second = ControlServer(FakeInstance(), None, path)
        second.start()
        second.stop()
        path.write_text("mine")
        with pytest.raises(OSError, match="not a socket"):
            ControlServer(FakeInstance(), None, path).start()
        assert path.read_text() == "mine"

    asyncio.run(run())


def test_what_is_no_text_is_not_sent(tmp_path: Path) -> None:
    """Bytes of a command line that are not UTF-8 arrive as halves of surrogate pairs; no store and no log can take them."""
    with pytest.raises(UnicodeEncodeError):
        send_command(tmp_path / "control.sock", "bans-add", {"note": "\udcff"})
    (answer,) = serve(tmp_path, FakeInstance(), lambda _server: send_command(tmp_path / "control.sock", "echo", {"note": "é"}))
    assert answer == {"note": "é"}


def test_what_callers_do_wrong_writes_no_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogger("tornado").level
    configure_logging()
    try:
        with caplog.at_level("INFO"):
            answers = serve(tmp_path, FakeInstance(), *(lambda server, data=data: raw(server.port, data) for data in WRONG))
    finally:
        logging.getLogger("tornado").setLevel(before)
    assert [answer.partition(b" ")[2][:3] for answer in answers] == [b"400", b"400", b"400", b"200"]
    assert caplog.messages == []


WRONG = (
    b"erika@example.com\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a:" + b"9" * 5000 + b"\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/openmetrics-text; version=x\r\nConnection: close\r\n\r\n",
)


def raw(port: int | None, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port or 0), timeout=20) as connection:
        connection.sendall(data)
        return connection.recv(100)
