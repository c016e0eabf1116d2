"""Lists of addresses: read, refused when they are damaged or hostile, and installed only from where they may come."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep

import pytest

from proxyguard.guard.origin.https_fetch import FetchFailed, fetch
from proxyguard.guard.origin.range_lists import (
    ListUnusable,
    RangeList,
    format_list,
    newest,
    parse_list,
    parse_networks,
    read_lists,
)
from proxyguard.guard.origin.updating import NotInstalled, UpdateSources, update_list, update_table
from tests.adapters.certificates import write_certificate
from tests.guard.origin.tables import asn_table, country_table

NOW = datetime(2026, 11, 28, tzinfo=UTC).timestamp()
URL = "https://operator.example/bot.json"
KNOWN = RangeList("bot", ("81.2.69.0/24", "93.184.216.0/24"), date(2026, 9, 1), "before", URL, "CC0-1.0", is_complete=True)
PUBLISHED = json.dumps({"creationTime": "x", "prefixes": [{"ipv4Prefix": "81.2.70.0/24"}, {"ipv6Prefix": "2a00:1450::/32"}]})


def test_a_list_is_read_as_it_was_written() -> None:
    assert parse_list("bot", format_list(KNOWN)) == KNOWN
    assert parse_networks(PUBLISHED) == ("81.2.70.0/24", "2a00:1450::/32")
    assert parse_networks("# comment\n81.2.69.142\n2a00:1450::1 # one\n") == ("81.2.69.142/32", "2a00:1450::1/128")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has no networks"),
        ("# only a comment\n", "it has no networks"),
        ("000/0\n", "line 1: '000/0' is not a network"),
        ("0.0.0.0/0\n", "line 1: 0.0.0.0/0 is wider than any operator's network"),
        ("::/0\n", "line 1: ::/0 is wider than any operator's network"),
        ("81.2.69.0/24\n64.0.0.0/7\n", "line 2: 64.0.0.0/7 is wider than any operator's network"),
        ("192.168.1.0/24\n", "line 1: 192.168.1.0/24 is not an address of the internet"),
        ("127.0.0.1\n", "line 1: 127.0.0.1/32 is not an address of the internet"),
        ('{"prefixes": [', "it is JSON that breaks off or is damaged on line 1"),
        ('{"other": 1}', "it is JSON of a shape that is not known"),
        ("<!doctype html>\n<title>404</title>", "line 1: '<!doctype' is not a network"),
    ],
)
def test_a_list_with_one_bad_entry_is_refused_as_a_whole(text: str, why: str) -> None:
    with pytest.raises(ListUnusable) as caught:
        parse_networks(text)
    assert str(caught.value) == why


def test_a_list_without_its_day_is_no_list() -> None:
    with pytest.raises(ListUnusable, match="bot has no line '# date: YYYY-MM-DD'"):
        parse_list("bot", "81.2.69.0/24\n")


def test_the_newest_of_a_name_counts() -> None:
    older = KNOWN._replace(published=date(2026, 8, 1))
    assert newest([older], [KNOWN]) == newest([KNOWN], [older]) == {"bot": KNOWN}


class Publisher:
    """Answers what it is told to, and counts."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked: list[str] = []

    def fetch(self, url: str, most: int) -> bytes:
        self.asked.append(url)
        return self.text.encode()


def test_a_newer_list_is_installed_from_an_allowed_host_only(tmp_path: Path) -> None:
    publisher = Publisher(PUBLISHED)
    for hosts in (frozenset[str](), frozenset({"other.example"}), frozenset({"example"})):
        with pytest.raises(NotInstalled, match=r"operator\.example is not one of identity\.update_hosts"):
            update_list(KNOWN, URL, tmp_path, UpdateSources(hosts, publisher.fetch), NOW)
    assert publisher.asked == []
    for hosts in (frozenset({"*"}), frozenset({"operator.example"})):
        newer = update_list(KNOWN, URL, tmp_path, UpdateSources(hosts, publisher.fetch), NOW)
        assert (newer.networks, newer.published, newer.source) == (("81.2.70.0/24", "2a00:1450::/32"), date(2026, 11, 28), URL)
    with pytest.raises(NotInstalled, match=r"evil\.example is not one of"):
        update_list(KNOWN, "https://evil.example/bot.json", tmp_path, UpdateSources(frozenset({"*"}), publisher.fetch), NOW)
    found, faults = read_lists(tmp_path / "ranges")
    assert (found, faults) == ({"bot": newer}, {})
    assert [path.name for path in (tmp_path / "ranges").iterdir()] == ["bot.txt"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("oops", "line 1: 'oops' is not a network"),
        ("# date: 2027-01-01\n81.2.69.0/24\n", "it is of 2027-01-01, which is in the future"),
        ("# date: 2026-11-01\n0.0.0.0/0\n", "line 2: 0.0.0.0/0 is wider"),
    ],
)
def test_what_is_damaged_is_not_installed_and_the_last_one_stays(tmp_path: Path, text: str, why: str) -> None:
    target = tmp_path / "ranges/bot.txt"
    target.parent.mkdir()
    target.write_text(format_list(KNOWN))
    source = tmp_path / "source"
    source.write_text(text)
    with pytest.raises(NotInstalled, match=why):
        update_list(KNOWN, str(source), tmp_path, UpdateSources(frozenset()), NOW)
    assert target.read_text() == format_list(KNOWN)


