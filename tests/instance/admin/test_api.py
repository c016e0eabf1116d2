"""Dashboard and API over real sockets, with an instance that only answers."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from proxyguard.core.admin_access import AdminAccess
from proxyguard.core.settings import Listen, Settings
from proxyguard.instance.admin import handlers, order_bodies
from proxyguard.instance.admin.dashboard import Dashboard
from proxyguard.instance.admin.handlers import MAX_BODY_BYTES, STRICT_HEADERS
from proxyguard.instance.admin.openapi import document
from proxyguard.instance.admin.operations import OPERATIONS, ROOT, ApiOperation
from proxyguard.instance.admin.page_files import page_files
from proxyguard.instance.admin.questions import MAX_BANS
from proxyguard.instance.admin.shared_answers import RequestPace
from proxyguard.instance.control.order_log import OrderLog
from proxyguard.instance.control.server import Command, CommandError, ControlServer
from proxyguard.telemetry.metrics import Metrics

WRITE, READ = "a-token-to-write-0123", "a-token-to-read-01234"
BAN = {
    "key": "client:192.0.2.7",
    "since": 1.0,
    "until": 9.0,
    "rule": "operator",
    "reason": "r",
    "then": "reject",
    "strikes": 1,
    "note": "",
}


class FakeInstance:
    """Remembers what it was told."""

    ready = True

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {
            "bans-list": {
                "bans": [{**BAN, "hits": 3, "last_seen": 5.0, "secret": "x"}, {**BAN, "key": "network:192.0.2.0/24"}],
                "total": 2,
            },
            "bans-add": {"bans": [BAN], "replaced": 0, "saved": True, "unsaved_because": ""},
            "bans-remove": {"keys": ["client:192.0.2.7"], "removed": [], "saved": True},
            "pseudonyms": {"names": {"192.0.2.7": "c-5f2b8e01c77a"}},
            "pause": CommandError("there is no rule 'x'\n  hint: rules: y"),
            "explain-reference": CommandError("there is no record"),
            "rules-list": {"rules": []},
            "restrictions-list": {"restrictions": []},
        }

    @property
    def commands(self) -> Mapping[str, Command]:
        def command(name: str) -> Command:
            async def run(arguments: dict[str, Any]) -> dict[str, Any]:
                self.told.append((name, arguments))
                answer = self.answers[name]
                if isinstance(answer, Exception):
                    raise answer
                found: dict[str, Any] = answer
                return found

            return run

        return {name: command(name) for name in self.answers}

    async def missing(self) -> list[str]:
        return []

    async def metrics(self, accept: str) -> tuple[bytes, str]:
        return b"", accept

    async def status(self) -> dict[str, Any]:
        raise AssertionError("nobody asks")


class Got(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return json.loads(self.body)


class Caller:
    """Blocking requests to the port."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(self, path: str, body: Any = None, *, method: str = "", token: str | None = None, **headers: str) -> Got:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["Authorization"] = f"Bearer {token}"
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            named.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method or ("POST" if body is not None else "GET"), path, data, named)
            response = connection.getresponse()
            return Got(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()


def visit(tmp_path: Path, scenario: Callable[[Caller, FakeInstance], None], access: AdminAccess | None = None) -> None:
    async def run() -> None:
        access_given = access or AdminAccess(token=WRITE, read_token=READ)
        instance, orders = FakeInstance(), OrderLog()
        dashboard = Dashboard(instance, Settings(admin_access=access_given), Metrics(), orders)
        server = ControlServer(
            instance, Listen("127.0.0.1", 0), tmp_path / "c.sock", routes=dashboard.routes, note_order=orders.note
        )
        server.start()
        try:
            assert server.port is not None
            await asyncio.to_thread(scenario, Caller(server.port), instance)
        finally:
            dashboard.stop()
            server.stop()

    asyncio.run(run())


def example(operation: ApiOperation) -> dict[str, Any]:
    """A body that fits."""
    given = {"key": "192.0.2.7", "seconds": 60, "rules": ["x"], "rule": "x", "name": "x"}
    fields = getattr(operation.body, "__struct_fields__", ())
    return {name: value for name, value in given.items() if name in fields}


def test_bans_show_pseudonyms_and_nothing_that_is_not_promised(tmp_path: Path) -> None:
    def scenario(ask: Caller, instance: FakeInstance) -> None:
        got = ask(f"{ROOT}/bans")
        assert (got.status, got.value["total"]) == (200, 2)
        assert [ban["key"] for ban in got.value["bans"]] == ["c-5f2b8e01c77a", "network:192.0.2.0/24"]
        assert b"192.0.2.7" not in got.body
        assert b"secret" not in got.body
        assert ("bans-list", {"most": MAX_BANS}) in instance.told
        got = ask(f"{ROOT}/bans", {"key": "192.0.2.7", "seconds": 60}, token=WRITE)
        assert (got.status, got.value["done"], got.value["detail"]["bans"][0]["key"]) == (200, True, "c-5f2b8e01c77a")
        assert ("bans-add", {"key": "192.0.2.7", "seconds": 60.0, "then": "reject", "note": ""}) in instance.told
        got = ask(f"{ROOT}/bans/lift", {"key": "c-5f2b8e01c77a"}, token=WRITE)
        assert (got.status, got.value["done"]) == (200, False)
        [lifted, banned] = ask(f"{ROOT}/changes").value["changes"]
        assert (lifted["order"], banned["order"], banned["done"]) == ("bans-remove", "bans-add", True)
        assert "c-5f2b8e01c77a" in banned["what"]
        assert "192.0.2.7" not in json.dumps([lifted, banned])

    visit(tmp_path, scenario)


def test_who_may_what(tmp_path: Path) -> None:
    orders = [operation for operation in OPERATIONS if operation.body is not None]

    def scenario(ask: Caller, instance: FakeInstance) -> None:
        for operation in orders:
            path, body = ROOT + operation.path, example(operation)
            assert ask(path, body).status == 401, operation
            assert ask(path, body, token=READ).status == 403, operation
            assert ask(path, body, token="wrong-wrong-wrong-wrong").status == 401, operation
        assert instance.told == []
        assert ask(f"{ROOT}/bans").status == 200
        assert ask(f"{ROOT}/bans", X_Forwarded_For="198.51.100.7").status == 401
        assert ask(f"{ROOT}/bans", X_Forwarded_For="198.51.100.7", token=READ).status == 200
        assert ask(f"{ROOT}/openapi.json", Via="1.1 x").status == 401
        assert ask(f"{ROOT}/events", Via="1.1 x").status == 401
        rights = [ask(f"{ROOT}/session", token=token).value for token in (None, READ, WRITE)]
        assert [(each["read"], each["write"]) for each in rights] == [(True, False), (True, False), (True, True)]
        assert ask(f"{ROOT}/session", token="wrong-wrong-wrong-wrong").status == 401

    visit(tmp_path, scenario)


def test_no_page_of_another_site_acts_whatever_it_sends(tmp_path: Path) -> None:
    body = {"key": "192.0.2.7", "seconds": 60}
    foreign: list[dict[str, str]] = [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"},
    ]  # fmt: skip

    def scenario(ask: Caller, instance: FakeInstance) -> None:
        for headers in foreign:
            assert ask(f"{ROOT}/bans", body, token=WRITE, **headers).status == 403, headers
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/related; boundary=x", ""):
            assert ask(f"{ROOT}/bans", body, token=WRITE, Content_Type=kind).status == 415, kind
        assert ask(f"{ROOT}/bans", body, token=WRITE, Host="evil.example").status == 421
        assert instance.told == []
        own = {"Origin": f"http://127.0.0.1:{ask.port}", "Sec_Fetch_Site": "same-origin"}
        assert ask(f"{ROOT}/bans", body, token=WRITE, **own).status == 200
        for path in ("/dashboard/", "/", f"{ROOT}/bans", f"{ROOT}/session"):
            assert ask(path, Host="evil.example").status == 421
        assert "Access-Control-Allow-Origin" not in ask(f"{ROOT}/bans", Origin="https://evil.example").headers

    visit(tmp_path, scenario)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/bans", {}, 400), ("/bans", [], 400), ("/bans", b"", 400), ("/bans", b"{", 400), ("/bans", b"\xff\xfe", 400),
        ("/bans", b"[" * 5000, 400), ("/bans", {"key": "192.0.2.7", "seconds": 60, "more": 1}, 400),
        ("/bans", {"key": "192.0.2.7", "seconds": True}, 400), ("/bans", {"key": "192.0.2.7", "seconds": 0}, 400),
        ("/bans", b'{"key": "192.0.2.7", "seconds": NaN}', 400), ("/bans", b'{"key": "192.0.2.7", "seconds": 1e999}', 400),
        ("/bans", {"key": "", "seconds": 1}, 400), ("/bans", {"key": "192.0.2.7", "seconds": 1, "then": "allow"}, 400),
        ("/bans", b" " * (MAX_BODY_BYTES + 1), 413), ("/rules/pause", {"rules": []}, 400), ("/rules/pause", {"rules": "x"}, 400),
        ("/rules/pause", {"rules": ["x"]}, 409), ("/rules/pause?a=b", {"rules": ["x"]}, 400),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_a_body_that_is_not_as_described_orders_nothing(tmp_path: Path, path: str, body: Any, status: int) -> None:
    def scenario(ask: Caller, instance: FakeInstance) -> None:
        got = ask(ROOT + path, body, token=WRITE)
        assert (got.status, got.value["status"]) == (status, status), got
        assert got.headers["Content-Type"] == "application/problem+json"
        assert [name for name, _ in instance.told] == (["pause"] if status == 409 else [])
        if status == 409:
            assert got.value["detail"] == "there is no rule 'x'\n  hint: rules: y"

    visit(tmp_path, scenario)


def test_paths_queries_and_methods_that_are_not_there(tmp_path: Path) -> None:
    def scenario(ask: Caller, instance: FakeInstance) -> None:
        for query in ("window=x", "window=", "window=hour&window=day", "other=1", "window", "window=hour&x=1"):
            assert ask(f"{ROOT}/top?{query}").status == 400, query
        for path in ("", "/", "/nothing", "/bans/", "/references/", "/references/a/b", "/../status", "//status"):
            assert ask(ROOT + path).status == 404, path
        for reference in ("x%2Fy", "..%2F..%2Fetc", "%00", "a" * 129, "%3Cscript%3E", "--json%0a"):
            assert ask(f"{ROOT}/references/{reference}").status == 400, reference
        assert ask(f"{ROOT}/references/--json").status == 404
        for method in ("DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "POST"):
            got = ask(f"{ROOT}/status", method=method)
            assert (got.status, got.headers["Allow"]) == (405, "GET"), method
        assert ask(f"{ROOT}/bans", method="DELETE").headers["Allow"] == "GET, POST"
        assert ask(f"{ROOT}/references/x", b"", token=WRITE).status == 405
        assert ask("/command/bans-list", {}).status == 404
        assert [name for name, _ in instance.told] == ["explain-reference"]

    visit(tmp_path, scenario)


def test_every_answer_has_the_strict_headers(tmp_path: Path) -> None:
    def scenario(ask: Caller, _: FakeInstance) -> None:
        for path in (
            "/",
            "/dashboard",
            "/dashboard/",
            "/dashboard/dashboard.js",
            f"{ROOT}/bans",
            f"{ROOT}/nothing-here",
            f"{ROOT}/top?x",
        ):
            got = ask(path)
            if got.status != 404:
                assert STRICT_HEADERS.items() <= got.headers.items(), path
            assert got.headers["X-Content-Type-Options"] == "nosniff"
            assert got.headers["Cache-Control"] == ("no-cache" if path.startswith("/dashboard/") else "no-store")
        assert "unsafe" not in STRICT_HEADERS["Content-Security-Policy"]
        for path in ("/", "/dashboard"):
            assert (ask(path).status, ask(path).headers["Location"]) == (302, "dashboard/")

    visit(tmp_path, scenario)


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    def scenario(ask: Caller, _: FakeInstance) -> None:
        page = ask("/dashboard/")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        for name in set(page_files()) - {"index.html"}:
            got = ask(f"/dashboard/{name}")
            assert got.status == 200
            assert f'"{name}"'.encode() in page.body
            assert ask(f"/dashboard/{name}", If_None_Match=got.headers["Etag"]).status == 304
        assert b"://" not in page.body
        assert b"style=" not in page.body

    visit(tmp_path, scenario)


def test_our_scripts_make_no_markup_of_text() -> None:
    ours = {name: file.content for name, file in page_files().items() if name.endswith(".js") and name != "uplot.js"}
    assert len(ours) >= 5
    for word in (
        b"innerHTML",
        b"outerHTML",
        b"insertAdjacentHTML",
        b"document.write",
        b"eval(",
        b"new Function",
        b"localStorage",
    ):
        assert [name for name, content in ours.items() if word in content] == []


def test_beyond_the_pace_one_is_asked_to_come_again_and_a_token_has_a_pace_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "RequestPace", lambda: RequestPace(rate=0, burst=3))
    monkeypatch.setattr(handlers, "BEYOND_PACE_SECONDS", 0.0)

    def scenario(ask: Caller, _: FakeInstance) -> None:
        assert [ask(f"{ROOT}/bans").status for _ in range(5)] == [200] * 3 + [429] * 2
        got = ask("/dashboard/")
        assert (got.status, got.headers["Retry-After"]) == (429, "1")
        assert [ask(f"{ROOT}/bans", token=READ).status for _ in range(5)] == [200] * 3 + [429] * 2
        assert ask("/healthz").status == 200

    visit(tmp_path, scenario)


def test_without_a_token_in_the_settings_it_says_which_one_is_missing(tmp_path: Path) -> None:
    def scenario(ask: Caller, _: FakeInstance) -> None:
        got = ask(f"{ROOT}/bans", {"key": "192.0.2.7", "seconds": 60})
        assert (got.status, "admin_token" in got.value["detail"]) == (401, True)

    visit(tmp_path, scenario, AdminAccess())


def test_the_document_has_every_operation_and_every_reference_leads_somewhere() -> None:
    made = document("1")
    text = json.dumps(made)
    assert {f"{ROOT}{operation.path}" for operation in OPERATIONS} <= set(made["paths"])
    used = {part.split('"', 1)[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= set(made["components"]["schemas"])
    named = [each["operationId"] for path in made["paths"].values() for each in path.values()]
    assert len(set(named)) == len(named)
    assert all(issubclass(operation.body, order_bodies.ApiBody) for operation in OPERATIONS if operation.body)


def test_the_reference_has_every_operation() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/api.md").read_text()
    for operation in OPERATIONS:
        assert f"| `{operation.method} {operation.path}` |" in page, operation.path
