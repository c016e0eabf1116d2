"""A gRPC server for tests: bytes in, bytes out. `python -m tests.end_to_end.grpc_site PORT [OPTION=VALUE …]`."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any, Final

SERVICE: Final = "site.Echo"
CALLS_AT_ONCE: Final = 150


def unary(request: bytes, call: Any) -> bytes:
    """The request backwards; some are special."""
    grpc = importlib.import_module("grpc")
    if request == b"fail":
        call.set_trailing_metadata((("x-why", "because"), ("why-bin", b"\0\xff")))
        call.abort(grpc.StatusCode.FAILED_PRECONDITION, "no way, José")
    if request == b"metadata":
        call.send_initial_metadata((("x-initial", "1"),))
        call.set_trailing_metadata((("x-trailing", "2"),))
        return repr(sorted(tuple(field) for field in call.invocation_metadata())).encode()
    if request == b"wait":
        time.sleep(1)
    return request[::-1]


def down(request: bytes, _: Any) -> Iterator[bytes]:
    """COUNT messages of SIZE bytes."""
    count, size = map(int, request.split())
    for number in range(count):
        yield bytes((number & 255,)) * size


def up(messages: Iterator[bytes], _: Any) -> bytes:
    """How many messages came, of how many bytes in all."""
    sizes = [len(message) for message in messages]
    return b"%d %d" % (len(sizes), sum(sizes))


def both(messages: Iterator[bytes], _: Any) -> Iterator[bytes]:
    """Each message back."""
    yield from messages


def main(port: str, *options: str) -> None:
    """Serve until killed. An option is one of gRPC's for channels, such as `max_connection_age_ms=300`."""
    grpc = importlib.import_module("grpc")
    given = [(f"grpc.{name}", int(value)) for name, _, value in (option.partition("=") for option in options)]
    server = grpc.server(futures.ThreadPoolExecutor(CALLS_AT_ONCE), options=[("grpc.max_receive_message_length", -1), *given])
    calls = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Down": grpc.unary_stream_rpc_method_handler(down),
        "Up": grpc.stream_unary_rpc_method_handler(up),
        "Both": grpc.stream_stream_rpc_method_handler(both),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, calls),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main(*sys.argv[1:])