def test_a_list_that_was_fetched_does_not_say_where_the_next_one_is(tmp_path: Path) -> None:
    text = "# date: 2026-11-27\n# update: https://inside.example/secret\n81.2.70.0/24\n"
    newer = update_list(KNOWN, URL, tmp_path, UpdateSources(frozenset({"*"}), Publisher(text).fetch), NOW)
    assert (newer.update, newer.published) == (URL, date(2026, 11, 27))
    (tmp_path / "own").write_text(text)
    newer = update_list(KNOWN, str(tmp_path / "own"), tmp_path, UpdateSources(frozenset()), NOW)
    assert newer.update == "https://inside.example/secret"


def test_a_list_that_shrank_is_taken_by_force_only(tmp_path: Path) -> None:
    many = KNOWN._replace(networks=tuple(f"81.2.{number}.0/24" for number in range(10)))
    source = tmp_path / "source"
    source.write_text("81.2.69.0/24\n")
    with pytest.raises(NotInstalled, match="has 1 networks, and the list had 10; --force takes it all the same"):
        update_list(many, str(source), tmp_path, UpdateSources(frozenset()), NOW)
    assert update_list(many, str(source), tmp_path, UpdateSources(frozenset()), NOW, force=True).networks == ("81.2.69.0/24",)


def test_a_table_is_installed_when_it_is_one_of_its_kind(tmp_path: Path) -> None:
    country_table(tmp_path / "source", {"8.8.8.0/24": "US"})
    nowhere = UpdateSources(frozenset())
    update_table("country", str(tmp_path / "source"), tmp_path, nowhere).close()
    before = (tmp_path / "country.mmdb").read_bytes()
    asn_table(tmp_path / "source", {"8.8.8.0/24": (15169, "Google LLC")})
    with pytest.raises(NotInstalled, match="is a table, but not one of countries"):
        update_table("country", str(tmp_path / "source"), tmp_path, nowhere)
    (tmp_path / "source").write_bytes(before[: len(before) // 2])
    with pytest.raises(NotInstalled, match="is no table in MaxMind's format"):
        update_table("country", str(tmp_path / "source"), tmp_path, nowhere)
    assert (tmp_path / "country.mmdb").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["country.mmdb", "source"]


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path.startswith("/slow/"):
            self.drip()
            return
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        self.send_response(404 if self.path == "/none" else 200)
        self.send_header("Content-Length", "100" if self.path == "/short" else "10")
        self.end_headers()
        self.wfile.write(b"0123456789")

    def drip(self) -> None:
        """Send a byte now and then until the client has gone."""
        heads = {
            "/slow/head": b"HTTP/1.1 200 OK\r\nX: ",
            "/slow/length": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
            "/slow/end": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
            "/slow/chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        }
        with contextlib.suppress(OSError):
            self.wfile.write(heads[self.path])
            for _ in range(2000):
                self.wfile.write(b"0")
                sleep(0.01)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ssl.SSLContext]]:
    folder = tmp_path_factory.mktemp("tls")
    made = write_certificate(folder, "server", "localhost")
    answering = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain, made.key)
    answering.socket = context.wrap_socket(answering.socket, server_side=True)
    threading.Thread(target=answering.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"https://localhost:{answering.server_address[1]}", ssl.create_default_context(cafile=str(made.chain))
    answering.shutdown()
    answering.server_close()


def test_a_file_is_fetched_within_its_host_and_its_bounds(server: tuple[str, ssl.SSLContext]) -> None:
    base, context = server

    def got(path: str, most: int = 100) -> bytes:
        return fetch(base + path, max_bytes=most, timeout_seconds=10, context=context)

    assert got("/a") == got("/to//a") == b"0123456789"
    for path, why in (
        ("/none", "answers 404"),
        ("/short", "IncompleteRead|broke off"),
        ("/to/https://other.example/a", r"sends on to other\.example, another host"),
        ("/to/http://localhost/a", "is not an https:// address"),
        ("/to/https://[localhost/a", "Invalid IPv6 URL"),
        ("/to/https://localhost:x/a", "another host"),
        ("/to//to//to//to//a", "is redirected more than 3 times"),
    ):
        with pytest.raises(FetchFailed, match=why):
            got(path)
    with pytest.raises(FetchFailed, match="has more than 9 bytes"):
        got("/a", 9)
    for url, why in (("https://[x/a", "Invalid IPv6 URL"), ("https://localhost:x/a", "Port could not be cast")):
        with pytest.raises(FetchFailed, match=why):
            fetch(url, max_bytes=100, timeout_seconds=10)
    with pytest.raises(FetchFailed, match="certificate verify failed"):
        fetch(f"{base}/a", max_bytes=100, timeout_seconds=10)


@pytest.mark.parametrize("part", ["head", "length", "end", "chunk"])
def test_a_file_that_drips_is_given_up_when_the_time_is_over(server: tuple[str, ssl.SSLContext], part: str) -> None:
    """Wherever it drips: a timeout of the library's begins anew with each read."""
    base, context = server
    with pytest.raises(FetchFailed, match="takes too long"):
        fetch(f"{base}/slow/{part}", max_bytes=10_000, timeout_seconds=0.3, context=context)
