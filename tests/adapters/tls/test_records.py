"""Records after the handshake: the same bytes however they are cut, goodbyes, broken ones, and what is relied upon of OpenSSL."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from proxyguard.adapters.mitmproxy.messages import Abort, Arrived, Heard, Order, Send
from proxyguard.adapters.mitmproxy.private import (
    Client,
    CloseConnection,
    CommandGenerator,
    ConnectionClosed,
    ConnectionState,
    Context,
    Event,
    Layer,
    Options,
)
from proxyguard.adapters.mitmproxy.tls.openssl import SSL, new_buffer
from proxyguard.adapters.mitmproxy.tls.records import BUFFER_BYTES, MAX_CREDIT_BYTES, UPDATE_BYTES, TlsRecords
from proxyguard.core.connection_facts import ConnectionFacts
from proxyguard.core.settings import Bounds
from proxyguard.tools.range.spoken_tls import CIPHERS, DATA, HANDSHAKE, KEY_UPDATE, _Keys, _Schedule
from tests.adapters.certificates import write_certificate
from tests.adapters.front_rig import fronted, rest, run, until
from tests.adapters.http1.rig import FakeUpstream
from tests.adapters.tls.test_certificates import client_context

SIZES = (1, 511, 512, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, 5 * BUFFER_BYTES + 7, 300 * BUFFER_BYTES)
"""Of texts: of less than a record, of one, and of several."""


class Above(Layer):
    """The layer above: remembers what it gets, and answers each event with what is put there."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.events: list[Heard] = []
        self.answers: list[Order] = []

    def handle_event(self, event: Heard) -> Iterable[Order]:  # type: ignore[override]  # an iterable is all that is used
        self.events.append(event)
        answers, self.answers = self.answers, []
        return answers

    def _handle_event(self, event: Event) -> CommandGenerator[None]:
        raise NotImplementedError

    @property
    def plain(self) -> bytes:
        return b"".join(event.data for event in self.events if isinstance(event, Arrived))


class Rig:
    """Both ends of a connection whose handshake is over."""

    def __init__(self, folder: Path, facts: ConnectionFacts | None = None) -> None:
        files = write_certificate(folder, "a", "a.example")
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate_file(str(files.chain))
        context.use_privatekey_file(str(files.key))
        context.set_options(SSL.OP_NO_RENEGOTIATION)
        tls = SSL.Connection(context, None)
        tls.set_accept_state()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        trusting = client_context(files)
        trusting.keylog_filename = str(folder / "secrets")
        self.peer = trusting.wrap_bio(self.incoming, self.outgoing, server_hostname="a.example")
        for _ in range(3):
            for step in (self.peer.do_handshake, tls.do_handshake):
                with suppress(ssl.SSLWantReadError, SSL.WantReadError):
                    step()
                if data := self.outgoing.read():
                    tls.bio_write(data)
                with suppress(SSL.WantReadError):
                    self.incoming.write(tls.bio_read(1 << 16))
        self.client = Client(peername=("192.0.2.1", 1), sockname=("127.0.0.1", 443), state=ConnectionState.OPEN)
        self.above = Above(Context(self.client, Options()))
        self.tls = tls
        self.records = TlsRecords(tls, self.client, self.above, facts, new_buffer(BUFFER_BYTES))

    def send(self, data: bytes) -> list[Order]:
        """What the peer says, as one piece."""
        self.peer.write(data)
        return self.give(self.outgoing.read())

    def give(self, data: bytes) -> list[Order]:
        return self.records.handle_event(Arrived(None, data))

    def take(self, commands: list[Order]) -> bytes:
        """What the peer reads of what is to be sent."""
        for command in commands:
            if isinstance(command, Send):
                self.incoming.write(command.data)
        found = b""
        while True:
            try:
                piece = self.peer.read(1 << 20)
            except ssl.SSLWantReadError:
                return found
            if not piece:
                return found
            found += piece


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.mark.parametrize("size", SIZES)
def test_what_the_client_says_arrives_whole_however_it_is_cut(rig: Rig, size: int) -> None:
    random = Random(size)
    said = random.randbytes(size)
    for start in range(0, size, BUFFER_BYTES):
        rig.peer.write(said[start : start + BUFFER_BYTES])
    records = rig.outgoing.read()
    while records:
        cut = random.choice((1, 5, 700, 20_000, 70_000))
        assert rig.give(records[:cut]) == []
        records = records[cut:]
    assert rig.above.plain == said


@pytest.mark.parametrize("size", SIZES)
def test_what_is_said_to_the_client_arrives_whole(rig: Rig, size: int) -> None:
    said = Random(size).randbytes(size)
    rig.above.answers = [Send(None, said), Send(None, b""), Send(None, b"more")]
    assert rig.take(rig.send(b"?")) == said + b"more"


