"""Listening sockets: what is bound, what accepted connections inherit, what is said when it cannot be done."""

from __future__ import annotations

import socket

import pytest

from proxyguard.adapters.mitmproxy.listener import TCP_NOTSENT_LOWAT, UNSENT_BYTES, ListenFault, open_sockets, tune
from proxyguard.core.settings import Listen


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_an_address_is_bound_once(host: str) -> None:
    sockets = open_sockets(Listen(host, 0), shared_port=False)
    assert [made.getsockname()[0] for made in sockets] == [host]
    for made in sockets:
        made.close()


def test_the_unspecified_ipv6_address_serves_ipv4_too() -> None:
    (made,) = open_sockets(Listen("::", 0), shared_port=False)
    made.listen(1)
    made.setblocking(True)  # noqa: FBT003 - the standard library's signature
    with socket.create_connection(("127.0.0.1", made.getsockname()[1])):
        connection, peer = made.accept()
        assert peer[0] == "::ffff:127.0.0.1"
        connection.close()
    made.close()


def test_all_addresses_of_a_name_get_the_same_port() -> None:
    sockets = open_sockets(Listen("localhost", 0), shared_port=False)
    assert len({made.getsockname()[1] for made in sockets}) == 1
    for made in sockets:
        made.close()


def test_only_a_shared_port_can_be_bound_twice() -> None:
    (first,) = open_sockets(Listen("127.0.0.1", 0), shared_port=True)
    first.listen(1)
    port = first.getsockname()[1]
    (second,) = open_sockets(Listen("127.0.0.1", port), shared_port=True)
    with pytest.raises(ListenFault, match=rf"^listen: cannot bind 127\.0\.0\.1:{port}: Address already in use$"):
        open_sockets(Listen("127.0.0.1", port), shared_port=False)
    first.close()
    second.close()


def test_a_name_that_does_not_resolve_is_said() -> None:
    with pytest.raises(ListenFault, match=r"^listen: cannot resolve 'no\.such\.invalid': "):
        open_sockets(Listen("no.such.invalid", 80), shared_port=False)


def test_accepted_connections_inherit_the_options() -> None:
    (listening,) = open_sockets(Listen("127.0.0.1", 0), shared_port=False)
    tune(listening)
    listening.listen(1)
    listening.setblocking(True)  # noqa: FBT003 - the standard library's signature
    with socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        assert accepted.getsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT) == UNSENT_BYTES
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 120
        accepted.close()
    listening.close()
