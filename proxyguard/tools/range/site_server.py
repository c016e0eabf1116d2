"""The site of the range behind a socket, on loopback only: what stands behind the front under test in wire mode."""

from __future__ import annotations

from time import monotonic
from typing import Final

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, ResponseStartLine
from tornado.netutil import bind_sockets

from proxyguard.tools.range.site import CLASS_HEADER, ITEMS_HEADER, SiteFunction, account_class, answer, page_body

LOOPBACK: Final = "127.0.0.1"
MAX_BODY: Final = 64 * 1024
BODILESS: Final = frozenset({204, 304})


class SiteServer:
    """Serves the site on a port of loopback, 0 for any free one."""

    def __init__(self, port: int = 0, site: SiteFunction = answer) -> None:
        self._answer = site
        self._began = monotonic()
        self._server = HTTPServer(self._handle, max_body_size=MAX_BODY)
        sockets = bind_sockets(port, LOOPBACK)
        self._server.add_sockets(sockets)
        self.port: int = sockets[0].getsockname()[1]

    def stop(self) -> None:
        self._server.stop()

    def _handle(self, request: HTTPServerRequest) -> None:
        fields = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.get_all())
        target = (request.uri or "/").encode("latin-1")
        method = (request.method or "GET").encode("latin-1")
        found = self._answer(method, target, fields, request.body, monotonic() - self._began)
        body = b"" if found.status in BODILESS else page_body(target, found)
        headers = HTTPHeaders({ITEMS_HEADER: str(found.items), "Content-Type": found.kind.decode("latin-1")})
        if found.status not in BODILESS:
            headers["Content-Length"] = str(len(body))
        class_ = account_class(fields)
        if class_:
            headers[CLASS_HEADER] = class_.decode("ascii")
        for name, value in found.headers:
            headers.add(name.decode("latin-1"), value.decode("latin-1"))
        connection = request.connection
        if connection is not None:
            connection.write_headers(ResponseStartLine("HTTP/1.1", found.status, ""), headers, b"" if method == b"HEAD" else body)
            connection.finish()
