"""Runs the same sessions on real sockets through a front, each from its own address of loopback, bounded in number and time.

Whoever answered is told by the header that the site adds: an answer without it is the front's own, whatever front it is. Time is
real, so that a run takes the part of a scenario that fits into `seconds`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from typing import Final

from proxyguard.core.request import Headers
from proxyguard.tools.range.connections import recorded_hellos
from proxyguard.tools.range.firewall import Verdict
from proxyguard.tools.range.site import ITEMS_HEADER
from proxyguard.tools.range.spoken_tls import SpokenTls
from proxyguard.tools.range.tally import CohortTally
from proxyguard.tools.range.values import HOST, Arrival, Cohort, Fetch, Received, Session
from proxyguard.tools.range.virtual import Running, Told, count

MAX_SECONDS: Final = 900.0
MAX_SESSIONS: Final = 1_000
"""Sessions at a time; further arrivals wait."""

DRIPS: Final = 20
"""Pieces in which a slow sender sends its request."""

MAX_CONNECTIONS: Final = 256
MAX_HEAD: Final = 64 * 1024
MAX_ANSWER: Final = 4 * 1024 * 1024

ITEMS: Final = ITEMS_HEADER.lower().encode()
CHUNKED: Final = b"chunked"
LAST_CHUNK: Final = b"0\r\n\r\n"

SEE_OTHER: Final = 303
"""To the page that was asked for: a front that only has its client fetch a cookie refuses nobody."""

FRONT: Final = "front"
"""What stands for the rule in the figures: a front does not say which of its rules refused."""


class WireRun:
    """One run through the front at a host and port of loopback. `seconds` from the first cohort's begin on."""

    def __init__(
        self, cohorts: Sequence[tuple[Cohort, Iterator[Arrival]]], host: str, port: int, begin: float, seconds: float,
        tls: ssl.SSLContext | None = None, *, speaks: bool = False,
    ) -> None:  # fmt: skip
        """`tls` is for who speaks like Python. `speaks`: the others begin with the hello that was recorded of their software."""
        self.tallies = [CohortTally(cohort, seconds) for cohort, _ in cohorts]
        self.failed = 0
        """Requests whose connection could not be made or broke: they are no decision."""
        self._arrivals = [arrivals for _, arrivals in cohorts]
        self._host, self._port = host, port
        self._tls = tls
        self._hellos = recorded_hellos() if speaks else {}
        self._begin = begin
        self._seconds = min(seconds, MAX_SECONDS)
        self._sessions = asyncio.Semaphore(MAX_SESSIONS)
        self._connections = asyncio.Semaphore(MAX_CONNECTIONS)
        self._start = 0.0
        self._told: Told | None = None

    async def run(self, told: Told | None = None) -> None:
        """Run until the time is over; sessions that are under way then are left where they are. `told` hears of every answer."""
        self._told = told
        self._start = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._seconds), asyncio.TaskGroup() as group:
                for arrivals, tally in zip(self._arrivals, self.tallies, strict=True):
                    group.create_task(self._cohort(group, arrivals, tally))
        except TimeoutError:
            return

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._start

    async def _cohort(self, group: asyncio.TaskGroup, arrivals: Iterator[Arrival], tally: CohortTally) -> None:
        for arrival in arrivals:
            await asyncio.sleep(arrival.at - self._begin - self._now())
            await self._sessions.acquire()
            group.create_task(self._session(arrival.session, tally))

    async def _session(self, session: Session, tally: CohortTally) -> None:
        try:
            fetch = next(session, None)
            if fetch is None:
                return
            tally.sessions += 1
            running = Running(session, tally)
            while True:
                await asyncio.sleep(fetch.wait_seconds)
                sent = self._now()
                async with self._connections:
                    verdict, seen, length = await self._exchange(fetch)
                if verdict.forwards:
                    tally.latencies.add(self._now() - sent)
                if self._told is not None:
                    self._told(fetch, verdict, self._begin + sent)
                count(running, fetch, verdict, seen, sent)
                tally.pay(fetch.source, length, fetch.dollars)
                fetch = session.send(seen._replace(at=self._begin + self._now()))
        except StopIteration:
            return
        finally:
            self._sessions.release()

    async def _exchange(self, fetch: Fetch) -> tuple[Verdict, Received, int]:
        """One request on a connection of its own, from the address of its client."""
        writer: asyncio.StreamWriter | SpokenTls | None = None
        try:
            async with asyncio.timeout(fetch.patience_seconds):
                hello = self._hellos.get(fetch.source.speaks)
                tls = self._tls if hello is None else None
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, limit=MAX_HEAD, local_addr=(fetch.source.address.text, 0), ssl=tls,
                    server_hostname=HOST.decode() if tls is not None else None,
                )  # fmt: skip
                if hello is not None:
                    writer = await SpokenTls.begun(hello, HOST, reader, writer, MAX_HEAD)
                    reader = writer.reader
                await _send(writer, request_bytes(fetch), fetch.drip_seconds)
                return await _read(reader, fetch.target)
        except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError) as error:
            refused = Verdict(forwards=False, rule=FRONT)
            if not isinstance(error, TimeoutError) and writer is None:
                self.failed += 1
            return refused, Received(0), 0
        finally:
            if writer is not None:
                writer.close()


