"""TLS 1.3 that begins with a recorded ClientHello, so that a front sees a browser's, and not Python's.

What a hello has of its own connection is made anew: random, session, server name, keys. The rest stays to the byte. For loopback
only: the certificate is not looked at, as the range cares for what the front sees and not for who it is. RFC 8446 by section.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import ECDH, SECP256R1, EllipticCurvePublicKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SERVER_NAME, SUPPORTED_VERSIONS, KEY_SHARE, ALPN = 0, 43, 51, 16
P256, X25519, HYBRID = 23, 29, 0x11EC
"""Groups; the last is ML-KEM-768 with X25519."""
MLKEM_CIPHERTEXT_BYTES: Final = 1_088

CHANGE_CIPHER, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO, ENCRYPTED_EXTENSIONS, FINISHED, KEY_UPDATE = 1, 2, 8, 20, 24
SESSION_BYTES: Final = 32
MAX_RECORD: Final = 16_384
MAX_HANDSHAKE: Final = 256 * 1024

HANDSHAKE_SECONDS: Final = 10.0
"""For the first one, by which a front is tried."""

CHANGED_CIPHER: Final = bytes((CHANGE_CIPHER, 3, 3, 0, 1, 1))
RETRY: Final = hashlib.sha256(b"HelloRetryRequest").digest()
"""What stands for the random of a ServerHello that asks for another ClientHello."""

type Cipher = type[AESGCM | ChaCha20Poly1305]

CIPHERS: Final[Mapping[int, tuple[str, int, Cipher]]] = {
    0x1301: ("sha256", 16, AESGCM),
    0x1302: ("sha384", 32, AESGCM),
    0x1303: ("sha256", 32, ChaCha20Poly1305),
}
"""Hash, bytes of a key, and the cipher."""

type Finish = Callable[[bytes], bytes]
"""Makes the shared secret of the server's share."""


class TlsError(ValueError):
    """The front does not speak TLS 1.3 as this hello offers it, or breaks it off."""


class _Share(NamedTuple):
    """A share of ours, and what makes the secret of it and the server's."""

    key: bytes
    finish: Finish


def _x25519() -> _Share:
    private = X25519PrivateKey.generate()
    return _Share(private.public_key().public_bytes_raw(), lambda key: private.exchange(X25519PublicKey.from_public_bytes(key)))


def _p256() -> _Share:
    private = generate_private_key(SECP256R1())
    public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return _Share(public, lambda key: private.exchange(ECDH(), EllipticCurvePublicKey.from_encoded_point(SECP256R1(), key)))


def _hybrid(plain: _Share) -> _Share:
    private = MLKEM768PrivateKey.generate()

    def finish(key: bytes) -> bytes:
        return private.decapsulate(key[:MLKEM_CIPHERTEXT_BYTES]) + plain.finish(key[MLKEM_CIPHERTEXT_BYTES:])

    return _Share(private.public_key().public_bytes_raw() + plain.key, finish)


def _vector(data: bytes, size: int = 2) -> bytes:
    return len(data).to_bytes(size) + data


def renewed(hello: bytes, host: bytes) -> tuple[bytes, dict[int, Finish]]:
    """The body of a ClientHello like the recorded one for a connection of its own, and what finishes each of its groups."""
    at = 35 + hello[34]
    at += 2 + int.from_bytes(hello[at : at + 2])
    at += 1 + hello[at]
    ciphers = hello[35 + hello[34] : at]
    finishes: dict[int, Finish] = {}
    extensions = b""
    for number, data in _extensions(hello[at + 2 :]):
        made = data
        if number == SERVER_NAME:
            made = _vector(b"\0" + _vector(host))
        elif number == KEY_SHARE:
            made = _vector(_own_shares(data, finishes))
        extensions += number.to_bytes(2) + _vector(made)
    start = hello[:2] + os.urandom(32) + _vector(os.urandom(SESSION_BYTES), 1)
    return start + ciphers + _vector(extensions), finishes


