"""Encrypts what a snapshot holds of people: the keys of counters and bans, which are addresses, and the records of bans.

Keys always become the same text, so that a row is found again (XSalsa20-Poly1305, its nonce a keyed hash of the key); records get
a nonce of chance. The secret is `key_secret`, or a file beside the snapshot that only this user reads: a copy of the snapshot
alone, as in a backup, names nobody.
"""

from __future__ import annotations

import base64
import contextlib
import os
from hashlib import blake2b
from pathlib import Path
from typing import Final

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

MARK: Final = "~"
"""How a sealed key begins; no key that limits count by does."""

SECRET_BYTES: Final = 32


class KeySeal:
    """Seals with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._box = SecretBox(blake2b(secret[:64], digest_size=32, person=b"snapshot").digest())
        self._nonces = blake2b(secret[:64], digest_size=32, person=b"snapshot-nonce").digest()

    def key(self, key: str) -> str:
        """A key as it stands in the file."""
        text = key.encode("utf-8", "surrogatepass")
        nonce = blake2b(text, key=self._nonces, digest_size=SecretBox.NONCE_SIZE).digest()
        return MARK + base64.b64encode(self._box.encrypt(text, nonce)).decode()

    def open_key(self, sealed: str) -> str:
        """The key that stands in the file so. Raises ValueError when it was sealed with another secret."""
        return self.open(base64.b64decode(sealed[len(MARK) :])).decode("utf-8", "surrogatepass")

    def record(self, record: bytes) -> bytes:
        """A record as it stands in the file."""
        return bytes(self._box.encrypt(record))

    def open(self, sealed: bytes) -> bytes:
        """The record of a sealed one. Raises ValueError when it was sealed with another secret."""
        try:
            return bytes(self._box.decrypt(sealed))
        except (CryptoError, TypeError) as error:
            raise ValueError("it is sealed with another secret") from error


def is_sealed(key: object) -> bool:
    """Whether a key of the file is one of a seal."""
    return isinstance(key, str) and key.startswith(MARK)


def seal_for(snapshot: Path, key_secret: str | None) -> KeySeal:
    """The seal of a snapshot: by the operator's secret, or by one in a file beside it, which is made when there is none.

    Raises OSError when such a file can be neither read nor made: nothing is to be written then, as it would name people.
    """
    return KeySeal(key_secret.encode() if key_secret else kept_secret(snapshot))


def kept_secret(snapshot: Path) -> bytes:
    """The secret in the file beside a snapshot, which is made when there is none. Raises OSError when it cannot be."""
    path = snapshot.with_name(f"{snapshot.name}.key")
    with contextlib.suppress(FileNotFoundError):
        if secret := path.read_bytes().strip():
            return secret
    secret = os.urandom(SECRET_BYTES).hex().encode()
    fresh = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return secret
