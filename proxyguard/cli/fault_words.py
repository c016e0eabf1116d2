"""What the `fault` of an audit record means, in words for an operator. A test holds that none is missing."""

from __future__ import annotations

from typing import Final

MALFORMED: Final = {
    "request-line": "the first line is no request line of HTTP",
    "method-unknown": "the method is none that is known",
    "method-refused": "CONNECT and TRACE are never forwarded",
    "version": "the first line names another version than HTTP/1.0 or HTTP/1.1",
    "http2-preface": "the client began with HTTP/2 where it was not agreed upon",
    "target-size": "the target is longer than bounds.target_size",
    "target": "the target is no path, and no address of a page",
    "target-escape": "the path has a broken percent escape, or one that servers read differently",
    "target-dots": "the path climbs above the root, or has dots that servers read differently",
    "target-backslash": "the path has a backslash, which servers read differently",
    "target-control": "the target has control characters",
    "target-parameters": "the query has more parameters, or more values of one, than can be inspected",
    "bare-lf": "a line of the head ends without a carriage return",
    "bare-cr": "the head has a carriage return in the middle of a line",
    "obs-fold": "a header is folded over several lines",
    "space-before-colon": "a header has a blank before its colon",
    "field-name": "a header's name has characters that it must not have",
    "field-value": "a header's value has characters that it must not have",
    "field-size": "a header is longer than the bounds allow",
    "field-count": "there are more headers than the bounds allow",
    "head-size": "all headers together are longer than the bounds allow",
    "host-missing": "there is no Host",
    "host-repeated": "there is more than one Host",
    "host": "the Host is no name and no address",
    "host-mismatch": "the Host is another than that of the target",
    "expect": "Expect asks for something else than 100-continue",
    "connection": "Connection names headers that must not be dropped",
    "content-length": "Content-Length is no number, or another than the length of the body",
    "content-length-repeated": "there is more than one Content-Length",
    "length-and-encoding": "there are both Content-Length and Transfer-Encoding: a way to smuggle requests",
    "transfer-encoding": "Transfer-Encoding is something else than chunked",
    "transfer-encoding-http10": "HTTP/1.0 with a Transfer-Encoding",
    "chunk": "the body's chunks are malformed",
    "chunk-size": "the size of a chunk is no hexadecimal number, or too large",
    "chunk-overhead": "the chunks are mostly overhead",
    "trailer-size": "the trailers are longer than the bounds allow",
    "body-size": "the body is longer than bounds.body_size",
    "upgrade-backlog": "the client sent too much before the upgrade was agreed upon",
    "pseudo-field": "an HTTP/2 pseudo-header is missing, repeated, unknown or in the wrong place",
    "connection-field": "HTTP/2 with a header that belongs to one connection, such as Connection",
}
"""Faults of a request's form."""

BOUNDS: Final = {
    "requests": "as many requests were under way as bounds.requests allows",
    "requests-per-network": "the client's network had as many requests under way as bounds.requests_per_network, or its share "
    "of the site, allows",
    "delay": "as many requests were being delayed as there is room for",
    "upstream-queue-full": "as many requests waited for the site as its queue holds",
    "upstream-queue-timeout": "the site had no connection free within the time that a request waits in its queue",
    "body-memory": "there was no memory left to hold the request's body (buffering.memory)",
}
"""Faults that are a bound of ours."""

OTHERS: Final = {
    "host-unknown": "no site has this host (sites, hosts)",
    "method-override": "another method is named twice, or in a way that only some sites read",
    "plain-http": "plain HTTP where TLS is spoken",
    "head-timeout": "the head was not whole in time (bounds.head_timeout)",
    "client-timeout": "the client sent its body too slowly, or stopped",
    "client-gone": "the client left before the answer was whole",
    "mask-size": "the answer is longer than the rule's up_to, so it could not be masked",
    "mask-memory": "there was no memory left to hold an answer that is to be masked (buffering.memory)",
    "mask-busy": "as many answers waited to be masked as may wait, or one had waited too long",
    "mask-timeout": "masking the answer took too long: it is nested very deep",
    "uniform-size": "the request is too long for an answer that is the same for all",
    "altered-upgrade": "a rule masks or evens out the answer, and the client asked for another protocol",
    "altered-addon": "a rule masks or evens out the answer, which the addon for mitmproxy cannot do",
    "mask-type": "the answer is of a type that the rule does not know how to mask (json, html, patterns, untouched)",
    "mask-part": "the site sent a part of its answer, although all of it was asked for",
    "mask-encoding": "the site sent its answer in an encoding that is not known, or broken",
    "mask-charset": "the answer is in a charset that is not known, or not in the one that it names",
    "mask-json": "the answer is no sound JSON",
    "mask-html": "the answer could not be read as HTML",
    "mask-error": "masking the answer failed through a fault of ours",
    "mask-crashed": "the process that masks answers ended while it read this one",
    "loop": "the request had passed this instance before: its upstream leads back here",
    "internal": "a fault of ours: the instance's log says more",
    "upstream-connect": "the upstream accepts no connection: it is down, or refuses",
    "upstream-connect-timeout": "the upstream did not accept a connection in time (bounds.upstream_connect_timeout)",
    "upstream-tls": "TLS with the upstream failed: its certificate, or its protocol versions",
    "upstream-http2": "the upstream does not speak HTTP/2",
    "upstream-timeout": "the upstream did not answer in time, or stopped in the middle",
    "upstream-response": "the upstream's response was malformed",
    "upstream-closed": "the upstream closed the connection without an answer",
    "upstream-reset": "the upstream broke its response off",
}

FAULTS: Final = {**MALFORMED, **BOUNDS, **OTHERS}


def in_words(fault: str) -> str:
    """A fault with its meaning; one that is unknown (of another version) as it is."""
    words = FAULTS.get(fault)
    return f"{fault}: {words}" if words else fault
