"""What the addon uses of mitmproxy: its documented interface for addons, and nothing else of it.

https://docs.mitmproxy.org/stable/api/events.html and the pages beside it. The front's reach into mitmproxy's proxy core is
`adapters.mitmproxy.private`, which the addon has no use for.
"""

from __future__ import annotations

from mitmproxy import ctx
from mitmproxy.addonmanager import Loader
from mitmproxy.connection import Client, Server
from mitmproxy.exceptions import OptionsError
from mitmproxy.http import Headers, HTTPFlow, Response
from mitmproxy.http import Request as FlowRequest

__all__ = [
    "Client",
    "FlowRequest",
    "HTTPFlow",
    "Headers",
    "Loader",
    "OptionsError",
    "Response",
    "Server",
    "ctx",
    "kill",
    "options_error",
    "set_options",
]


def kill(flow: HTTPFlow) -> None:
    """End a flow without an answer: its connection is closed, its stream reset."""
    if flow.killable:
        flow.kill()  # type: ignore[no-untyped-call]  # mitmproxy leaves these without annotations


def options_error(text: str) -> OptionsError:
    """What refuses a change of options; mitmproxy shows the text and takes the change back."""
    return OptionsError(text)  # type: ignore[no-untyped-call]


def set_options(**options: object) -> None:
    """Set options of mitmproxy."""
    ctx.options.update(**options)  # type: ignore[no-untyped-call]
