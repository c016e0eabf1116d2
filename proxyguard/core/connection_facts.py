"""What a connection showed of itself: the TLS hello of its client, and how the first frames of HTTP/2 were written.

Written down by the front as it comes, judged by `http.fingerprints` when a rule or a record asks. Only of connections whose TLS
is ended here for the client itself: where another program may have spoken, a request has none, and that counts for nothing.
"""

from __future__ import annotations

from typing import Final

KEPT_HELLO_BYTES: Final = 4096
"""A ClientHello up to this waits until somebody asks; browsers send up to 2,000 bytes. A longer one is read at once."""

PATH_INDEXED: Final = 0x01
"""`:path` was wholly a number of a table."""
PATH_ON_4: Final = 0x02
"""It was a literal, not to be kept, on the name's first place in the static table; for any path but `/`."""
PATH_ON_5: Final = 0x04
ROOT_INDEXED: Final = 0x08
ROOT_ON_4: Final = 0x10
ROOT_ON_5: Final = 0x20
PATH_OTHERWISE: Final = 0x40
"""It was written in another way, such as into the table of the connection."""


class ConnectionFacts:
    """One connection. Empty bytes, and -1 for numbers, stand for what is not known.

    `hello` is the body of the ClientHello. `tls_version` is the one agreed on, such as `1.3`. `first_record` is how many plain
    bytes the first TLS record with data had. `settings` is the payload of the first SETTINGS frame, `window` the increment of the
    first WINDOW_UPDATE of the connection, `priorities` the PRIORITY frames before the first request, `pseudo` the first letters
    of its pseudo-fields in their order. `path_forms` holds how `:path` was coded in any request so far, `is_wasteful` that some
    string was Huffman-coded without getting shorter. The others are what `http.fingerprints` made of these, or what a proxy or a
    test says.
    """

    __slots__ = (
        "contradictions", "first_record", "hello", "http2", "is_http2", "is_wasteful", "ja4", "kind", "newest", "offers_http2",
        "path_forms", "priorities", "pseudo", "settings", "stated", "tells", "tls_kind", "tls_version", "window",
    )  # fmt: skip

    def __init__(self, hello: bytes = b"", tls_version: bytes = b"") -> None:
        self.hello = hello
        self.tls_version = tls_version
        self.first_record = -1
        self.is_http2 = False
        self.settings: bytes = b""
        self.window = -1
        self.priorities: bytes = b""
        self.pseudo: bytes = b""
        self.path_forms = 0
        self.is_wasteful = False
        self.ja4: bytes = b""
        self.tls_kind: bytes = b""
        self.kind: bytes = b""
        self.newest = 0
        """The newest version of the hello's browser that makes such a hello; 0: any. Set with `kind`."""
        self.offers_http2 = False
        """Whether the hello does; set with `kind`."""
        self.http2: bytes = b""
        self.tells: object | None = None
        """What was read of the hello, kept by the module that read it."""
        self.contradictions: tuple[bytes, ...] = ()
        """Contradictions that are stated."""
        self.stated = False
        """Whether a test or a proxy says these things, and nothing is to be read from a hello."""
