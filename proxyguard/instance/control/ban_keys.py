"""From what an operator names to the keys that bans are remembered by: an address, a network, a value, or a key as listed.

A network stands for the networks or clients that limits count by, so that looking for a ban stays one look-up for each key. Knows
nothing of stores or commands.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from proxyguard.core.address import Address, Network, Prefixes, is_v4
from proxyguard.core.key_values import canonical_header_value, canonical_parameter, canonical_value
from proxyguard.core.problems import quoted
from proxyguard.policy.compile.keys import KeyMaker

MAX_KEYS: Final = 256
"""Of one ban: a /16 in networks of /24. Whoever wants to refuse more of the world writes a rule."""

ALWAYS_LOOKED_AT: Final = ("client", "network")


class NoBanKey(Exception):
    """What was named is nothing that can be banned; with a hint for the operator."""


class BanKeys:
    """The keys of one instance."""

    def __init__(self, secret: bytes, prefixes: Prefixes) -> None:
        """`secret` is the one that the instance hashes values with."""
        self._prefixes = prefixes
        self._keys = KeyMaker(secret, prefixes)

    def of(self, text: str, banned_by: Collection[str]) -> list[str]:
        """The keys that stand for an address, a network, `header.NAME=VALUE`, or a key such as `network:192.0.2.0/24`.

        `banned_by` are the kinds of key that rules ban by: nobody looks at others. Raises NoBanKey.
        """
        found = self._of_network(text)
        if found is not None:
            return found
        key, kinds = self._of_value(text) if "=" in text else (text, _kinds(text))
        if kinds in ALWAYS_LOOKED_AT:
            found = self._of_network(text.partition(":")[2])
            if found is not None:
                return found
        if not kinds or kinds in ALWAYS_LOOKED_AT:
            raise NoBanKey(
                f"{quoted(text)} is neither an address, nor a network, nor a ban's key\n"
                "  hint: 192.0.2.7, 192.0.2.0/24, header.x-api-key=VALUE, or a key as `bans list` shows it"
            )
        if kinds not in banned_by:
            known = ", ".join(sorted({*ALWAYS_LOOKED_AT, *banned_by}))
            raise NoBanKey(
                f"no rule bans by {kinds}, so nobody would look at a ban of {quoted(text)}\n  hint: bans are by {known}"
            )
        return [key]

    def _of_network(self, text: str) -> list[str] | None:
        """The keys of an address or a network; None when it is neither."""
        try:
            return [self._client(Address.parse(text).number)]
        except ValueError:
            pass
        if "/" not in text:
            return None
        try:
            network = Network.parse(text)
        except ValueError as error:
            if "host bits" in str(error):
                raise NoBanKey(f"{quoted(text)} is an address within a network\n  hint: name one of the two") from error
            return None
        is_old = is_v4(network.first)
        width = 32 if is_old else 128
        length = int(text.rpartition("/")[2])
        prefixes = self._prefixes
        client_bits, network_bits = (
            (prefixes.client_v4, prefixes.network_v4) if is_old else (prefixes.client_v6, prefixes.network_v6)
        )
        bits, key = (network_bits, self._network) if length <= network_bits else (client_bits, self._client)
        count = 1 << max(0, bits - length)
        if count > MAX_KEYS:
            raise NoBanKey(
                f"{quoted(text)} would be {count:,} bans, at most {MAX_KEYS} are named at once\n"
                "  hint: to refuse it, write a rule: when: {client: [NETWORK]}, action: reject; "
                "to lift bans, name each as `bans list` shows it"
            )
        return [key(network.first + (number << (width - bits))) for number in range(count)]

    def _client(self, number: int) -> str:
        return Address(number).ban_keys(self._prefixes)[0]

    def _network(self, number: int) -> str:
        return Address(number).ban_keys(self._prefixes)[1]

    def _of_value(self, text: str) -> tuple[str, str]:
        """The key of a value that is only ever kept as a hash, and its kind."""
        kind, _, value = text.partition("=")
        name, _, rest = kind.partition(".")
        if (name in ("header", "cookie", "query") and rest) or kind == "user_agent":
            kind = f"header.{rest.lower()}" if name == "header" else kind
            return f"{kind}:{self._keys.hashed(_canonical(name, value.encode()))}", kind
        return "", ""


def _canonical(kind: str, value: bytes) -> bytes:
    """A value as it becomes a key."""
    match kind:
        case "header":
            return canonical_header_value(value)
        case "cookie":
            return canonical_value(value)
        case "query":
            return canonical_parameter(value)
        case _:
            return value


def _kinds(key: str) -> str:
    """What a key consists of: `client+path` of `client:192.0.2.7+path:/x`; empty when it is no key."""
    parts = [part.partition(":") for part in key.split("+")]
    return "+".join(kind for kind, _, _ in parts) if all(kind and rest for kind, _, rest in parts) else ""
