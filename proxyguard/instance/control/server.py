"""Serves a running instance on a TCP port that only reads, and on a Unix socket of mode 0600 that also takes commands.

TCP: `/healthz` (the process answers), `/readyz` (rules loaded, listening, not draining, neighbours well if asked for), `/metrics`
(Prometheus text or OpenMetrics), `/status` (JSON), and further routes that it is given. Unix socket: the same without
these, and `POST /command/NAME` with a JSON object. Knows nothing of what a command does.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Protocol

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPInputError, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.web import Application, HTTPError, RequestHandler

from proxyguard.core.settings import Listen, Settings
from proxyguard.instance.control.accepting import Acceptor, Reserve
from proxyguard.instance.control.order_log import OrderLog
from proxyguard.instance.control.socket_file import prepare_folder
from proxyguard.limits.clock import CLOCK
from proxyguard.telemetry.accept_errors import AcceptErrors
from proxyguard.telemetry.metrics import Metrics

MAX_COMMAND_BYTES: Final = 1024 * 1024
"""The largest command: a list of bans."""

MAX_HOST: Final = 300
"""Characters of a Host: a name has 253 at most."""

IDLE_SECONDS: Final = 30
"""A connection to the admin port without a request for so long is closed."""

FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")
"""Types of bodies that tornado takes apart before anything here is asked: half a second of work for a mebibyte of `a&a&`."""

_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?", re.ASCII)

type AdminRoute = tuple[str, type[RequestHandler], dict[str, Any]]
"""A pattern of paths, who serves them, and with what besides `instance` and `hosts`."""

type Command = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Arguments in, answer out. Raises CommandError for what the operator can fix."""

type NoteOrder = Callable[[str, dict[str, Any], str, Mapping[str, Command], dict[str, Any] | None], Awaitable[None]]
"""Name, arguments, by whom, the commands, and the answer; None: it was refused."""

logger = logging.getLogger(__name__)


class CommandError(Exception):
    """A command that cannot be carried out as given. The message is for the operator."""


class Instance(Protocol):
    """An instance, as the server uses it."""

    @property
    def ready(self) -> bool: ...
    @property
    def commands(self) -> Mapping[str, Command]: ...
    async def missing(self) -> list[str]: ...
    async def metrics(self, accept: str) -> tuple[bytes, str]: ...
    async def status(self) -> dict[str, Any]: ...


class AdminPages(Protocol):
    """The pages of a dashboard: `routes` are served on the admin port."""

    @property
    def routes(self) -> Sequence[AdminRoute]: ...
    def configure(self, settings: Settings) -> None: ...
    def stop(self) -> None: ...


type MakeAdminPages = Callable[[Instance, Settings, Metrics, OrderLog], AdminPages]


class ControlServer:
    """Serves an instance on a TCP address and a Unix socket."""

    def __init__(
        self,
        instance: Instance,
        listen: Listen | None,
        control: Path | None,
        hosts: tuple[str, ...] = (),
        *,
        routes: Sequence[AdminRoute] = (),
        note_order: NoteOrder | None = None,
    ) -> None:
        """`hosts` are names of the TCP port beside those that it has by itself; `*` is any.

        `routes` are served there too. `note_order` is told of every command that came by the Unix socket.
        """
        self._routes = routes
        self._note_order = note_order
        self._hosts = frozenset(hosts)
        self._named: set[str] = set()
        """All names that the TCP port has."""
        self._instance = instance
        self._listen = listen
        self._control = control
        self._acceptors: list[Acceptor] = []
        self._reserve: Reserve | None = None
        self.port: int | None = None

    def configure(self, hosts: tuple[str, ...]) -> None:
        """Let the TCP port be asked by these names, from the next request on."""
        self._hosts = frozenset(hosts)
        self._names()

    def _names(self) -> set[str]:
        """The names that the TCP port has; always the same set, which its pages hold."""
        self._named.clear()
        self._named.update(self._hosts, own_hosts(self._listen) if self._listen is not None else ())
        return self._named

    def start(self) -> None:
        """Bind and serve on the running loop. Raises OSError when an address is taken or a folder is missing."""
        if self._listen is not None:
            try:
                sockets = bind_sockets(self._listen.port, self._listen.host)
            except OSError as error:
                raise OSError(f"admin: cannot bind {self._listen}: {error.strerror or error}") from error
            self.port = sockets[0].getsockname()[1]
            self._serve(sockets, acting=False)
        if self._control is not None:
            prepare_folder(self._control)
            remove_dead_socket(self._control)
            self._serve([bind_unix_socket(str(self._control), mode=0o600)], acting=True)

    def stop(self) -> None:
        """Stop accepting and remove the socket's file."""
        for acceptor in self._acceptors:
            acceptor.stop()
        if self._reserve is not None:
            self._reserve.close()
        if self._control is not None:
            self._control.unlink(missing_ok=True)

    def _serve(self, sockets: list[socket.socket], *, acting: bool) -> None:
        hosts = None if acting or self._listen is None else self._names()
        arguments = {"instance": self._instance, "hosts": hosts}
        routes: list[AdminRoute] = [
            ("/healthz", _Health, arguments),
            ("/readyz", _Ready, arguments),
            ("/metrics", _MetricsPage, arguments),
            ("/status", _Status, arguments),
        ]
        if acting:
            routes.append(("/command/([a-z-]+)", _Command, {**arguments, "note_order": self._note_order}))
        else:
            routes += [(path, handler, {**more, **arguments}) for path, handler, more in self._routes]
        routes.append(("/.*", _Unknown, arguments))
        application = _Application(routes, log_function=_log_nothing)
        server = HTTPServer(
            application,
            max_body_size=MAX_COMMAND_BYTES,
            max_header_size=16 * 1024,
            idle_connection_timeout=IDLE_SECONDS,
            body_timeout=IDLE_SECONDS,
        )
        self._reserve = self._reserve or Reserve()
        acceptor = Acceptor(server.handle_stream, AcceptErrors("control" if acting else "admin"), self._reserve)
        acceptor.listen(sockets)
        self._acceptors.append(acceptor)