def test_several_records_of_one_read_are_one_event(rig: Rig) -> None:
    for word in (b"a", b"b", b"c"):
        rig.peer.write(word)
    rig.give(rig.outgoing.read())
    assert [event.data for event in rig.above.events if isinstance(event, Arrived)] == [b"abc"]


def test_the_length_of_the_first_record_is_noted_once(tmp_path: Path) -> None:
    facts = ConnectionFacts()
    rig = Rig(tmp_path, facts)
    rig.peer.write(b"1234")
    rig.peer.write(b"5")
    rig.give(rig.outgoing.read())
    assert facts.first_record == 4


def test_commands_about_others_and_events_of_others_pass_as_they_are(rig: Rig) -> None:
    other = FakeUpstream(Bounds()).server
    word = Send(other, b"to somebody else")
    rig.above.answers = [word]
    event = Arrived(other, b"of somebody else")
    assert rig.records.handle_event(event) == [word]
    assert rig.above.events == [event]


def test_a_goodbye_ends_what_is_read_and_what_follows_is_thrown_away(rig: Rig) -> None:
    rig.peer.write(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        rig.peer.unwrap()
    rig.give(rig.outgoing.read())
    assert rig.above.plain == b"last words"
    assert [type(event) for event in rig.above.events] == [Arrived, ConnectionClosed]
    assert not rig.client.state & ConnectionState.CAN_READ
    assert rig.give(b"whatever") == []
    assert rig.records.handle_event(ConnectionClosed(rig.client)) == []
    assert len(rig.above.events) == 2
    rig.above.answers = [Send(None, b"an answer all the same")]
    assert rig.take(rig.records.handle_event(Event())) == b"an answer all the same"


def test_an_end_without_a_goodbye_is_told_once(rig: Rig) -> None:
    for _ in range(2):
        rig.records.handle_event(ConnectionClosed(rig.client))
    assert [type(event) for event in rig.above.events] == [ConnectionClosed]


def test_closing_says_goodbye_behind_all_that_was_said(rig: Rig) -> None:
    close = CloseConnection(rig.client)
    rig.above.answers = [Send(None, b"the end"), close]
    commands = rig.send(b"?")
    assert commands[-1] is close
    assert rig.take(commands) == b"the end"
    assert rig.peer.read(1) == b""  # without a goodbye it would want more


@pytest.mark.parametrize("broken", [b"GET / HTTP/1.1\r\n\r\n", b"\x17\x03\x03\0\x20" + bytes(32), b"\x17\x03\x03\xff\xff"])
def test_what_is_no_record_ends_this_connection_and_no_other(tmp_path: Path, broken: bytes) -> None:
    one, other = Rig(tmp_path), Rig(tmp_path)
    one.peer.write(b"before")
    commands = one.give(one.outgoing.read() + broken)
    assert one.above.plain == b"before"
    assert isinstance(commands[-1], Abort)
    assert one.give(b"\x17\x03\x03\0\x01") == []
    other.send(b"still here")
    assert other.above.plain == b"still here"


def test_a_client_that_takes_short_records_only_gets_them(tmp_path: Path) -> None:
    files = write_certificate(tmp_path, "a", "a.example")
    size = 100_000

    async def large(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size)
        await writer.drain()

    async def scenario() -> None:
        async with fronted(large, site={"certificate": files}) as rig:
            command = ["openssl", "s_client", "-quiet", "-maxfraglen", "512", "-servername", "a.example", "-connect"]
            client = await asyncio.create_subprocess_exec(
                *command, f"127.0.0.1:{rig.port}", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            said, _ = await client.communicate(b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
            assert said.count(b"z") == size

    run(scenario())


@pytest.mark.parametrize("broken", [b"\x17\x03\x03\0\x20" + bytes(32), b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_answered_before_a_broken_record_is_seen_does_no_harm(rig: Rig, broken: bytes) -> None:
    close = CloseConnection(rig.client)
    rig.above.answers = [Send(None, b"an answer"), close]
    rig.peer.write(b"a request")
    commands = rig.give(rig.outgoing.read() + broken)
    assert rig.above.plain == b"a request"
    assert isinstance(commands[-1], Abort)
    assert close in commands


class ChangingKeys:
    """The sending half of the peer after its handshake, which can change its keys; Python's cannot."""

    def __init__(self, folder: Path) -> None:
        names = {"TLS_AES_128_GCM_SHA256": 0x1301, "TLS_AES_256_GCM_SHA384": 0x1302, "TLS_CHACHA20_POLY1305_SHA256": 0x1303}
        self.rig = Rig(folder)
        chosen = self.rig.peer.cipher()
        assert chosen is not None
        assert set(names.values()) == set(CIPHERS)
        self._schedule = _Schedule(names[chosen[0]])
        lines = [line.split() for line in (folder / "secrets").read_text().splitlines()]
        self._secret = bytes.fromhex(next(line[2] for line in lines if line[0] == "CLIENT_TRAFFIC_SECRET_0"))
        self._keys = _Keys(self._schedule, self._secret)

    def say(self, data: bytes) -> bytes:
        return self._keys.seal(DATA, data)

    def change(self, count: int = 1) -> bytes:
        """So many changes, each of which asks for one of the server's keys."""
        found = b""
        for _ in range(count):
            found += self._keys.seal(HANDSHAKE, bytes((KEY_UPDATE, 0, 0, 1, 1)))
            self._secret = self._schedule.expand(self._secret, b"traffic upd", b"", self._schedule.size)
            self._keys = _Keys(self._schedule, self._secret)
        return found


FREE_CHANGES = MAX_CREDIT_BYTES // UPDATE_BYTES
"""Fewer when they ask for the keys of the server to be changed, too."""


def test_a_client_may_change_its_keys_and_goes_on(tmp_path: Path) -> None:
    peer = ChangingKeys(tmp_path)
    rig = peer.rig
    for _ in range(10):
        rig.above.answers = [Send(None, b"an answer")]
        found = rig.take(rig.give(peer.change(FREE_CHANGES // 4) + peer.say(b"a" * BUFFER_BYTES)))
        assert found == b"an answer"
        for _ in range(FREE_CHANGES * UPDATE_BYTES // BUFFER_BYTES):
            rig.give(peer.say(b"a" * BUFFER_BYTES))
    assert len(rig.above.plain) == 10 * (BUFFER_BYTES + FREE_CHANGES * UPDATE_BYTES)


@pytest.mark.parametrize("between", [b"", b"x"], ids=["nothing", "little"])
def test_a_client_that_changes_its_keys_and_sends_little_is_cut(tmp_path: Path, between: bytes) -> None:
    peer = ChangingKeys(tmp_path)
    said = b"".join(peer.change() + (peer.say(between) if between else b"") for _ in range(2 * FREE_CHANGES))
    commands = peer.rig.give(said + peer.say(b"the rest"))
    assert isinstance(commands[-1], Abort)
    assert peer.rig.above.plain == between * len(peer.rig.above.plain)
    assert len(peer.rig.above.plain) <= FREE_CHANGES + 1


@pytest.mark.parametrize("credit", [0, MAX_CREDIT_BYTES])
def test_a_client_that_begins_handshakes_again_and_again_is_cut(tmp_path: Path, credit: int) -> None:
    rig = Rig(tmp_path)  # of which its peer is not used: Python's cannot begin a handshake again
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    server, peer = SSL.Connection(rig.tls.get_context(), None), SSL.Connection(context, None)
    server.set_accept_state()
    peer.set_connect_state()
    for _ in range(3):
        for one, other in ((peer, server), (server, peer)):
            with suppress(SSL.WantReadError):
                one.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(one.bio_read(1 << 16))
    records = TlsRecords(server, rig.client, rig.above, None, new_buffer(BUFFER_BYTES))
    assert peer.renegotiate()
    with pytest.raises(SSL.WantReadError):
        peer.do_handshake()
    records._credit = credit
    commands = records.handle_event(Arrived(None, peer.bio_read(1 << 16)))
    assert isinstance(commands[0], Send)  # the alert that refuses it
    assert any(isinstance(command, Abort) for command in commands) is not bool(credit)


@pytest.mark.parametrize("broken", [b"\x17\x03\x03\0\x20" + bytes(32), b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_dripped_to_a_client_that_broke_the_connection_is_thrown_away(rig: Rig, broken: bytes) -> None:
    rig.give(broken)
    assert rig.records.encryptor(b"a drip") == b""


def test_a_client_that_breaks_the_connection_with_what_has_it_held_leaves_nothing_behind(tmp_path: Path) -> None:
    files = write_certificate(tmp_path, "a", "a.example")

    async def scenario() -> None:
        async with fronted(site={"certificate": files}) as rig:
            reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            peer = client_context(files).wrap_bio(incoming, outgoing, server_hostname="a.example")
            while True:
                try:
                    peer.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    incoming.write(await reader.read(1 << 16))
            peer.write(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Do: tarpit\r\n\r\n")
            writer.write(outgoing.read() + b"GET / HTTP/1.1\r\n\r\n")
            await rest(reader)
            await until(lambda: not rig.front.stat("connections"))
            assert rig.front._runtime is not None
            assert not rig.front._runtime.connections
            assert not rig.events.errors
            writer.close()

    run(scenario())
