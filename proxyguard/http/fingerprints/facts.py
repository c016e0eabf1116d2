"""What a connection's facts come to: kinds and prints, each made when it is first asked for and kept with the connection."""

from __future__ import annotations

from functools import lru_cache

from proxyguard.core.connection_facts import KEPT_HELLO_BYTES, ConnectionFacts
from proxyguard.http.fingerprints.client_hello import HelloTells, read_hello
from proxyguard.http.fingerprints.http2_print import http2_print
from proxyguard.http.fingerprints.ja4 import ja4
from proxyguard.http.fingerprints.kinds import UNKNOWN, kind_table, newest_version


def connection_facts(hello: bytes) -> ConnectionFacts:
    """The facts of a connection whose client sent this hello. A long one is read at once and not kept."""
    facts = ConnectionFacts(hello)
    if len(hello) > KEPT_HELLO_BYTES:
        hello_kind(facts)
        ja4_of(facts)
        facts.hello = b""
    return facts


@lru_cache(maxsize=1024)
def stated_facts(print_: bytes) -> ConnectionFacts:
    """The facts that a trusted proxy states with a JA4. Nothing is written into them later: one is for all connections alike."""
    facts = ConnectionFacts()
    facts.stated = True
    facts.ja4 = print_
    facts.kind = kind_table().kind_of_ja4(print_)
    return facts


def hello_kind(facts: ConnectionFacts) -> bytes:
    """The kind of the hello; empty when nothing is known of it."""
    kind = facts.tls_kind
    if not kind and facts.hello:
        tells = read_hello(facts.hello)
        facts.tells = tells
        kind = facts.tls_kind = UNKNOWN if tells is None else kind_table().hello_kind(tells)
    return kind


def client_kind(facts: ConnectionFacts) -> bytes:
    """What the connection speaks like; empty when nothing is known of it."""
    kind = facts.kind
    if not kind and not facts.stated:
        hello = hello_kind(facts)
        tells = facts.tells
        if hello:
            kind = UNKNOWN
            if isinstance(tells, HelloTells):
                kind = kind_table().client_kind(tells, hello, facts)
                facts.newest = newest_version(tells)
                facts.offers_http2 = tells.offers_http2
            if facts.pseudo or not facts.is_http2:
                facts.kind = kind
                facts.tells = None
    return kind


def ja4_of(facts: ConnectionFacts) -> bytes:
    """The JA4 of the client; empty when nothing is known of it."""
    found = facts.ja4
    if not found and facts.hello:
        found = facts.ja4 = ja4(facts.hello)
    return found


def http2_of(facts: ConnectionFacts) -> bytes:
    """The print of its first HTTP/2 frames; empty when it speaks HTTP/1, or nothing is known of it."""
    found = facts.http2
    if not found:
        found = facts.http2 = http2_print(facts)
    return found
