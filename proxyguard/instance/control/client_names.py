"""Keys of bans with pseudonyms in the place of what names a client. The instance then knows whom each means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from proxyguard.core.pseudonym import PATTERN

CLIENT: Final = "client"

MAX_NAMED: Final = 1000
"""Clients that one question names; also what the instance remembers."""

MAX_CHARACTERS: Final = 64
"""Of a key that can be named."""


async def hidden_keys(
    keys: Iterable[str], commands: Mapping[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]]
) -> dict[str, str]:
    """A name for each key: of one that holds a client its pseudonym of today, of any other the key itself."""
    texts = {key: _text(key) for key in keys}
    named = {text: text for text in texts.values() if text and PATTERN.fullmatch(text)}
    asked = [text for text in texts.values() if text and text not in named and len(text) <= MAX_CHARACTERS][:MAX_NAMED]
    names = named | ((await commands["pseudonyms"]({"clients": asked}))["names"] if asked else {})
    return {key: key if text is None else names.get(text, "a client") for key, text in texts.items()}


def _text(key: str) -> str | None:
    """What a pseudonym is made of; None when the key names no client."""
    kind, _, rest = key.partition(":")
    if kind == CLIENT:
        return rest
    return key if CLIENT in kind.split("+") else None
