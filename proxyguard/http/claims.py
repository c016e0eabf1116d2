"""Tells which request fields claim what only a proxy can vouch for: a client's address, host, path, scheme or identity.

By family rather than by list, because every proxy, cloud and framework has spellings of its own. A claim is dropped from heads
and from trailers; `forwarded` and the setting `trust.keep` say which ones pass when a trusted proxy makes them. Servers behind
CGI-like interfaces read `-`, `_` and (some) any other mark as one, so names are compared with all marks folded.
"""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.at_hand import keep_at_hand
from proxyguard.http.http1.names import NOT_IN_TRAILERS

MAX_REMEMBERED: Final = 4096
"""Names whose answer is remembered: clients send a few dozen. A client that makes up names costs itself 2 µs a name, and now and
then everybody else the same, once for each name."""

MAX_NAME_BYTES: Final = 64
"""Longer names are not remembered, and only so much of them is looked at: none that a server reads is as long."""

_FOLD: Final = bytes(
    byte + 32 if 65 <= byte <= 90 else byte if 48 <= byte <= 57 or 97 <= byte <= 122 or byte > 127 else 45 for byte in range(256)
)

_FAMILIES: Final = re.compile(
    rb"""
    # what any proxy says of the request that it was sent
    (?:x-)?forward-.*
    |x-(?:original|originating|orig|rewrite|rewritten|replaced)-.*
    |(?:original|rewrite)-(?:url|uri|host|path)
    |(?:x-)?coming-?from
    |x-custom-ip-authorization

    # host, scheme, port and path
    |(?:x-)?(?:real|backend|proxy|true|external|frontend|http|server)
        -(?:host|hostname|server|proto|protocol|scheme|port|url|uri|path|addr|user)
    |x-(?:host|hostname|scheme|proto|protocol|https|ssl|url-scheme|http-host-override|host-override|http-url-override|http-path-override
        |request-uri|request-path|http-destinationurl|matched-path|path-info|ingress-path|script-name|waws-unencoded-url
        |appservice-proto|arr-ssl|arr-clientcert)
    |(?:script-name|path-info|request-uri|document-root|script-filename|front-end-https|disguised-host|cf-visitor)
    |x-(?:accel|sendfile|invoke|envoy|istio|now-route)(?:-.*)?
    |x-middleware-(?!prefetch\Z).*

    # identity, as a proxy that has authenticated somebody tells it
    |(?:x-)?remote-?(?:user|userid|username|name|email|group|groups|role|roles|ident|id|extra|logname)(?:-.*)?
    |x-auth-request-.*
    |(?:x-)?(?:authenticated|webauth|consumer|credential|anonymous-consumer|authentik|authelia|vouch|oidc|shib|shibboleth|sso)-.*
    |x-jwt-claim-.*
    |x-(?:amzn-oidc|amzn-mtls|ms-client-principal|ms-token-aad|goog-authenticated|appengine|pomerium-claim)(?:-.*)?
    |cf-access-authenticated-.*
    |x-(?:endpoint-api-userinfo|apigateway-api-userinfo|jwt-payload|msisdn|up-calling-line-id)
    |tailscale-.*
    |x-token-(?:subject|user-.*)
    |(?:auth-user|auth-type|logon-user|l5d-.*|oidc-.*|mellon-.*)

    # certificates of clients
    |(?:x-)?(?:ssl|mtls|tls)-.*
    |(?:x-)?client-(?:cert|certificate|ssl|tls|dn|verify|verified|subject|issuer|s-dn|i-dn)(?:-.*)?
    |x-(?:xfcc|cert|certificate|clientcert|peer-cert|peer-certificate)(?:-.*)?

    # about the connection; `Proxy` becomes the environment variable HTTP_PROXY in CGI programs (CVE-2016-5385)
    |proxy(?:-.*)?
    |wl-proxy-.*
    """,
    re.VERBOSE,
)

_WHOSE: Final = frozenset({
    b"client", b"remote", b"viewer", b"peer", b"real", b"true", b"external", b"source", b"src", b"originating", b"caller",
    b"visitor",
})  # fmt: skip
_JOINED: Final = (*_WHOSE, b"cluster", b"connecting", b"user", b"proxyuser", b"socket", b"origin", b"forwarded", b"x")
_ADDRESSES: Final = frozenset({
    b"ip", b"ips", b"ipv4", b"ipv6", b"ipaddr", b"ipaddress",
    *(whose + what for whose in _JOINED for what in (b"ip", b"ipv4", b"ipv6", b"addr")),
    *(whose + b"address" for whose in _WHOSE),
})  # fmt: skip
_DETAILS: Final = frozenset({b"addr", b"address", b"addresses", b"port", b"chain", b"list", b"v4", b"v6"})
_PLACES: Final = frozenset({b"addr", b"address", b"ipaddr", b"port", b"host", b"hostname"})

_known: dict[bytes, bool] = {}


def is_claim(name: bytes) -> bool:
    """Whether a field, by its name in any spelling, claims what only a proxy can vouch for."""
    known = _known.get(name)
    if known is not None:
        return known
    found = _is_of_a_family(folded(name[:MAX_NAME_BYTES]))
    if len(name) <= MAX_NAME_BYTES:
        keep_at_hand(_known, MAX_REMEMBERED, name, found)
    return found


def _is_of_a_family(name: bytes) -> bool:
    """By its last words (`x-any-client-ip`, `client-address`), by `forwarded` anywhere, or by how it begins."""
    rest, _, last = name.rpartition(b"-")
    before = rest.rpartition(b"-")[2]
    return (
        last in _ADDRESSES
        or (last in _DETAILS and before in _ADDRESSES)
        or (last in _PLACES and before in _WHOSE)
        or b"-forwarded-" in b"-" + name + b"-"
        or _FAMILIES.fullmatch(name) is not None
    )


def may_be_trailer(name: bytes) -> bool:
    """Whether a field may come after the body: it claims nothing, and RFC 9110 section 6.5.1 allows it there."""
    return not is_claim(name) and folded(name) not in NOT_IN_TRAILERS


def folded(name: bytes) -> bytes:
    """A name in lower case, with every mark (`_`, `.`, …) as a dash."""
    return name.translate(_FOLD)
