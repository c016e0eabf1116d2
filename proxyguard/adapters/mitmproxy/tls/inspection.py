"""What is wrong with a certificate and its key, in words for whoever put them there.

Reads files and decides nothing: `certificates` makes the contexts that are served with. Knows nothing of settings files.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from proxyguard.adapters.mitmproxy.tls.openssl import SSL, crypto
from proxyguard.core.problems import listed
from proxyguard.core.settings import Certificate
from proxyguard.core.units import duration_text

SOON_SECONDS: Final = 14 * 86_400.0
"""Public authorities' certificates last 90 days (soon 47) and are renewed by programs with a third of that left."""

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_CERTIFICATES: Final = 20

_CERTIFICATE: Final = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----.*?-----END [A-Z0-9 ]+-----", re.DOTALL)
_KEY: Final = re.compile(rb"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----")
_ENCRYPTED: Final = re.compile(rb"BEGIN ENCRYPTED PRIVATE KEY|Proc-Type: 4,ENCRYPTED")


class CertificateTrouble(NamedTuple):
    """One thing that is wrong: with the `chain` or with the `key`. `is_usable`: TLS can be served with it all the same.

    `is_doubt`: it may be meant.
    """

    part: str
    message: str
    hint: str
    is_usable: bool = False
    is_doubt: bool = False


def inspect(certificate: Certificate, hosts: Sequence[str], now: float) -> list[CertificateTrouble]:
    """Everything that is wrong with a certificate that these hosts are to be served with. `now` is Unix seconds."""
    chain_data, key_data = _read(certificate.chain), _read(certificate.key)
    troubles = [*_form_of_chain(chain_data), *_form_of_key(key_data, certificate.key)]
    chain = _certificates(chain_data)
    if chain is None or any(not trouble.is_usable for trouble in troubles):
        return troubles or [CertificateTrouble("chain", "has a certificate that cannot be read", _RENEW)]
    pair = list(_pair(certificate, chain, key_data))
    if pair:
        return troubles + pair  # which certificate is the site's is not known
    leaf = chain[0]
    troubles += _dates(leaf, now)
    troubles += _chain(chain)
    troubles += _names(leaf, hosts)
    return troubles


def end_of(chain: Path) -> float | None:
    """When the first certificate of a file ends, in Unix seconds; None when it cannot be read."""
    certificates = _certificates(_read(chain))
    return _seconds(certificates[0].get_notAfter()) if certificates else None


_RENEW: Final = "take both files from where the certificate was issued, such as fullchain.pem and privkey.pem"


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError:
        return b""  # whoever reads the settings says so


def _form_of_chain(data: bytes) -> Iterator[CertificateTrouble]:
    if _CERTIFICATE.search(data):
        return
    if _KEY.search(data):
        yield CertificateTrouble("chain", "holds a key and no certificate", "the chain and the key may be exchanged")
    elif data[:1] == b"0":
        hint = "openssl x509 -inform der -in FILE -out FILE.pem"
        yield CertificateTrouble("chain", "is not in PEM but in another form, such as DER", hint)
    else:
        yield CertificateTrouble("chain", "is empty" if not data.strip() else "holds no certificate in PEM", _RENEW)


def _form_of_key(data: bytes, path: Path) -> Iterator[CertificateTrouble]:
    if _ENCRYPTED.search(data):
        hint = "there is nobody to ask at a start; take it out: openssl pkey -in FILE -out FILE.plain"
        yield CertificateTrouble("key", "is protected by a passphrase", hint)
    elif not _KEY.search(data):
        if _CERTIFICATE.search(data):
            yield CertificateTrouble("key", "holds a certificate and no key", "the chain and the key may be exchanged")
        elif data[:1] == b"0":
            hint = "openssl pkey -inform der -in FILE -out FILE.pem"
            yield CertificateTrouble("key", "is not in PEM but in another form, such as DER", hint)
        else:
            yield CertificateTrouble("key", "is empty" if not data.strip() else "holds no private key in PEM", _RENEW)
    if data and path.stat().st_mode & stat.S_IROTH:
        hint = f"chmod o-rwx {path}, and let the user that runs proxyguard own it"
        yield CertificateTrouble("key", "can be read by every user of this machine", hint, is_usable=True, is_doubt=True)


def _certificates(data: bytes) -> list[crypto.X509] | None:
    try:
        found = [crypto.load_certificate(crypto.FILETYPE_PEM, pem) for pem in _CERTIFICATE.findall(data)[:MAX_CERTIFICATES]]
    except (crypto.Error, ValueError):
        return None
    return found or None


