"""What the front relies on in mitmproxy's unversioned proxy core. A failure here says which promise a new version broke."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from proxyguard.adapters.mitmproxy import private
from proxyguard.adapters.mitmproxy.messages import data_received
from proxyguard.adapters.mitmproxy.private import (
    Client,
    ClientTLSLayer,
    CloseConnection,
    CloseTcpConnection,
    Command,
    ConnectionClosed,
    ConnectionState,
    Context,
    DataReceived,
    Event,
    HookCompleted,
    Log,
    NextLayer,
    Options,
    SendData,
    Server,
    Start,
    StartHook,
    TlsData,
    TlsStartClientHook,
    hook_argument,
)
from tests.adapters.fakes import Echo


def client() -> Client:
    return Client(peername=("192.0.2.1", 1), sockname=("127.0.0.1", 80), state=ConnectionState.OPEN)


def test_the_version_is_one_that_was_read() -> None:
    assert version("mitmproxy").startswith("12.2.")


def test_a_layer_may_answer_with_a_list_and_needs_no_options_but_the_default_ones() -> None:
    context = Context(client(), Options())
    layer = Echo(context)
    assert context.layers == [layer]
    assert layer.debug is None
    assert context.server.address is None


def test_a_context_is_made_of_four_parts() -> None:
    assert set(vars(Context(client(), Options()))) == {"client", "options", "server", "layers"}


def ask(asked: NextLayer, event: Event) -> tuple[StartHook, list[Command]]:
    """Give an event to a NextLayer; its question, and what came after Echo was the answer."""
    commands = iter(asked.handle_event(event))
    hook = next(commands)
    assert isinstance(hook, StartHook)
    assert list(commands) == []
    asked.layer = Echo(asked.context)
    return hook, list(asked.handle_event(HookCompleted(hook)))


def test_next_layer_asks_on_data_waits_for_the_hook_and_replays() -> None:
    context = Context(client(), Options())
    asked = NextLayer(context)
    start = Start()
    assert list(asked.handle_event(start)) == []
    event = DataReceived(context.client, b"abc")
    hook, commands = ask(asked, event)
    assert hook.name == "next_layer"
    assert hook_argument(hook) is asked
    assert bool(hook.blocking) is True
    assert private.first_bytes(asked) == b""
    assert [type(command) for command in commands] == [SendData]
    assert isinstance(asked.layer, Echo)
    assert asked.layer.heard == [start, event]


def test_next_layer_tells_what_came_while_it_asks() -> None:
    context = Context(client(), Options())
    asked = NextLayer(context)
    list(asked.handle_event(DataReceived(context.client, b"\x16\x03")))
    assert private.first_bytes(asked) == b"\x16\x03"


def test_next_layer_closes_when_the_client_leaves_before_a_byte() -> None:
    context = Context(client(), Options())
    commands = list(NextLayer(context).handle_event(ConnectionClosed(context.client)))
    assert [type(command) for command in commands] == [CloseConnection]


def test_commands_and_events_carry_what_the_driver_reads() -> None:
    one = client()
    send = SendData(one, b"x")
    assert (send.connection, send.data, send.blocking) == (one, b"x", False)
    assert CloseConnection(one).connection is one
    assert issubclass(CloseTcpConnection, CloseConnection)
    assert CloseTcpConnection(one, half_close=True).half_close is True
    assert Command.blocking is False
    assert Log("why").message == "why"
    received = DataReceived(one, b"x")
    assert received.connection is one
    assert received.data == b"x"
    assert ConnectionClosed(one).connection is one


def test_commands_and_events_of_ours_need_nothing_of_their_base_classes() -> None:
    class Ours(Command):
        __slots__ = ("value",)

        def __init__(self, value: int) -> None:
            self.value = value

    class Heard(Event):
        __slots__ = ()

    assert Ours(1).value == 1
    assert isinstance(Heard(), Event)


def test_connections_are_open_or_half_open_by_flags() -> None:
    assert ConnectionState.CLOSED & ConnectionState.CAN_WRITE == ConnectionState.CLOSED
    assert ConnectionState.OPEN == ConnectionState.CAN_READ | ConnectionState.CAN_WRITE
    one = client()
    assert one.connected is True
    one.state = ConnectionState.CLOSED
    assert [one.connected] == [False]
    assert (one.tls, one.alpn, one.sni) == (False, None, None)


def test_a_server_connection_takes_attributes_of_ours() -> None:
    class Ours(Server):
        carrier: object

    made = Ours(address=("127.0.0.1", 80))
    made.carrier = "c"
    assert made.carrier == "c"
    assert made != Ours(address=("127.0.0.1", 80))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("receive_handshake_data", ["self", "data"]),
        ("start_tls", ["self"]),
        ("tls_interact", ["self"]),
        ("on_handshake_error", ["self", "err"]),
        ("send_close", ["self", "command"]),
        ("send_data", ["self", "data"]),
        ("receive_data", ["self", "data"]),
        ("errored", ["self", "event"]),
        ("event_to_child", ["self", "event"]),
    ],
)
def test_the_tls_layer_has_the_methods_that_the_gate_replaces_or_calls(name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(ClientTLSLayer, name)).parameters) == parameters


def test_the_tls_layer_wants_a_layer_under_it_and_marks_the_connection() -> None:
    context = Context(client(), Options())
    with pytest.raises(IndexError):
        ClientTLSLayer(context)
    context = Context(client(), Options())
    Echo(context)
    gate = ClientTLSLayer(context)
    assert (context.client.tls, gate.client_hello_parsed, bytes(gate.recv_buffer)) == (True, False, b"")
    assert not gate.tls
    assert isinstance(gate.child_layer, NextLayer)


def test_the_tls_layer_passes_commands_it_does_not_know() -> None:
    context = Context(client(), Options())
    Echo(context)
    gate = ClientTLSLayer(context)
    odd = Command()
    assert list(gate._handle_command(odd)) == [odd]


def test_the_certificate_hook_takes_a_connection_from_an_addon() -> None:
    context = Context(client(), Options())
    data = TlsData(context.client, context)
    hook = TlsStartClientHook(data)
    assert (hook.name, hook_argument(hook), hook.blocking, data.ssl_conn) == ("tls_start_client", data, True, None)


def test_the_front_loads_none_of_the_addons_and_stays_out_of_the_log() -> None:
    loads = "import logging, sys, proxyguard.adapters.mitmproxy.front"
    says = f"{loads}; print('mitmproxy.addons' in sys.modules, logging.root.handlers)"
    said = subprocess.run([sys.executable, "-c", says], check=True, capture_output=True, text=True)
    assert said.stdout == "False []\n"


def test_nothing_else_of_ours_imports_mitmproxy() -> None:

    package = Path(private.__file__).parents[2]
    places = [
        path.name
        for path in package.rglob("*.py")
        if any(
            line.startswith(("from mitmproxy", "import mitmproxy", "from OpenSSL", "import OpenSSL"))
            for line in path.read_text().splitlines()
        )
    ]
    assert sorted(places) == ["openssl.py", "private.py", "public.py"]  # the front's places, and the addon's


def test_an_event_made_by_a_shorter_way_is_what_the_constructor_makes() -> None:
    peer = client()
    received = data_received(peer, b"b")
    assert received == DataReceived(peer, b"b")
    assert vars(received) == vars(DataReceived(peer, b"b"))
