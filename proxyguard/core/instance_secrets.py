"""The secrets of an instance: one that lasts as what is signed and hashed with it, one of the pseudonyms in its records."""

from __future__ import annotations

from typing import NamedTuple


class Secrets(NamedTuple):
    """32 bytes and more each. Workers get them by pickle."""

    keys: bytes
    """Of hashes in keys of counters, cookie jars, tokens of forms, items."""
    names: bytes
    """Of pseudonyms, unless the operator keeps one for them: whoever has it can tell whose they are."""