def _pair(certificate: Certificate, chain: list[crypto.X509], key_data: bytes) -> Iterator[CertificateTrouble]:
    """Whether the key is that of the first certificate, and whether TLS takes both."""
    try:
        private: Any = crypto.load_privatekey(crypto.FILETYPE_PEM, key_data).to_cryptography_key()
        key = private.public_key()
    except (crypto.Error, ValueError, TypeError):
        yield CertificateTrouble("key", "cannot be read: it is damaged, or of a kind that TLS does not know", _RENEW)
        return
    own = [number for number, each in enumerate(chain, 1) if each.to_cryptography().public_key() == key]
    if own and own[0] > 1:
        hint = "put the site's certificate first, then the one that signed it, and so on"
        yield CertificateTrouble("chain", f"has the certificate of the key in place {own[0]} of {len(chain)}", hint)
    elif not own:
        hint = "after a renewal take both files from the same one"
        yield CertificateTrouble("key", f"does not belong to the certificate in {certificate.chain}", hint)
    else:
        yield from _served(certificate)


def _served(certificate: Certificate) -> Iterator[CertificateTrouble]:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    try:
        context.use_certificate_chain_file(str(certificate.chain))
        context.use_privatekey_file(str(certificate.key))
        context.check_privatekey()
    except SSL.Error as error:
        why = error.args[0][-1][-1] if error.args and error.args[0] else "OpenSSL does not say why"
        yield CertificateTrouble("chain", f"is refused by OpenSSL: {why}", "a key of 2048 bits (RSA) or on P-256 (EC) is fine")


def _dates(leaf: crypto.X509, now: float) -> Iterator[CertificateTrouble]:
    begins, ends = _seconds(leaf.get_notBefore()), _seconds(leaf.get_notAfter())
    if ends is not None and ends <= now:
        message = f"ended on {_day(ends)}, {_ago(now - ends)} ago: clients refuse it"
        yield CertificateTrouble("chain", message, "renew it; the files are read again when they change", is_usable=True)
    elif ends is not None and ends <= now + SOON_SECONDS:
        message = f"ends on {_day(ends)}, in {_ago(ends - now)}"
        hint = "see why it was not renewed; the files are read again when they change"
        yield CertificateTrouble("chain", message, hint, is_usable=True, is_doubt=True)
    if begins is not None and begins > now:
        message = f"begins on {_day(begins)} only: until then clients refuse it"
        yield CertificateTrouble("chain", message, "is the clock of this machine right?", is_usable=True)


def _chain(chain: list[crypto.X509]) -> Iterator[CertificateTrouble]:
    """Whether each certificate is signed by the next, and whether the one that signed the first is there at all."""
    for number, (one, following) in enumerate(pairwise(chain), 1):
        if one.get_issuer() != following.get_subject():
            message = f"has a certificate in place {number + 1} that did not sign the one before it"
            hint = "the site's certificate first, then the one that signed it, and so on; some clients refuse another order"
            yield CertificateTrouble("chain", message, hint, is_usable=True, is_doubt=True)
            return
    leaf = chain[0]
    is_signed = leaf.get_issuer() != leaf.get_subject()
    if len(chain) == 1 and is_signed and _extension(leaf, "1.3.6.1.5.5.7.1.1") is not None:
        message = "holds the site's certificate alone, without the one that signed it"
        hint = "many clients refuse that (browsers may not); take the file with the whole chain, such as fullchain.pem"
        yield CertificateTrouble("chain", message, hint, is_usable=True, is_doubt=True)


def _names(leaf: crypto.X509, hosts: Sequence[str]) -> Iterator[CertificateTrouble]:
    """Whether the certificate is for the hosts that are served with it."""
    found = _extension(leaf, "2.5.29.17")
    names = [str(each.value).lower() for each in found] if found is not None else []
    missing = [host for host in hosts if host != "*" and not any(_covers(name, host) for name in names)]
    if missing:
        message = f"is not for {listed(missing)}"
        hint = f"it is for {listed(names)}" if names else "it names no host at all (subjectAltName), and clients refuse it"
        yield CertificateTrouble("chain", message, hint, is_usable=True, is_doubt=True)


def _covers(name: str, host: str) -> bool:
    """Whether a name of a certificate, of which `*` is one label (RFC 9525 section 6.3), covers a host or a `*.` of them."""
    if name == host:
        return True
    return name.startswith("*.") and not host.startswith("*.") and host.partition(".")[2] == name[2:]


def _extension(certificate: crypto.X509, oid: str) -> Any:
    """The value of an extension; None when it is not there."""
    for extension in certificate.to_cryptography().extensions:
        if extension.oid.dotted_string == oid:
            return extension.value
    return None


def _seconds(moment: bytes | None) -> float | None:
    """Unix seconds of an ASN.1 GENERALIZEDTIME."""
    if moment is None:
        return None
    return datetime.strptime(moment.decode(), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _ago(seconds: float) -> str:
    """A time between two dates, in whole days when there are any."""
    days = int(seconds // 86_400)
    return f"{days} day{'' if days == 1 else 's'}" if days else duration_text(max(60.0, seconds // 60 * 60))
