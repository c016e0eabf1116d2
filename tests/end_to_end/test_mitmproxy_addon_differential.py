"""The same 2,000 requests through our front and through a plain mitmdump with the addon.

Each request comes on a connection of its own, from a trusted proxy that names its client. Compared are the status, whether the
upstream saw the request and what of it, and the audit records: rule, action, score, tags, what rules in shadow would have done.
What differs is listed here by name, with its reason; a name that no longer differs has to leave the list.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import pytest

from tests.end_to_end.mitmdump import mitmproxy
from tests.end_to_end.processes import RULES, proxyguard, wait_until
from tests.end_to_end.raw_upstream import RawUpstream, Received, raw_upstream
from tests.http.http1.odd_requests import ODD_REQUESTS, Pending
from tests.requests_corpus import corpus

COUNT: Final = 2000
SECONDS: Final = 20.0
SECONDS_IF_DIFFERENT: Final = 1.0
"""How long an answer is waited for."""

SETTINGS: Final = """\
trust: {proxies: [127.0.0.0/8], keep: [x-authenticated-userid]}
audit: {passes: 1, path: AUDIT}
privacy: full
robots: {read: false}
items: {cold_below: 10000}
key_secret: the-same-for-both-fronts-0123456789
"""

LIMITS: Final = """\
name: differential
description: What the bundled rules have in shadow or by the minute, in force and by the day.
rules:
  - name: profiles-by-client
    why: A limit that counts requests.
    when: {path: {prefix: /profiles/}}
    limit: {rate: 1/day, burst: 1, per: [client]}
    action: reject
  - name: forms-by-network
    why: A limit that ends in a ban.
    when: {method: POST, path: [/signup, /login]}
    limit: {rate: 3/day, burst: 3, per: [network]}
    action: {ban: {for: 1h}}
  - name: not-found
    why: A limit that counts responses.
    when: {path: {prefix: /tags/}}
    limit: {rate: 2/day, burst: 2, per: [client], count: {status: 404}}
    action: {reject: {status: 404}}
  - name: sessions
    why: A limit by what a cookie says.
    when: {path: {prefix: [/posts/, /search, /feed]}}
    limit: {rate: 1/day, burst: 1, per: [cookie.session], missing: skip}
    action: reject
  - name: scripts-in-a-tarpit
    why: A tarpit.
    when: {user_agent: {word: Scrapy}}
    action: {tarpit: {hold: 2s}}
  - name: scanners-dropped
    why: A drop.
    when: {user_agent: {word: sqlmap}}
    action: drop
  - name: a-query
    why: A condition about a query.
    when: {query: {page: ["7", "11"]}}
    action: reject
  - name: a-cookie
    why: A condition about a cookie.
    when: {cookie: {session: [s3, s4]}}
    action: {reject: {status: 418, message: "No."}}
  - name: other-methods
    why: A condition about the method.
    when: {method: [PROPFIND, DELETE]}
    action: {reject: {status: 423}}
  - name: no-accept
    why: Points.
    when: {header: {accept: absent}}
    action: {score: 25}
"""

DIFFERENT: Final[dict[str, str]] = {
    name: reason
    for reason, names in {
        # The addon sees what mitmproxy has read, and the upstream gets that, written anew: one reading.
        "mitmproxy tidies up what the front refuses": (
            "bare LF after a field", "extension of 300 bytes", "size of 17 digits", "bare LF for trailers",
            "extensions for nothing",
            "NUL in the extension", "CR before", "bare LF ends the head", "CR CR LF after a field",
            "CR CR LF after the request line",
            "LF CR LF ends the head", "bare LF throughout", "two spaces before the version", "space after the size",
            "tab instead of a space", "vertical tab in a value", "byte above 127 in the extension", "space after the version",
            "bare LF after the request line", "leading space", "two spaces before the target",
            "bare CR in the extension", "form feed in a value",
        ),
        "mitmproxy closes or waits where the front answers": (
            "LF before", "HTTP/2 preface", "no size", "size with a plus", "chunk ended by bare CR", "one empty line before",
            "chunk longer than its size", "Transfer-Encoding with a vertical tab", "space before the size",
            "chunk shorter than its size", "size at the end of 64 bits", "negative size", "endless request line",
            "chunk ended by bare LF", "bare LF after the extension", "size beyond 64 bits", "size with a comma", "SOCKS greeting",
            "bare LF after the size", "space before the extension", "size that is not a number", "SSH banner",
            "size in another base", "endless head", "size with an underscore", "chunk not ended", "last chunk ended by bare LF",
            "endless method", "TLS hello", "two empty lines before",
        ),
        "mitmproxy cannot read trailers of HTTP/1, and waits": (
            "trailer that is authorization", "trailers ended by bare LF", "NUL in a trailer", "trailer ended by bare LF",
            "trailer without a name", "trailer without a colon", "trailer that is framing", "trailer that is routing",
            "folded trailer", "trailer", "101 trailers", "trailer that forges an address", "trailers too long",
        ),
        "mitmproxy refuses by itself, with 400": (
            "CONNECT in authority-form", "CONNECT in origin-form", "Transfer-Encoding twice", "Transfer-Encoding twice, one odd",
            "Transfer-Encoding: quoted", "empty Transfer-Encoding", "Transfer-Encoding: chunked with a parameter",
            "Transfer-Encoding: chunked with a comma", "Transfer-Encoding: chunked, identity",
            "Content-Length with leading zeros",
            "Transfer-Encoding: xchunked", "Transfer-Encoding: identity",
        ),
        "mitmproxy takes an absolute target apart, and forgets its scheme": (
            "absolute-form with a query only", "absolute-form with https's port", "OPTIONS in absolute-form",
        ),
    }.items()
    for name in names
}  # fmt: skip
"""Odd requests whose outcomes differ, each with the reason."""

CONNECTION_ONLY: Final = frozenset({b"connection", b"x-proxyguard-hop"})
"""What is about the connection to the upstream (mitmproxy closes it when the client asks to close its own), and the mark by which
the front knows a request that comes back to it."""


ODD_CLIENT: Final = "127.0.0.1"
"""Of the odd requests, which name no other. How many of them are counted differs, so its records do."""


class Sent(NamedTuple):
    """One request: its name for a report, and its bytes."""

    name: str
    raw: bytes


class Outcome(NamedTuple):
    """What became of a request: its status (empty: no answer) and the requests that the upstream saw."""

    status: bytes
    seen: tuple[tuple[Any, ...], ...]


class Run(NamedTuple):
    """One front's outcomes, in order, and its audit records."""

    outcomes: list[Outcome]
    records: Counter[tuple[Any, ...]]


