"""HTTP as pure protocol: parsers, writers, forwarded addresses, the PROXY protocol, our own responses. No sockets."""
