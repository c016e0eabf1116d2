"""Whether the server of the settings answers, and lets an instance do what it does with its store."""

from __future__ import annotations

import asyncio
import os

from proxyguard.core.settings import Settings
from proxyguard.limits.stores.nodes import StoreUrl, fault_of
from proxyguard.limits.stores.remote import RemoteStore
from proxyguard.limits.stores.store import StoreUnavailable
from proxyguard.limits.stores.valkey import ValkeyTransport


async def probe_store(settings: Settings, seconds: float) -> tuple[str, str] | None:
    """Connect, log in, and charge once, as an instance does when it starts. None when that works; else what is wrong, and a hint.

    Never repeats a password.
    """
    choice = settings.store
    place = StoreUrl.parse(choice.url or "")
    transport = ValkeyTransport(place, name=choice.name)
    RemoteStore(
        transport, settings.counting, timeout_seconds=max(choice.timeout_seconds, seconds / 2), on_down=choice.on_down
    )  # a transport does nothing without its store
    try:
        async with asyncio.timeout(seconds):
            await transport.connect()
    except TimeoutError:
        return f"{place} does not answer within {seconds:g} s", "is it running, and is a firewall between them?"
    except (OSError, StoreUnavailable) as error:
        why = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else fault_of(error)
        return f"{place} cannot be used: {why}", _hint(why)
    finally:
        await transport.disconnect()
    return None


def _hint(why: str) -> str:
    if "NOAUTH" in why or "WRONGPASS" in why or "invalid password" in why:
        return "the user or the password in store.url is wrong: redis://user:password@host:6379/0"
    if "NOPERM" in why:
        return "the user may not do what a store needs; docs/concepts/limits.md has the commands to allow"
    if "READONLY" in why:
        return "this is a replica: name the primary, or all nodes"
    return "is it running, and is this where it listens?"
