"""The sample site's HTTP: pages, feed, JSON, an event stream, a WebSocket echo, downloads and uploads of any size.

Knows nothing of proxyguard. What a visitor may ask for in bytes, events or time is bounded, for the site is also run where
others can reach it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler, StaticFileHandler, stream_request_body
from tornado.websocket import WebSocketHandler

from proxyguard.tools.sample_site import content, pages

MIB: Final = 1024 * 1024
MAX_DOWNLOAD: Final = 4096 * MIB
MAX_UPLOAD: Final = 4096 * MIB
CHUNK: Final = bytes(range(256)) * 1024
"""256 KiB of a download: a pattern, so that a lost or repeated byte shows in a digest."""


class Page(RequestHandler):
    """What all answers have in common."""

    def set_default_headers(self) -> None:
        self.set_header("Server", "commons")
        self.set_header("X-Content-Type-Options", "nosniff")

    def head(self, *parts: str) -> Awaitable[None] | None:
        return self.get(*parts)

    def html(self, text: str) -> None:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(text)

    def text(self, text: str, kind: str = "text/plain") -> None:
        self.set_header("Content-Type", f"{kind}; charset=utf-8")
        self.write(text)

    def origin(self) -> str:
        scheme = self.request.headers.get("X-Forwarded-Proto", self.request.protocol)
        return f"{scheme}://{self.request.host}"

    def number(self, name: str, default: float, lowest: float, highest: float) -> float:
        try:
            return min(max(float(self.get_query_argument(name, str(default))), lowest), highest)
        except ValueError:
            raise HTTPError(400) from None

    def write_error(self, status_code: int, **_: Any) -> None:
        self.html(pages.frame(f"{status_code}", f"<h1>{status_code}</h1><p>{self._reason}</p>"))


class Home(Page):
    def get(self) -> None:
        self.html(pages.home())


class Profiles(Page):
    def get(self) -> None:
        self.html(pages.profiles(int(self.number("page", 1, 1, 1000))))


class Profile(Page):
    def get(self, number: str) -> None:
        found = content.person(int(number))
        if found is None:
            raise HTTPError(404)
        self.html(pages.profile(found))


class PostPage(Page):
    def get(self, number: str) -> None:
        found = content.post(int(number))
        if found is None:
            raise HTTPError(404)
        self.html(pages.single_post(found))


class Search(Page):
    def get(self) -> None:
        self.html(pages.results(self.get_query_argument("q", "")[:100]))


class Feed(Page):
    def get(self) -> None:
        self.text(pages.feed(self.origin()), "application/atom+xml")


class Sitemap(Page):
    def get(self) -> None:
        self.text(pages.sitemap(self.origin()), "application/xml")


class PlainPage(Page):
    def initialize(self, text: str) -> None:
        self._text = text

    def get(self) -> None:
        self.text(self._text)


class SignUp(Page):
    def get(self) -> None:
        self.html(pages.form("Sign up", "/signup"))

    def post(self) -> None:
        email = self.get_body_argument("email", "")[:200]
        if content.is_taken(email):
            self.set_status(409)
            self.html(pages.form("Sign up", "/signup", "That address has an account already.", "bad"))
        else:
            self.html(pages.form("Sign up", "/signup", f"Welcome, {email}!", "good"))


class LogIn(Page):
    def get(self) -> None:
        self.html(pages.form("Log in", "/login"))

    def post(self) -> None:
        if self.get_body_argument("password", "") == "correct horse":
            self.set_cookie("session", "sample", httponly=True, samesite="Lax")
            self.html(pages.form("Log in", "/login", "You are in.", "good"))
        else:
            self.set_status(401)
            self.html(pages.form("Log in", "/login", "That is not the password.", "bad"))


class Live(Page):
    def get(self) -> None:
        self.html(pages.live())


class ApiProfile(Page):
    def get(self, number: str) -> None:
        found = content.person(int(number))
        if found is None:
            raise HTTPError(404)
        self.write(found._asdict())


class HeadersPage(Page):
    """What arrived here: method, target and header fields, for a look at what a proxy does to them."""

    def get(self) -> None:
        self.write(
            {
                "method": self.request.method,
                "target": self.request.uri,
                "headers": sorted(self.request.headers.get_all()),
                "peer": self.request.remote_ip,
            }
        )

    post = get


class Status(Page):
    def get(self, code: str) -> None:
        self.set_status(int(code), "As asked")
        if int(code) not in {204, 304}:
            self.text(f"{code}\n")


class Download(Page):
    """Any number of bytes, never more of them in memory than one chunk."""

    async def get(self, size: str) -> None:
        left = int(size)
        if left > MAX_DOWNLOAD:
            raise HTTPError(400)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Length", size)
        if self.request.method == "HEAD":
            return
        try:
            while left > 0:
                self.write(CHUNK[: min(left, len(CHUNK))])
                left -= len(CHUNK)
                await self.flush()
        except StreamClosedError:
            return


@stream_request_body
class Upload(Page):
    """Counts and digests a body of any size without keeping it."""

    def prepare(self) -> None:
        self._count = 0
        self._digest = hashlib.sha256()

    def data_received(self, chunk: bytes) -> None:
        self._count += len(chunk)
        self._digest.update(chunk)

    def post(self) -> None:
        self.write({"bytes": self._count, "sha256": self._digest.hexdigest()})

    put = post


class Events(Page):
    """Server-sent events, one a second unless `interval=` says otherwise, for ever unless `count=` does."""

    async def get(self) -> None:
        interval_seconds = self.number("interval", 1, 0.01, 60)
        count = self.number("count", float("inf"), 1, float("inf"))
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("Cache-Control", "no-store")
        if self.request.method == "HEAD":
            return
        number = 0
        try:
            while number < count:
                number += 1
                self.write(f"data: {number}\n\n")
                await self.flush()
                await asyncio.sleep(interval_seconds)
        except (StreamClosedError, asyncio.CancelledError):
            return


class Echo(WebSocketHandler):
    """Sends back what it gets. The Origin must be this site's own (Tornado's check), so a lost Host header shows."""

    def on_message(self, message: str | bytes) -> None:
        self.write_message(message, binary=isinstance(message, bytes))

    def data_received(self, chunk: bytes) -> None:
        raise NotImplementedError


def application() -> Application:
    """The site's routes."""
    return Application(
        [
            (r"/", Home),
            (r"/profiles", Profiles),
            (r"/profiles/(\d{1,6})", Profile),
            (r"/posts/(\d{1,6})", PostPage),
            (r"/search", Search),
            (r"/signup", SignUp),
            (r"/login", LogIn),
            (r"/live", Live),
            (r"/feed\.xml|/feeds/all\.xml", Feed),
            (r"/sitemap\.xml", Sitemap),
            (r"/robots\.txt", PlainPage, {"text": pages.ROBOTS}),
            (r"/\.well-known/security\.txt", PlainPage, {"text": pages.SECURITY}),
            (r"/healthz", PlainPage, {"text": "ok\n"}),
            (r"/api/profiles/(\d{1,6})", ApiProfile),
            (r"/api/headers", HeadersPage),
            (r"/status/([2-5]\d\d)", Status),
            (r"/bytes/(\d{1,12})", Download),
            (r"/upload", Upload),
            (r"/events", Events),
            (r"/ws", Echo),
            (r"/static/(.*)", StaticFileHandler, {"path": str(Path(__file__).with_name("static"))}),
        ],
        websocket_max_message_size=16 * MIB,
        default_handler_class=NotFoundPage,
        log_function=lambda _: None,
    )


class NotFoundPage(Page):
    def prepare(self) -> None:
        raise HTTPError(404)


async def serve(host: str, port: int, ready: asyncio.Future[int] | None = None) -> None:
    """Serve until cancelled; `ready` gets the port, for a caller that asked for port 0."""
    server = HTTPServer(application(), max_body_size=MAX_UPLOAD, max_buffer_size=4 * MIB, idle_connection_timeout=300)
    sockets = bind_sockets(port, host)
    server.add_sockets(sockets)
    if ready is not None:
        ready.set_result(sockets[0].getsockname()[1])
    await asyncio.Event().wait()
