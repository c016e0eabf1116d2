"""Canaries: names of invented people that say, to who has the key, when they were handed out, by which rule, and to whom.

A token is the time, the rule and the reference of one decision, encrypted and signed at once (AES-SIV, RFC 5297): nobody without
the key can read it, or make one. So no list is kept of what was given. The same decision always gets the same token.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from proxyguard.guard.records import in_thousandths

TOKEN_CHARACTERS: Final = 64
"""Hexadecimal digits: as long as the part of an e-mail address before the @ may be (RFC 5321), and safe in either case."""

_VERSION: Final = [b"1"]
_TIME_END: Final = 4
_RULE_END: Final = 8


class Canary(NamedTuple):
    """What a token says. `time` is Unix seconds; `rule` is the mark of its name."""

    time: int
    rule: bytes
    reference: str


def rule_mark(name: str) -> bytes:
    """What a token has of a rule's name: four bytes, by which it is found again among those there are."""
    return blake2b(name.encode(), digest_size=_RULE_END - _TIME_END, person=b"rule").digest()


class Canaries:
    """Makes and reads tokens. `secret` is the instance's `key_secret`."""

    __slots__ = ("_cipher",)

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESSIV(blake2b(secret, digest_size=64, person=b"canary").digest())

    def token(self, time: float, rule: str, reference: str) -> str:
        """The token of a decision; `time` as its record has it, `reference` 16 hexadecimal digits."""
        said = int(in_thousandths(time)).to_bytes(_TIME_END) + rule_mark(rule) + bytes.fromhex(reference)
        return self._cipher.encrypt(said, _VERSION).hex()

    def read(self, token: str) -> Canary | None:
        """What a token says; None: it is not one of ours."""
        if len(token) != TOKEN_CHARACTERS:
            return None
        try:
            said = self._cipher.decrypt(bytes.fromhex(token), _VERSION)
        except (InvalidTag, ValueError):
            return None
        return Canary(int.from_bytes(said[:_TIME_END]), said[_TIME_END:_RULE_END], said[_RULE_END:].hex())
