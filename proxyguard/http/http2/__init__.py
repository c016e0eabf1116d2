"""HTTP/2 as a server speaks it, and as a client of upstreams does (RFC 9113): frames, compressed fields, and what they mean.

Pure: bytes and values in and out; no sockets, no time but as an argument, nothing of who asks or what is decided. What a head may
say is what HTTP/1 lets it say: the checks are those of `http1`.
"""