def own_hosts(listen: Listen) -> frozenset[str]:
    """The name of this machine that cannot be anybody else's, and what the port listens on."""
    return frozenset({"localhost", listen.host.strip("[]").lower()})


def is_one_of(host: str, hosts: AbstractSet[str]) -> bool:
    """Whether a Host field names one of them, or `*`, any, is among them.

    An address always does: no name leads to it, so no page can have one for it.
    """
    if "*" in hosts:
        return True
    match = _HOST.fullmatch(host.lower())
    if match is None:
        return False
    name = (match[1] or match[2]).rstrip(".")
    try:
        ip_address(name)
    except ValueError:
        return name in hosts
    return True


def remove_dead_socket(path: Path) -> None:
    """Remove the socket file of a killed instance. Raises OSError when a running one answers, or it is no socket."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise FileExistsError(17, "exists and is not a socket", str(path))
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise FileExistsError(17, "another instance is running with this control socket", str(path))


class AdminPage(RequestHandler):
    """A page of the admin port or the control socket."""

    def initialize(self, instance: Instance, hosts: AbstractSet[str] | None) -> None:
        self.instance = instance
        self.hosts = hosts
        if self.request.headers.get("Content-Type", "").startswith(FORMS):
            del self.request.headers["Content-Type"]  # nothing here reads forms

    def prepare(self) -> None:
        """Refuse names that are not this port's: a page in a browser must not read it by a name of its own (DNS rebinding)."""
        if self.hosts is not None and not is_one_of(self.request.host, self.hosts):
            self.send_error(421)

    def set_default_headers(self) -> None:
        self.set_header("Server", "proxyguard")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")

    def write_error(self, status_code: int, **_kwargs: Any) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"error": self._reason, "status": status_code}) + "\n")

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log faults of ours; what a caller does wrong is only answered, so that nobody fills the log."""
        if not isinstance(value, HTTPError):
            super().log_exception(typ, value, tb)

    def answer(self, value: Any) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(value) + "\n")


class _Application(Application):
    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """As tornado, which stumbles over a port of thousands of digits, with a traceback for each."""
        delegate = super().start_request(server_conn, request_conn)
        begin = delegate.headers_received

        def headers_received(start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> Awaitable[None] | None:
            if len(headers.get("Host", "")) > MAX_HOST:
                raise HTTPInputError("the Host is too long")
            return begin(start_line, headers)

        delegate.headers_received = headers_received  # type: ignore[method-assign]  # its class is tornado's own
        return delegate


class _Unknown(AdminPage):
    def prepare(self) -> None:
        super().prepare()
        if not self._finished:
            self.send_error(404)


class _Health(AdminPage):
    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish("ok\n")


class _Ready(AdminPage):
    async def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        lacks = await self.instance.missing() if self.instance.ready else []
        if lacks or not self.instance.ready:
            self.set_status(503)
            self.finish("".join(["not ready\n", *(f"{lack}\n" for lack in lacks)]))
        else:
            self.finish("ready\n")


class _MetricsPage(AdminPage):
    async def get(self) -> None:
        content, content_type = await self.instance.metrics(self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.set_header("Vary", "Accept")
        self.finish(content)


class _Status(AdminPage):
    async def get(self) -> None:
        self.answer(await self.instance.status())


class _Command(AdminPage):
    def initialize(self, note_order: NoteOrder | None, **arguments: Any) -> None:  # type: ignore[override]  # tornado's way
        super().initialize(**arguments)
        self.note_order = note_order

    async def post(self, name: str) -> None:
        command = self.instance.commands.get(name)
        if command is None:
            self.set_status(404)
            self.answer({"error": f"there is no command {name!r}"})
            return
        try:
            arguments = _arguments(self.request.body)
        except (CommandError, json.JSONDecodeError) as error:
            self.set_status(400)
            self.answer({"error": str(error)})
            return
        answer: dict[str, Any] | None = None
        CLOCK.look()  # times that are asked for are those of the wall as it is now
        try:
            answer = await command(arguments)
            self.answer(answer)
        except CommandError as error:
            self.set_status(400)
            self.answer({"error": str(error)})
        if self.note_order is not None:
            await self.note_order(name, arguments, "by command", self.instance.commands, answer)


def _arguments(body: bytes) -> dict[str, Any]:
    arguments = json.loads(body or b"{}")
    if b"\\ud" in body.lower():  # half of a character, as terminals of other codings send: no file and no other process takes it
        arguments = json.loads(json.dumps(arguments, ensure_ascii=False).encode("utf-8", "replace"))
    if not isinstance(arguments, dict):
        raise CommandError("the arguments are not a JSON object")
    return arguments


def _log_nothing(_handler: RequestHandler) -> None:
    """Scrapes and probes every few seconds are not worth a line."""