CLAIMS: Final = (
    b"X-Real-IP: 192.0.2.77", b"Forwarded: for=192.0.2.78", b"True-Client-IP: 192.0.2.79", b"X-Http-Method-Override: DELETE",
    b"X_Forwarded_For: 192.0.2.80", b"X-Authenticated-Userid: 7", b"Remote-User: root", b"X-Original-URL: /admin",
    b"Proxy: http://192.0.2.81", b"X-Ssl-Client-Cert: x", b"TE: trailers", b"Keep-Alive: timeout=5", b"X-Plain: a  b",
    b"x-plain: c", b"Cookie: extra=1; extra=2", b"Accept-Language: de", b"Accept: text/html", b"X-Forwarded-Host: other.example",
)  # fmt: skip


def requests() -> list[Sent]:
    """Requests of the corpus as HTTP/1, decorated with claims and bodies, and the odd ones between them."""
    random = Random(11)
    odd = [Sent(name, raw) for name, raw, expectation in ODD_REQUESTS if not isinstance(expectation, Pending)]
    made: list[Sent] = []
    for number, each in enumerate(corpus(COUNT - len(odd), seed=11)):
        sketch = each.sketch
        target = sketch.path.encode()
        version = b"1.0" if sketch.http_version == "1.0" else b"1.1"
        fields = [b"%b: %b" % (name.encode(), value.encode()) for name, value in sketch.headers]
        fields += random.sample(CLAIMS, random.choice((0, 0, 1, 3)))
        random.shuffle(fields)
        fields.append(b"X-Forwarded-For: 192.0.2.250, %b" % sketch.client.encode())
        if random.random() < 0.8:
            fields.append(b"X-Forwarded-Proto: %b" % sketch.scheme.encode())
        body = b""
        if sketch.method in ("POST", "PUT"):
            if version == b"1.1" and random.random() < 0.3:
                fields.append(b"Transfer-Encoding: chunked")
                body = b"5\r\nname=\r\n3\r\nada\r\n0\r\n\r\n"
            else:
                fields.append(b"Content-Length: 8")
                body = b"name=ada"
        if random.random() < 0.1:
            target = b"http://www.example.org" + target
            fields = [field for field in fields if not field.lower().startswith(b"host: www.example.org:")]
            if not any(field.lower().startswith(b"host:") for field in fields):
                fields.append(b"Host: www.example.org")
        head = [b"%b %b HTTP/%b" % (sketch.method.encode(), target, version), *fields]
        made.append(Sent(f"corpus {number}", b"\r\n".join([*head, b"", body])))
    for each_odd in odd:
        made.insert(random.randrange(len(made)), each_odd)
    return made


def answer(connection: socket.socket, received: Received) -> None:
    """404 for tags that do not exist, else 200."""
    status = b"404 Not Found" if b"/tags/" in received.line else b"200 OK"
    connection.sendall(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)


def ask(port: int, raw: bytes, seconds: float) -> bytes:
    """The status of the first final response, read to the end of its body where its length is known; empty when there is none."""
    data = b""
    gone = contextlib.suppress(ConnectionResetError, BrokenPipeError, TimeoutError)
    with gone, socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(raw)
        while part := connection.recv(65536):
            data = (data + part).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
            head, end, body = data.partition(b"\r\n\r\n")
            if end and (raw.startswith(b"HEAD ") or len(body) >= length_of(head)):
                break
    return data[9:12]


