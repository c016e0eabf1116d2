"""What can be wrong with an HTTP/2 connection or one of its streams, in the protocol's own numbers and in ours."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from proxyguard.http.http1 import faults as http1


class ErrorCode(IntEnum):
    """RFC 9113 section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    ENHANCE_YOUR_CALM = 0xB


REQUEST_FAULTS: Final[dict[str, int]] = {**http1.REQUEST_FAULTS, "pseudo-field": 400, "connection-field": 400}
"""Why a request may be refused for its form, and the status that says so: HTTP/1's reasons, and two of RFC 9113 section 8."""

REASONS: Final = {
    ErrorCode.PROTOCOL_ERROR: "http2-protocol",
    ErrorCode.FLOW_CONTROL_ERROR: "http2-flow-control",
    ErrorCode.STREAM_CLOSED: "http2-stream-closed",
    ErrorCode.FRAME_SIZE_ERROR: "http2-frame-size",
    ErrorCode.COMPRESSION_ERROR: "http2-compression",
}
"""The token that a client's fault is counted under."""


class Http2Fault(Exception):
    """Something that the client did ends a stream or the connection."""


class ConnectionFault(Http2Fault):
    """The connection cannot go on: it ends with a GOAWAY of this code."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.name)
        self.code = code


class StreamFault(Http2Fault):
    """One stream cannot go on: it is reset with this code."""

    def __init__(self, code: ErrorCode) -> None:
        super().__init__(code.name)
        self.code = code


class BoundExceeded(Http2Fault):
    """The client asks for more than `bound` lets it: the connection ends with ENHANCE_YOUR_CALM."""

    def __init__(self, bound: str) -> None:
        super().__init__(bound)
        self.bound = bound
