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

from proxyguard.tools.sample_site import content

MIB: Final = 1024 * 1024
MAX_DOWNLOAD: Final = 4096 * MIB
MAX_UPLOAD: Final = 4096 * MIB
CHUNK: Final = bytes(range(256)) * 1024
"""256 KiB of a download: a pattern, so that a lost or repeated byte shows in a digest."""


ROBOTS: Final = "User-agent: *\nDisallow: /search\nDisallow: /api/\nCrawl-delay: 10\nSitemap: /sitemap.xml\n"
SECURITY: Final = "Contact: mailto:security@example.org\nExpires: 2030-01-01T00:00:00Z\nPreferred-Languages: en\n"


class Page(RequestHandler):
    """What all answers have in common."""

    def set_default_headers(self) -> None:
        self.set_header("Server", "commons")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("X-Content-Type-Options", "nosniff")

    def head(self, *parts: str) -> Awaitable[None] | None:
        return self.get(*parts)

    def text(self, text: str | bytes, kind: str = "text/plain") -> None:
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
        self.render("error.html", status=status_code, reason=self._reason)


def found[T](value: T | None) -> T:
    """A person or post that there is. Raises HTTPError for one that there is not."""
    if value is None:
        raise HTTPError(404)
    return value


class Home(Page):
    def get(self) -> None:
        self.render("home.html", posts=content.posts_page(1))


class Profiles(Page):
    def get(self) -> None:
        page = int(self.number("page", 1, 1, 1000))
        pages = -(-content.PEOPLE // content.PAGE_SIZE)
        self.render("profiles.html", people=content.people_page(page), page=page, pages=pages)


class Profile(Page):
    def get(self, number: str) -> None:
        person = found(content.person(int(number)))
        self.render("profile.html", person=person, posts=content.posts_by(person))


class PostPage(Page):
    def get(self, number: str) -> None:
        self.render("post.html", posts=[found(content.post(int(number)))])


class Search(Page):
    def get(self) -> None:
        words = self.get_query_argument("q", "")[:100]
        self.render("results.html", words=words, people=content.search(words))


class Feed(Page):
    def get(self) -> None:
        feed = self.render_string("feed.xml", origin=self.origin(), posts=content.posts_page(1))
        self.text(feed, "application/atom+xml")


class Sitemap(Page):
    def get(self) -> None:
        self.text(self.render_string("sitemap.xml", origin=self.origin(), people=content.PEOPLE), "application/xml")


class PlainPage(Page):
    def initialize(self, text: str) -> None:
        self._text = text

    def get(self) -> None:
        self.text(self._text)


class Form(Page):
    """A form, with what came of the last try."""

    title: str

    def get(self) -> None:
        self.answer()

    def answer(self, note: str = "", tone: str = "", status: int = 200) -> None:
        self.set_status(status)
        self.render("form.html", title=self.title, note=note, tone=tone)


class SignUp(Form):
    title = "Sign up"

    def post(self) -> None:
        email = self.get_body_argument("email", "")[:200]
        if content.is_taken(email):
            self.answer("That address has an account already.", "bad", 409)
        else:
            self.answer(f"Welcome, {email}!", "good")


class LogIn(Form):
    title = "Log in"

    def post(self) -> None:
        if self.get_body_argument("password", "") == "correct horse":
            self.set_cookie("session", "sample", httponly=True, samesite="Lax")
            self.answer("You are in.", "good")
        else:
            self.answer("That is not the password.", "bad", 401)


class Live(Page):
    def get(self) -> None:
        self.render("live.html")


class ApiProfile(Page):
    def get(self, number: str) -> None:
        self.write(found(content.person(int(number)))._asdict())


class HeadersPage(Page):
    """What arrived here: method, target and header fields, for a look at what a proxy does to them."""

    def get(self) -> None:
        asked = self.request
        headers = sorted(asked.headers.get_all())
        self.write({"method": asked.method, "target": asked.uri, "headers": headers, "peer": asked.remote_ip})

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
            (r"/robots\.txt", PlainPage, {"text": ROBOTS}),
            (r"/\.well-known/security\.txt", PlainPage, {"text": SECURITY}),
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
        template_path=str(Path(__file__).with_name("templates")),
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