def client_tls() -> ssl.SSLContext:
    """TLS towards a front of this machine as Python speaks it. The front's certificate is whatever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _send(writer: asyncio.StreamWriter | SpokenTls, data: bytes, seconds: float) -> None:
    """All at once, or in pieces over so many seconds."""
    pieces = DRIPS if seconds else 1
    size = -(-len(data) // pieces)
    for at in range(0, len(data), size):
        writer.write(data[at : at + size])
        await writer.drain()
        if seconds:
            await asyncio.sleep(seconds / pieces)


def request_bytes(fetch: Fetch) -> bytes:
    """The request as it goes over the socket: its fields in their order."""
    lines = [b"%s %s HTTP/1.1" % (fetch.method, fetch.target), *(b"%s: %s" % field for field in fetch.headers), b"", fetch.body]
    return b"\r\n".join(lines)


async def _read(reader: asyncio.StreamReader, target: bytes) -> tuple[Verdict, Received, int]:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head[:-4].split(b"\r\n")
    status = int(first.partition(b" ")[2][:3])
    fields: Headers = tuple((name, value.strip()) for name, _, value in (line.partition(b":") for line in lines))
    by_name = {name.lower(): value for name, value in fields}
    length = await _drain(reader, status, by_name)
    items = by_name.get(ITEMS)
    kept = tuple(field for field in fields if field[0].lower() != ITEMS)
    if items is not None:
        return Verdict(), Received(status, kept, int(items)), length
    retry = by_name.get(b"retry-after", b"0")
    seen = Received(status, kept, 0, float(retry) if retry.isdigit() else 0.0)
    proves = status == SEE_OTHER and by_name.get(b"location") == target
    return Verdict(forwards=False, status=status, rule=FRONT, headers=kept, proves=proves), seen, length


async def _drain(reader: asyncio.StreamReader, status: int, by_name: dict[bytes, bytes]) -> int:
    """Read the body to its end, however long a tarpit takes."""
    if status in {204, 304}:
        return 0
    stated = by_name.get(b"content-length")
    if stated is not None:
        length = min(int(stated), MAX_ANSWER)
        await reader.readexactly(length)
        return length
    chunked = by_name.get(b"transfer-encoding", b"").lower() == CHUNKED
    length, tail = 0, b""
    while length < MAX_ANSWER:
        data = await reader.read(MAX_HEAD)
        length += len(data)
        tail = (tail + data)[-len(LAST_CHUNK) :]
        if not data or (chunked and tail == LAST_CHUNK):
            break
    return length
