"""The HTTP of dashboard and API: who may, in what form, how often; and with which headers. Everything else is done elsewhere."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any, Final

import msgspec
from tornado.iostream import StreamClosedError

from proxyguard import __version__
from proxyguard.instance.admin.access import Access, Caller, Right
from proxyguard.instance.admin.live_feed import LiveFeed
from proxyguard.instance.admin.messages import ApiRights
from proxyguard.instance.admin.openapi import document
from proxyguard.instance.admin.operations import PATHS, ApiOperation, Parameter, question
from proxyguard.instance.admin.page_files import PageFile
from proxyguard.instance.admin.questions import Questions
from proxyguard.instance.admin.shared_answers import RequestPace, SharedAnswers
from proxyguard.instance.control.server import AdminPage, CommandError, Instance, is_one_of

MAX_BODY_BYTES: Final = 64 * 1024

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Of every answer. Nothing inline, nothing from elsewhere, and no text that becomes markup."""

STRICT_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
}

WRONG_TOKENS_A_LINE: Final = 100
"""One of so many wrong tokens is worth a line in the log, after the first."""

BEYOND_PACE_SECONDS: Final = 1.0
"""Who asks too fast waits so long for the refusal, so that its connections (64 in all) cannot keep the process busy."""

logger = logging.getLogger(__name__)


class Services:
    """What all pages of the dashboard share."""

    def __init__(self, instance: Instance, access: Access, questions: Questions) -> None:
        self.instance = instance
        self.access = access
        self.questions = questions
        self.answers = SharedAnswers()
        self.feed = LiveFeed(questions.feed)
        self.strangers = RequestPace()
        self.known = RequestPace()
        self.wrong_tokens = 0
        self.document = json.dumps(document(__version__)).encode()


