"""The first frames of an HTTP/2 connection as one short text: SETTINGS, window, priorities, order of pseudo-fields.

In the order that Akamai's paper "Passive Fingerprinting of HTTP/2 Clients" (2017) gives them:
`1:65536;2:0;4:6291456;6:262144|15663105|0|m,a,s,p`.
"""

from __future__ import annotations

from proxyguard.core.connection_facts import ConnectionFacts


def http2_print(facts: ConnectionFacts) -> bytes:
    """Empty before the first request on an HTTP/2 connection."""
    if not facts.is_http2 or not facts.pseudo:
        return b""
    settings = facts.settings
    pairs = [
        b"%d:%d" % (int.from_bytes(settings[place : place + 2], "big"), int.from_bytes(settings[place + 2 : place + 6], "big"))
        for place in range(0, len(settings), 6)
    ]
    pseudo = b",".join([bytes((each,)) for each in facts.pseudo])
    window = b"%d" % facts.window if facts.window >= 0 else b"00"
    return b"|".join((b";".join(pairs), window, facts.priorities or b"0", pseudo))


def setting_ids(settings: bytes) -> tuple[int, ...]:
    """The ids of a SETTINGS frame in the order they came."""
    return tuple([settings[place] << 8 | settings[place + 1] for place in range(0, len(settings), 6)])