def _extensions(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        end = at + 4 + int.from_bytes(data[at + 2 : at + 4])
        yield int.from_bytes(data[at : at + 2]), data[at + 4 : end]
        at = end


def _own_shares(data: bytes, finishes: dict[int, Finish]) -> bytes:
    """Keys of ours for the groups of the recorded shares; those of groups that are made up stay as they are."""
    plain = _x25519()
    made = b""
    for group, recorded in _extensions(data[2:]):
        share = {X25519: lambda: plain, HYBRID: lambda: _hybrid(plain), P256: _p256}.get(group)
        key = recorded
        if share is not None:
            key, finishes[group] = share()
        made += group.to_bytes(2) + _vector(key)
    return made


class _Keys:
    """One direction of the record layer (5.2, 5.3)."""

    __slots__ = ("_cipher", "_iv", "_sequence")

    def __init__(self, schedule: _Schedule, secret: bytes) -> None:
        self._cipher = schedule.cipher(schedule.expand(secret, b"key", b"", schedule.key_bytes))
        self._iv = int.from_bytes(schedule.expand(secret, b"iv", b"", 12))
        self._sequence = 0

    def _nonce(self) -> bytes:
        nonce = (self._iv ^ self._sequence).to_bytes(12)
        self._sequence += 1
        return nonce

    def seal(self, kind: int, data: bytes) -> bytes:
        head = bytes((DATA, 3, 3)) + (len(data) + 17).to_bytes(2)
        return head + self._cipher.encrypt(self._nonce(), data + bytes((kind,)), head)

    def open(self, head: bytes, data: bytes) -> tuple[int, bytes]:
        """The kind and the content of a record. Raises TlsError."""
        try:
            plain = self._cipher.decrypt(self._nonce(), data, head).rstrip(b"\0")  # padding
        except InvalidTag as error:
            raise TlsError("a record cannot be read") from error
        return (plain[-1], plain[:-1]) if plain else (0, b"")


class _Schedule:
    """The key schedule (7.1) of one connection."""

    __slots__ = ("_hash", "cipher", "key_bytes", "master", "size", "transcript")

    def __init__(self, cipher_suite: int) -> None:
        if cipher_suite not in CIPHERS:
            raise TlsError(f"the front chose the cipher {cipher_suite:#06x}")
        self._hash, self.key_bytes, self.cipher = CIPHERS[cipher_suite]
        self.size = hashlib.new(self._hash).digest_size
        self.transcript = hashlib.new(self._hash)
        self.master = b""

    def expand(self, secret: bytes, label: bytes, context: bytes, length: int) -> bytes:
        """HKDF-Expand-Label; one block is enough for every length of TLS 1.3."""
        info = length.to_bytes(2) + _vector(b"tls13 " + label, 1) + _vector(context, 1) + b"\x01"
        return hmac.digest(secret, info, self._hash)[:length]

    def _derived(self, secret: bytes, shared: bytes) -> bytes:
        salt = self.expand(secret, b"derived", hashlib.new(self._hash).digest(), self.size)
        return hmac.digest(salt, shared, self._hash)

    def secrets(self, shared: bytes) -> tuple[bytes, bytes]:
        """Those of the handshake, of client and server, after the ServerHello."""
        nothing = bytes(self.size)
        handshake = self._derived(hmac.digest(nothing, nothing, self._hash), shared)
        self.master = self._derived(handshake, nothing)
        return self.traffic(handshake, b"c hs traffic"), self.traffic(handshake, b"s hs traffic")

    def traffic(self, secret: bytes, label: bytes) -> bytes:
        return self.expand(secret, label, self.transcript.digest(), self.size)

    def finished(self, secret: bytes) -> bytes:
        return hmac.digest(self.expand(secret, b"finished", b"", self.size), self.transcript.digest(), self._hash)


class SpokenTls:
    """One connection. `reader` has what the front sends; `write`, `drain` and `close` are those of a stream's writer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int) -> None:
        self.reader = asyncio.StreamReader(limit)
        self.alpn = b""
        """The protocol that the front chose."""
        self._handshake = bytearray()
        self._raw = reader
        self._writer = writer
        self._ours: _Keys | None = None
        self._theirs: _Keys | None = None
        self._pump: asyncio.Task[None] | None = None

    @classmethod
    async def begun(
        cls, hello: bytes, host: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int
    ) -> SpokenTls:
        """Shake hands. Raises TlsError, OSError and EOFError."""
        made = cls(reader, writer, limit)
        await made._shake_hands(hello, host)
        made._pump = asyncio.create_task(made._receive())
        return made

    def write(self, data: bytes) -> None:
        if self._ours is not None:
            for at in range(0, len(data), MAX_RECORD):
                self._writer.write(self._ours.seal(DATA, data[at : at + MAX_RECORD]))

    async def drain(self) -> None:
        await self._writer.drain()

    def close(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        self._writer.close()

    async def _record(self) -> tuple[int, bytes]:
        """The next record but those that say nothing, read with the keys of now."""
        while True:
            head = await self._raw.readexactly(5)
            data = await self._raw.readexactly(int.from_bytes(head[3:5]))
            if head[0] == CHANGE_CIPHER:
                continue
            kind, content = self._theirs.open(head, data) if self._theirs is not None else (head[0], data)
            if kind == ALERT and content[1:] != b"\0":
                raise TlsError(f"the front broke off with alert {content[1:].hex() or '?'}")
            return kind, content

    async def _message(self) -> bytes:
        """The next message of the handshake, its head of four bytes included."""
        kept = self._handshake
        while len(kept) < 4 or len(kept) < 4 + int.from_bytes(kept[1:4]):
            kind, content = await self._record()
            if kind != HANDSHAKE or len(kept) > MAX_HANDSHAKE:
                raise TlsError("the front does not go on with the handshake")
            kept += content
        end = 4 + int.from_bytes(kept[1:4])
        message = bytes(kept[:end])
        del kept[:end]
        return message

    async def _shake_hands(self, hello: bytes, host: bytes) -> None:
        body, finishes = renewed(hello, host)
        first = bytes((CLIENT_HELLO,)) + _vector(body, 3)
        self._writer.write(bytes((HANDSHAKE, 3, 1)) + _vector(first))
        await self._writer.drain()
        answer = await self._message()
        schedule, shared = _agreed(answer, finishes)
        schedule.transcript.update(first + answer)
        client, server = schedule.secrets(shared)
        self._theirs = _Keys(schedule, server)
        while (message := await self._message())[0] != FINISHED:
            schedule.transcript.update(message)
            if message[0] == ENCRYPTED_EXTENSIONS:
                self.alpn = dict(_extensions(message[6:])).get(ALPN, b"")[3:]
        if not hmac.compare_digest(message[4:], schedule.finished(server)):
            raise TlsError("the front has seen another handshake")
        schedule.transcript.update(message)
        finished = bytes((FINISHED,)) + _vector(schedule.finished(client), 3)
        self._writer.write(CHANGED_CIPHER + _Keys(schedule, client).seal(HANDSHAKE, finished))
        self._ours = _Keys(schedule, schedule.traffic(schedule.master, b"c ap traffic"))
        self._theirs = _Keys(schedule, schedule.traffic(schedule.master, b"s ap traffic"))

    async def _receive(self) -> None:
        """Hand on what comes, until it ends. Tickets for a later connection are thrown away."""
        try:
            while True:
                kind, content = await self._record()
                if kind == DATA:
                    self.reader.feed_data(content)
                elif kind == ALERT or content[:1] == KEY_UPDATE.to_bytes():
                    break
        except TlsError as error:
            self.reader.set_exception(error)
        except (OSError, EOFError):
            self.reader.feed_eof()  # cut off without a word, as much of HTTP/1.1 ends
        else:
            self.reader.feed_eof()


async def refusal_of(hello: bytes, host: str, port: int) -> str:
    """Why a front on this port cannot be spoken to over HTTP/1.1 behind this hello; empty when it can. Raises OSError."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            spoken = await SpokenTls.begun(hello, host.encode(), reader, writer, MAX_RECORD)
    except (ValueError, EOFError, TimeoutError) as error:
        return str(error) or "it does not answer"
    finally:
        writer.close()
    spoken.close()
    return "it speaks HTTP/2 with browsers" if spoken.alpn == b"h2" else ""


def _agreed(answer: bytes, finishes: Mapping[int, Finish]) -> tuple[_Schedule, bytes]:
    """The key schedule and the shared secret of a ServerHello. Raises TlsError."""
    if answer[0] != SERVER_HELLO or answer[6:38] == RETRY:
        raise TlsError("the front wants another hello")
    at = 39 + int.from_bytes(answer[38:39])
    extensions = dict(_extensions(answer[at + 5 :]))
    if extensions.get(SUPPORTED_VERSIONS) != b"\x03\x04":
        raise TlsError("the front does not speak TLS 1.3")
    share = extensions.get(KEY_SHARE, b"")
    finish = finishes.get(int.from_bytes(share[:2]))
    if finish is None:
        raise TlsError("the front chose a group that was not offered")
    return _Schedule(int.from_bytes(answer[at : at + 2])), finish(share[4:])