class StrictPage(AdminPage):
    """A page with strict headers, at a bounded pace. `services` are those of the dashboard."""

    def initialize(self, services: Services, **arguments: Any) -> None:  # type: ignore[override]  # tornado's is untyped
        super().initialize(**arguments)
        self.services = services
        self.caller = Caller(Right.NOTHING)

    def set_default_headers(self) -> None:
        super().set_default_headers()
        for name, value in STRICT_HEADERS.items():
            self.set_header(name, value)

    async def prepare(self) -> None:  # type: ignore[override]  # tornado awaits what it returns
        super().prepare()
        if self._finished:
            return
        services = self.services
        self.caller = services.access.judge(self.request.remote_ip or "", self.request.version, self.request.headers)
        if self.caller.wrong:
            services.wrong_tokens += 1
            if services.wrong_tokens % WRONG_TOKENS_A_LINE == 1:
                logger.warning("admin: wrong token from %s (%d so far)", self.request.remote_ip, services.wrong_tokens)
        pace = services.known if self.caller.by_token else services.strangers
        if not pace.admits():
            await asyncio.sleep(BEYOND_PACE_SECONDS)
            self.set_header("Retry-After", "1")
            self.refuse(HTTPStatus.TOO_MANY_REQUESTS, "more requests than the admin port answers in a second")

    def refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with a problem."""
        self.set_status(status)
        self.set_header("Content-Type", "application/problem+json")
        self.finish(json.dumps({"title": status.phrase, "status": status.value, "detail": detail}))

    def methods(self) -> tuple[str, ...]:
        """What is answered here."""
        return ("GET",)

    def write_error(self, status_code: int, **_kwargs: Any) -> None:
        if status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join(self.methods()))
        self.refuse(HTTPStatus(status_code), "" if status_code != HTTPStatus.MISDIRECTED_REQUEST else "name it in admin_hosts")

    def compute_etag(self) -> None:
        """None: answers are of the moment; files have tags of their own."""

    def may(self, right: Right) -> bool:
        """Whether the caller may; if not, it is answered."""
        if self.caller.right >= right:
            return True
        if self.caller.right is Right.NOTHING or not self.caller.by_token:
            self.set_header("WWW-Authenticate", 'Bearer realm="proxyguard"')
            has = "the token is wrong" if self.caller.wrong else "send a token: Authorization: Bearer …"
            none = "" if self.services.access.has_tokens or right is Right.READ else "; none is set, see the setting admin_token"
            self.refuse(HTTPStatus.UNAUTHORIZED, has + none)
        else:
            self.refuse(HTTPStatus.FORBIDDEN, "this token may only read")
        return False

    def is_from_another_site(self) -> bool:
        """Whether a page of another site sends it. No such page has the token; this is the second lock on that door."""
        origin = self.request.headers.get("Origin")
        if self.request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
            return True
        if origin is None or "Sec-Fetch-Site" in self.request.headers:
            return False
        host = origin.partition("://")[2]
        return host != self.request.host and not is_one_of(host, self.hosts or frozenset())


class Asset(StrictPage):
    """A file of the page. It holds nothing of the instance, so everybody may have it."""

    def initialize(self, file: PageFile, **arguments: Any) -> None:  # type: ignore[override]  # as above
        super().initialize(**arguments)
        self.file = file

    def get(self) -> None:
        self.set_header("Content-Type", self.file.kind)
        self.set_header("Cache-Control", "no-cache")
        self.set_header("Etag", self.file.tag)
        if self.check_etag_header():
            self.set_status(HTTPStatus.NOT_MODIFIED)
            self.finish()
        else:
            self.finish(self.file.content)

    head = get

    def methods(self) -> tuple[str, ...]:
        return ("GET", "HEAD")


class ToDashboard(StrictPage):
    """The way to the page, relative: a proxy may have put a prefix before it."""

    def get(self) -> None:
        self.set_status(HTTPStatus.FOUND)
        self.set_header("Location", "dashboard/")
        self.finish()

    head = get

    def methods(self) -> tuple[str, ...]:
        return ("GET", "HEAD")


class SessionPage(StrictPage):
    """What the caller may do."""

    def get(self) -> None:
        if self.caller.wrong:
            self.may(Right.READ)
            return
        right = self.caller.right
        rights = ApiRights(
            read=right >= Right.READ, write=right >= Right.WRITE, by_token=self.caller.by_token, version=__version__
        )
        self.set_header("Content-Type", "application/json")
        self.finish(msgspec.json.encode(rights))


class OpenApi(StrictPage):
    """The description of the API."""

    def get(self) -> None:
        if self.may(Right.READ):
            self.set_header("Content-Type", "application/json")
            self.finish(self.services.document)


class Api(StrictPage):
    """All operations of one path."""

    def initialize(self, path: str, **arguments: Any) -> None:  # type: ignore[override]  # as above
        super().initialize(**arguments)
        self.operations = PATHS[path]

    async def get(self, **parts: str) -> None:
        operation = self._operation("GET")
        if operation is None or not self.may(operation.right):
            return
        given = self._given(operation, parts)
        if given is not None:
            arguments = question(operation, given)
            key = f"{operation.name} {sorted(arguments.items())}"
            answering = self.services.answers.get(key, lambda: self.services.questions.read(operation, arguments))
            await self._answer(operation, answering)

    async def post(self, **parts: str) -> None:
        operation = self._operation("POST")
        if operation is None or not self.may(operation.right):
            return
        if self.is_from_another_site():
            self.refuse(HTTPStatus.FORBIDDEN, "a page of another site may not act here")
            return
        body = self._body(operation)
        if body is not None and self._given(operation, parts) is not None:
            who = f"by the API from {self.request.remote_ip}"
            await self._answer(operation, self.services.questions.order(operation, body, who))
            self.services.answers.forget()

    def _operation(self, method: str) -> ApiOperation | None:
        operation = self.operations.get(method)
        if operation is None:
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        return operation

    def methods(self) -> tuple[str, ...]:
        return tuple(self.operations)

    def _given(self, operation: ApiOperation, parts: dict[str, str]) -> dict[str, str] | None:
        """The parameters by name; None: they are wrong, and that is answered."""
        known = {each.name: each for each in operation.parameters}
        found = dict(parts)
        for name, values in self.request.query_arguments.items():
            parameter = known.get(name)
            if parameter is None or parameter.place != "query" or len(values) != 1:
                self.refuse(HTTPStatus.BAD_REQUEST, f"the query has something else than {sorted(_queried(known))}, or twice")
                return None
            found[name] = values[0].decode("utf-8", "replace")
        if self.request.query and not self.request.query_arguments:
            self.refuse(HTTPStatus.BAD_REQUEST, "the query is not read: a name, =, a value")
            return None
        for name, value in found.items():
            if not re.fullmatch(known[name].pattern, value, re.ASCII):
                hint = f": {', '.join(known[name].choices)}" if known[name].choices else ""
                self.refuse(HTTPStatus.BAD_REQUEST, f"{name} is not as described{hint}")
                return None
        return found

    def _body(self, operation: ApiOperation) -> dict[str, Any] | None:
        """The arguments that a body holds; None: they are wrong, and that is answered."""
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            self.refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/json")
        elif len(self.request.body) > MAX_BODY_BYTES:
            self.refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY_BYTES} bytes")
        else:
            try:
                body = msgspec.json.decode(self.request.body, type=operation.body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                self.refuse(HTTPStatus.BAD_REQUEST, str(error))
            else:
                arguments: dict[str, Any] = msgspec.to_builtins(body)
                return arguments
        return None

    async def _answer(self, operation: ApiOperation, answering: Awaitable[bytes]) -> None:
        try:
            data = await answering
        except CommandError as error:
            self.refuse(operation.refused, str(error))
        except KeyError as error:
            if self.services.instance.ready:
                raise
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"the instance is starting or stopping ({error})")
        else:
            self.set_header("Content-Type", "application/json")
            self.finish(data)


def _queried(known: dict[str, Parameter]) -> list[str]:
    return [name for name, each in known.items() if each.place == "query"]


class EventStream(StrictPage):
    """The live feed, as long as the reader wants it. Implements `live_feed.FeedReader`."""

    async def get(self) -> None:
        if not self.may(Right.READ):
            return
        self._over = asyncio.Event()
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        if not self.services.feed.join(self):
            self.clear_header("X-Accel-Buffering")
            self.set_header("Retry-After", "10")
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "all streams of the live feed are taken")
            return
        try:
            await self._over.wait()
        finally:
            self.services.feed.leave(self)

    def is_behind(self) -> bool:
        return bool(self.request.connection.stream.writing())  # type: ignore[union-attr]  # a connection of HTTP/1 has one

    def send(self, data: bytes) -> None:
        self.write(data)
        sent = asyncio.ensure_future(self.flush())
        sent.add_done_callback(self._sent)

    def end(self) -> None:
        self._over.set()

    def on_connection_close(self) -> None:
        if hasattr(self, "_over"):
            self._over.set()

    def _sent(self, sent: asyncio.Future[None]) -> None:
        if not sent.cancelled() and isinstance(sent.exception(), StreamClosedError):
            self._over.set()
