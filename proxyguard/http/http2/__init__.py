"""HTTP/2 as a server speaks it (RFC 9113): frames, compressed fields, and what a request's fields mean.

Pure: bytes and values in and out; no sockets, no time but as an argument, nothing of who asks or what is decided. What a head may
say is what HTTP/1 lets it say: the checks are those of `http1`.
"""