def length_of(head: bytes) -> int:
    """The length of a body, 0 of one that a tarpit drips."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def seen(received: Received, upstream: RawUpstream) -> tuple[Any, ...]:
    """What of a request is inspected: method and target, fields in their order, body."""
    head = received.head.removesuffix(b"\r\n\r\n").replace(b"127.0.0.1:%d" % upstream.port, b"upstream")
    lines = head.split(b"\r\n")
    fields = tuple(line for line in lines[1:] if line.partition(b":")[0].lower() not in CONNECTION_ONLY)
    return lines[0].rpartition(b" ")[0], fields, received.body


def through(port: int, upstream: RawUpstream, sent: list[Sent]) -> Iterator[Outcome]:
    """Send all, one after the other. The upstream is named alike, as clients of HTTP/1.0 may name none."""
    for each in sent:
        upstream.whole.clear()
        status = ask(port, each.raw, SECONDS if each.name not in DIFFERENT else SECONDS_IF_DIFFERENT)
        yield Outcome(status, tuple(seen(received, upstream) for received in upstream.whole))


def records_of(path: Path) -> Counter[tuple[Any, ...]]:
    """Audit records of the corpus, without what must differ: time, reference, duration."""
    names = ("client", "method", "host", "path", "rule", "action", "mode", "score", "class", "tags", "shadow")
    lines = (json.loads(line) for line in path.read_text().splitlines())
    return Counter(tuple(json.dumps(record.get(name)) for name in names) for record in lines if record["client"] != ODD_CLIENT)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled rules and ours. The bundled ones without their tests, which ours would break, and with limits of a month, so
    that it does not matter how fast a front is."""
    folder = tmp_path_factory.mktemp("rules") / "rules"
    shutil.copytree(RULES, folder)
    (folder / "65-reading-by-jar.yaml").unlink()  # what is cold depends on the order of requests
    for file in folder.glob("*.yaml"):
        text = file.read_text().partition("\ntests:\n")[0] + "\n"
        text = re.sub(r", window: calendar|, learned: \{[^}]*\}", "", text)  # no calendar has such windows
        file.write_text(re.sub(r"(rate: \d+)/\w+", r"\1/30d", text))
    (folder / "05-differential.yaml").write_text(LIMITS)
    return folder


@pytest.fixture(scope="module")
def sent() -> list[Sent]:
    return requests()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, rules: Path, sent: list[Sent]) -> Run:
    folder = tmp_path_factory.mktemp("front")
    audit = folder / "audit.jsonl"
    settings = SETTINGS.replace("AUDIT", str(audit))
    with raw_upstream(answer) as upstream, proxyguard(folder, upstream.url, rules=rules, settings=settings) as running:
        outcomes = list(through(running.port, upstream, sent))
        assert "Traceback" not in running.said()
        assert upstream.faults == []
    return Run(outcomes, records_of(running.audit))


@pytest.fixture(scope="module")
def addon(tmp_path_factory: pytest.TempPathFactory, rules: Path, sent: list[Sent]) -> Run:
    folder = tmp_path_factory.mktemp("addon")
    config, audit = folder / "proxyguard.yaml", folder / "audit.jsonl"
    config.write_text(SETTINGS.replace("AUDIT", str(audit)))
    options = ("--set", f"proxyguard_rules={rules}", "--set", f"proxyguard_config={config}", "-q")
    with raw_upstream(answer) as upstream, mitmproxy(folder, upstream.url, *options) as running:
        wait_until(audit.exists, "the addon opens its audit log")
        outcomes = list(through(running.port, upstream, sent))
        assert "could not be checked" not in running.said()
        assert "Addon error" not in running.said()
        assert upstream.faults == []
    return Run(outcomes, records_of(audit))


def differing(sent: list[Sent], front: Run, addon: Run) -> dict[str, tuple[Outcome, Outcome]]:
    pairs = zip(sent, front.outcomes, addon.outcomes, strict=True)
    return {each.name: (one, other) for each, one, other in pairs if one != other}


def test_both_fronts_answer_alike_and_the_upstream_sees_the_same(sent: list[Sent], front: Run, addon: Run) -> None:
    assert len(sent) == COUNT
    found = differing(sent, front, addon)
    unexplained = {name: pair for name, pair in found.items() if name not in DIFFERENT}
    assert unexplained == {}
    assert DIFFERENT.keys() - found.keys() == set()


def test_both_fronts_decide_alike(front: Run, addon: Run) -> None:
    assert front.records - addon.records == Counter()
    assert addon.records - front.records == Counter()


def test_the_comparison_meets_all_that_it_is_about(front: Run) -> None:
    statuses = Counter(outcome.status for outcome in front.outcomes)
    assert {b"200", b"", b"400", b"403", b"404", b"418", b"423", b"429"} <= statuses.keys()
    assert min(statuses[status] for status in (b"403", b"400")) >= 20
    rules = {json.loads(record[4]) for record in front.records}
    assert {"profiles-by-client", "forms-by-network", "not-found", "sessions", "scripts-in-a-tarpit", "scanners-dropped"} <= rules
