"""Every part of mitmproxy that the front leans on, in one place; tests/adapters/test_private.py says what is relied upon.

mitmproxy's proxy core is its own, unversioned interface: events go into a layer, commands come out. Nothing else in proxyguard
imports mitmproxy.
"""

from __future__ import annotations

from typing import Any

from mitmproxy import connection
from mitmproxy.options import Options
from mitmproxy.proxy.commands import CloseConnection, CloseTcpConnection, Command, Log, SendData, StartHook
from mitmproxy.proxy.context import Context
from mitmproxy.proxy.events import ConnectionClosed, DataReceived, Event, HookCompleted, Start
from mitmproxy.proxy.layer import CommandGenerator, Layer, NextLayer, NextLayerHook
from mitmproxy.proxy.layers.tls import ClientTLSLayer, TLSLayer, TlsStartClientHook
from mitmproxy.tls import ClientHelloData, TlsData

Client = connection.Client
Connection = connection.Connection
Server = connection.Server
ConnectionState = connection.ConnectionState

__all__ = [
    "Client",
    "ClientHelloData",
    "ClientTLSLayer",
    "CloseConnection",
    "CloseTcpConnection",
    "Command",
    "CommandGenerator",
    "Connection",
    "ConnectionClosed",
    "ConnectionState",
    "Context",
    "DataReceived",
    "Event",
    "HookCompleted",
    "Layer",
    "Log",
    "NextLayer",
    "NextLayerHook",
    "Options",
    "SendData",
    "Server",
    "Start",
    "StartHook",
    "TLSLayer",
    "TlsData",
    "TlsStartClientHook",
    "first_bytes",
    "hook_argument",
]


def hook_argument(hook: StartHook) -> Any:
    """The one value that a hook hands to addons (a NextLayer, TlsData, ClientHelloData)."""
    return hook.args()[0]


def first_bytes(asked: NextLayer) -> bytes:
    """What the client sent so far on a connection whose next layer is asked for."""
    data: bytes = asked.data_client()  # type: ignore[no-untyped-call]  # mitmproxy leaves it without annotations
    return data
