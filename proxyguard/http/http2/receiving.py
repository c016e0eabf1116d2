"""Flow control of what a client sends (RFC 9113 section 5.2): one window for the connection, one for each stream."""

from __future__ import annotations

from proxyguard.http.http2.frames import DEFAULT_WINDOW


class ReceiveWindow:
    """`left` is what the client may send; `due` what may be given back to it."""

    __slots__ = ("due", "left", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.left = size
        self.due = 0

    def take(self, size: int) -> bool:
        """Count what the client sent; False when it exceeds the window."""
        self.left -= size
        return self.left >= 0

    def give_back(self, size: int) -> int:
        """Count what was passed on; returns the increment to send to the client, or 0 while it is not worth a frame."""
        self.due += size
        if self.due < self.size >> 1:
            return 0
        increment, self.due = self.due, 0
        self.left += increment
        return increment


def stream_window(buffer_bytes: int) -> int:
    """The window of a stream: the bound on buffers, but no less than clients assume until SETTINGS reach them."""
    return max(DEFAULT_WINDOW, buffer_bytes)
