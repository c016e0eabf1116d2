"""The limit of open files against the bounds of the settings."""

from __future__ import annotations

import resource
from collections.abc import Iterator

from proxyguard.adapters.mitmproxy.capacity import capacity_of, files_hint, files_wanted, lowered
from proxyguard.core.settings import Settings
from proxyguard.instance.preflight.concern import Concern, Weight


def files(settings: Settings) -> Iterator[Concern]:
    """Bounds that the limit of open files lowers. An instance says so in its log when it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files_wanted(settings.bounds)
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        return
    capacity = capacity_of(settings.bounds, hard, len(settings.sites))
    for name, most, given in lowered(settings.bounds, capacity):
        if name == "connections":
            message = f"bounds.connections is {most}, and this user may open {hard} files: {given} connections at once"
            yield Concern("bounds.connections", message, files_hint(wanted), Weight.DOUBT)
