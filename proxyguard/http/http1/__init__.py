"""HTTP/1.0 and 1.1 as bytes: strict parsers for requests and responses, and the writers that match them (RFC 9112).

Bytes in, events out; no sockets, no clock, no decisions about clients. What a parser lets through can be read in one way
only, and what goes to an upstream is written anew from what was parsed, so both ends see the same message.
"""
