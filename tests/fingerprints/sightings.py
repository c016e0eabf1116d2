"""A real front that serves TLS and writes down what each connection shows of its client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from proxyguard.adapters.mitmproxy.http2.layer import Http2Layer
from proxyguard.core.request import Request
from proxyguard.core.settings import Listen
from proxyguard.guard.interfaces import Ticket
from proxyguard.http.fingerprints.claimed_kind import claimed_kind
from proxyguard.http.fingerprints.contradictions import contradictions
from proxyguard.http.fingerprints.facts import client_kind, hello_kind, http2_of, ja4_of
from tests.adapters.certificates import write_certificate
from tests.adapters.fakes import HeaderChecker
from tests.adapters.front_rig import LOOPBACK, FrontRig, Handler, fronted, hello
from tests.fingerprints.recording import plain


def sighting(request: Request) -> dict[str, Any]:
    """What a request and its connection show, as plain values."""
    facts = request.connection
    seen: dict[str, Any] = {
        "path": request.path.decode(),
        "version": request.http_version.decode(),
        "claimed": claimed_kind(request.user_agent).kind.decode(),
        "user_agent": (request.user_agent or b"").decode("latin-1"),
        "contradictions": [each.decode() for each in contradictions(request)],
        "order": [name.decode("latin-1") for name, _ in request.headers],
    }
    if facts is not None:
        seen |= {
            "tls": facts.tls_version.decode(),
            "hello": hello_kind(facts).decode(),
            "kind": client_kind(facts).decode(),
            "ja4": ja4_of(facts).decode(),
            "http2": http2_of(facts).decode(),
            "first_record": facts.first_record,
            "path_forms": facts.path_forms,
            "wasteful": facts.is_wasteful,
        }
    return seen


class SightingChecker(HeaderChecker):
    """Writes down each request when it is asked about; `recordings` beside, as `recording` keeps them."""

    def __init__(self) -> None:
        super().__init__()
        self.sightings: list[dict[str, Any]] = []
        self.recordings: list[dict[str, Any]] = []

    def check(self, request: Request) -> Ticket:
        self.recordings.append(plain(request))
        self.sightings.append(sighting(request))
        return super().check(request)

    def first_of(self, name: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """What was written of the first request for a path, and its recording."""
        for seen, kept in zip(self.sightings, self.recordings, strict=True):
            if seen["path"] == f"/{name}":
                return seen, kept
        return None


@asynccontextmanager
async def sighted(folder: Path, handler: Handler = hello, **settings: Any) -> AsyncIterator[tuple[FrontRig, SightingChecker]]:
    """The front; `https://localhost:PORT`."""
    certificate = write_certificate(folder, "front", "localhost", LOOPBACK)
    checker = SightingChecker()
    async with fronted(
        handler,
        checker=checker,
        listen=(Listen(LOOPBACK, 0),),
        site={"certificate": certificate},
        front={"http2_layer": Http2Layer},
        **settings,
    ) as rig:
        yield rig, checker
