"""Keys of bans with pseudonyms in the place of what names a client, whatever the privacy settings show to commands.

The instance then knows whom each means.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from proxyguard.core.pseudonym import PATTERN
from proxyguard.instance.control.ban_names import BETWEEN, CLIENT, clients_of, with_names

MAX_NAMED: Final = 1000
"""Clients that one question names; also what the instance remembers."""

MAX_CHARACTERS: Final = 64
"""Of a client that can be named."""


async def hidden_keys(
    keys: Iterable[str], commands: Mapping[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]]
) -> dict[str, str]:
    """A name for each key: of one that is a client its pseudonym of today, of one that holds a client the key with it."""
    keys = tuple(keys)
    clients = dict.fromkeys(client for key in keys for client in clients_of(key))
    named = {client: client for client in clients if PATTERN.fullmatch(client)}
    asked = [client for client in clients if client not in named and 0 < len(client) <= MAX_CHARACTERS][:MAX_NAMED]
    names = named | ((await commands["pseudonyms"]({"clients": asked}))["names"] if asked else {})
    hidden = {key: with_names(key, lambda client: names.get(client, "a client")) for key in keys}
    return {key: text if BETWEEN in key else text.removeprefix(CLIENT) for key, text in hidden.items()}
