"""The choice of the next layer: asked at the first bytes, in order, whatever comes while it is being made."""

from __future__ import annotations

from proxyguard.adapters.mitmproxy.next_layer import ProtocolChooser
from proxyguard.adapters.mitmproxy.private import (
    Client,
    CloseConnection,
    ConnectionClosed,
    ConnectionState,
    Context,
    DataReceived,
    Event,
    HookCompleted,
    NextLayerHook,
    Options,
    SendData,
    Start,
    first_bytes,
    hook_argument,
)
from tests.adapters.fakes import Echo


def asked() -> tuple[ProtocolChooser, NextLayerHook, list[Event]]:
    """A choice that asks, and what it heard so far."""
    client = Client(peername=("192.0.2.1", 1), sockname=("127.0.0.1", 80), state=ConnectionState.OPEN)
    choice = ProtocolChooser(Context(client, Options()))
    events: list[Event] = [Start(), DataReceived(client, b"abc")]
    assert list(choice.handle_event(events[0])) == []
    (hook,) = choice.handle_event(events[1])
    assert isinstance(hook, NextLayerHook)
    assert hook_argument(hook) is choice
    assert bool(hook.blocking) is True
    assert hook.blocking is not True
    return choice, hook, events


def test_what_comes_while_it_asks_is_replayed_in_order() -> None:
    choice, hook, events = asked()
    client = choice.context.client
    assert first_bytes(choice) == b"abc"
    more = DataReceived(client, b"def")
    assert list(choice.handle_event(more)) == []
    echo = choice.layer = Echo(choice.context)
    commands = list(choice.handle_event(HookCompleted(hook)))
    assert [command.data for command in commands if isinstance(command, SendData)] == [b"abc", b"def"]
    assert echo.heard == [*events, more]


def test_then_it_steps_aside() -> None:
    choice, hook, _ = asked()
    choice.layer = Echo(choice.context)
    list(choice.handle_event(HookCompleted(hook)))
    (command,) = choice.handle_event(DataReceived(choice.context.client, b"ghi"))
    assert isinstance(command, SendData)
    assert command.data == b"ghi"


def test_when_nothing_was_chosen_it_asks_again_at_the_next_bytes() -> None:
    choice, hook, _ = asked()
    assert list(choice.handle_event(HookCompleted(hook))) == []
    (again,) = choice.handle_event(DataReceived(choice.context.client, b"d"))
    assert isinstance(again, NextLayerHook)
    assert first_bytes(choice) == b"abcd"


def test_a_client_that_leaves_before_a_byte_is_let_go() -> None:
    client = Client(peername=("192.0.2.1", 1), sockname=("127.0.0.1", 80), state=ConnectionState.OPEN)
    (command,) = ProtocolChooser(Context(client, Options())).handle_event(ConnectionClosed(client))
    assert isinstance(command, CloseConnection)


def test_a_client_that_leaves_while_nothing_is_chosen_is_let_go() -> None:
    choice, hook, _ = asked()
    assert list(choice.handle_event(ConnectionClosed(choice.context.client))) == []
    (command,) = choice.handle_event(HookCompleted(hook))
    assert isinstance(command, CloseConnection)
