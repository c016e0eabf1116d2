"""Where TLS ends here: a context per certificate, chosen by server name, read again when its files change.

No certificate is ever made: a name without one is refused in the handshake. Knows nothing of layers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from proxyguard.adapters.mitmproxy.tls.inspection import end_of
from proxyguard.adapters.mitmproxy.tls.openssl import SSL
from proxyguard.core.settings import Certificate, Site
from proxyguard.policy.sites import HostTable

CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    b"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""For TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325 section 4.2). TLS 1.3 has no others."""

UNRECOGNIZED_NAME: Final = b"\x15\x03\x01\x00\x02\x02\x70"
"""A fatal alert 112 (RFC 6066 section 3) as a TLS record."""

RELOOK_SECONDS: Final = 1.0
"""How often the files of a certificate in use are looked at."""

logger = logging.getLogger(__name__)

Stamp = tuple[tuple[int, int, int], ...]


class CertificateFault(Exception):
    """A certificate or key that cannot be used, and why."""


class CertificateContext:
    """The TLS context of one certificate. Keeps the last good one when the files become unreadable."""

    def __init__(self, certificate: Certificate, protocols: Sequence[bytes], clock: Callable[[], float]) -> None:
        self._certificate = certificate
        self._protocols = tuple(protocols)
        self._clock = clock
        self._ends_at: float | None = None
        self._stamp = self._read_stamp()
        self._refused: Stamp | None = None
        self._context = self._build()
        self._look_again_at = clock() + RELOOK_SECONDS

    def current(self) -> SSL.Context:
        """The context for a new connection."""
        now = self._clock()
        if now >= self._look_again_at:
            self._look_again_at = now + RELOOK_SECONDS
            self.refresh()
        return self._context

    def refresh(self) -> None:
        """Read the files again if they changed. What cannot be used is reported once, until the files change again."""
        stamp: Stamp = ()
        try:
            stamp = self._read_stamp()
            if stamp == self._stamp:
                self._refused = None
            elif stamp != self._refused:
                self._context = self._build()
                self._stamp, self._refused = stamp, None
        except CertificateFault as error:
            if self._refused != stamp:
                self._refused = stamp
                logger.error("the certificate cannot be renewed, the one of before is served: %s", error)  # noqa: TRY400 - the message has it all

    @property
    def ends_at(self) -> float | None:
        """When the certificate that is served ends, Unix seconds."""
        return self._ends_at

    def _read_stamp(self) -> Stamp:
        try:
            stats = [path.stat() for path in (self._certificate.chain, self._certificate.key)]
        except OSError as error:
            raise CertificateFault(f"{error.filename}: {error.strerror}") from error
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)

    def _build(self) -> SSL.Context:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection gives its 32 KiB of record buffers back
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # tickets resume sessions without a table of ours
        context.set_session_id(b"proxyguard")
        context.set_cipher_list(CIPHERS)
        context.set_alpn_select_callback(self._choose_protocol)  # type: ignore[arg-type]  # the sentinel's class is private
        chain, key = self._certificate.chain, self._certificate.key
        try:
            context.use_certificate_chain_file(str(chain))
            context.use_privatekey_file(str(key))
            context.check_privatekey()
        except SSL.Error as error:
            detail = error.args[0][-1][-1] if error.args and error.args[0] else "not a usable PEM file"
            raise CertificateFault(f"{chain} with {key}: {detail}") from error
        self._ends_at = end_of(chain)
        return context

    def _choose_protocol(self, _: SSL.Connection, offered: list[bytes]) -> bytes | object:
        for protocol in self._protocols:
            if protocol in offered:
                return protocol
        return SSL.NO_OVERLAPPING_PROTOCOLS


class Certificates:
    """All certificates of an instance, by server name. A client that names no server gets the first site's."""

    def __init__(self, sites: Sequence[Site], protocols: Sequence[bytes], clock: Callable[[], float]) -> None:
        """Raises CertificateFault."""
        made: dict[Certificate, CertificateContext] = {}
        entries: list[tuple[str, CertificateContext]] = []
        for site in sites:
            if site.certificate is None:
                continue
            context = made.get(site.certificate)
            if context is None:
                context = made[site.certificate] = CertificateContext(site.certificate, protocols, clock)
            entries.extend((host, context) for host in site.hosts)
        self._contexts = tuple(made.values())
        self._table = HostTable(entries)

    def __bool__(self) -> bool:
        return bool(self._contexts)

    def for_name(self, name: str | None) -> SSL.Connection | None:
        """A server side of TLS for a client that asked for `name`; None when there is no certificate for it."""
        if name:
            found = self._table.find(name.lower().removesuffix(".").encode("utf-8", "replace"))
        else:
            found = self._contexts[0] if self._contexts else None
        if found is None:
            return None
        connection = SSL.Connection(found.current())
        connection.set_accept_state()
        return connection

    def ends(self) -> list[float]:
        """When the certificates end that are served, the first first, in Unix seconds."""
        return sorted(context.ends_at for context in self._contexts if context.ends_at is not None)

    def refresh(self) -> None:
        """Look at all files now (SIGHUP)."""
        for context in self._contexts:
            context.refresh()
