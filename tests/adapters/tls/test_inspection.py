"""What is said of a certificate and a key: one fault each, and a pair without any."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from proxyguard.adapters.mitmproxy.tls.inspection import CertificateTrouble, end_of, inspect
from proxyguard.core.settings import Certificate

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)

type Key = ec.EllipticCurvePrivateKey


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def certificate(
    key: Key, name: str = "a.example", issuer: tuple[str, Key] | None = None, *, begins: datetime = NOW - DAY,
    ends: datetime = NOW + 60 * DAY, public: bool = False,
) -> bytes:  # fmt: skip
    by, signer = issuer or (name, key)
    builder = (
        x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(by)).public_key(key.public_key())
        .serial_number(7).not_valid_before(begins).not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )  # fmt: skip
    if public:
        access = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier("http://ca.example/a.crt")
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


def pem(key: Key, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


OWN, OTHER, AUTHORITY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
SIGNED = certificate(OWN, issuer=("ca", AUTHORITY), public=True)
SIGNER = certificate(AUTHORITY, "ca")

CASES: dict[str, tuple[bytes, bytes, str]] = {
    "exchanged": (pem(OWN), certificate(OWN), "chain holds a key and no certificate; key holds a certificate and no key"),
    "empty": (b"", b"\n", "chain is empty; key is empty"),
    "a page of an error": (b"<html>", pem(OWN), "chain holds no certificate in PEM"),
    "DER": (b"\x30\x82\x01\x02", b"\x30\x82\x01\x02",
        "chain is not in PEM but in another form, such as DER; key is not in PEM but in another form, such as DER"),
    "damaged": (certificate(OWN).replace(b"M", b"N"), pem(OWN), "chain has a certificate that cannot be read"),
    "a damaged key": (certificate(OWN), pem(OWN)[:60] + pem(OWN)[-30:],
        "key cannot be read: it is damaged, or of a kind that TLS does not know"),
    "a passphrase": (certificate(OWN), pem(OWN, BestAvailableEncryption(b"x")), "key is protected by a passphrase"),
    "another key": (certificate(OWN), pem(OTHER), "key does not belong to the certificate in chain.pem"),
    "the wrong way round": (SIGNER + SIGNED, pem(OWN), "chain has the certificate of the key in place 2 of 2"),
    "ended": (certificate(OWN, ends=NOW - 3 * DAY, begins=NOW - 9 * DAY), pem(OWN),
        "chain ended on 2026-05-29 00:00 UTC, 3 days ago: clients refuse it"),
    "ends soon": (certificate(OWN, ends=NOW + DAY), pem(OWN), "chain ends on 2026-06-02 00:00 UTC, in 1 day"),
    "ends within hours": (certificate(OWN, ends=NOW + DAY / 4), pem(OWN), "chain ends on 2026-06-01 06:00 UTC, in 6h"),
    "not yet": (certificate(OWN, begins=NOW + DAY), pem(OWN),
        "chain begins on 2026-06-02 00:00 UTC only: until then clients refuse it"),
    "alone": (SIGNED, pem(OWN), "chain holds the site's certificate alone, without the one that signed it"),
    "another signer": (SIGNED + certificate(OTHER, "other"), pem(OWN),
        "chain has a certificate in place 2 that did not sign the one before it"),
    "another host": (certificate(OWN, "b.example"), pem(OWN), "chain is not for a.example"),
    "whole": (SIGNED + SIGNER, pem(OWN), ""),
    "signed by itself": (certificate(OWN), pem(OWN), ""),
    "a star": (certificate(OWN, "*.example"), pem(OWN), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_pair(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chain, key, expected = CASES[case]
    assert "; ".join(f"{each.part} {each.message}" for each in inspected(chain, key)) == expected


def inspected(chain: bytes, key: bytes, mode: int = 0o600) -> list[CertificateTrouble]:
    Path("chain.pem").write_bytes(chain)
    Path("key.pem").write_bytes(key)
    Path("key.pem").chmod(mode)
    return inspect(Certificate(chain=Path("chain.pem"), key=Path("key.pem")), ["a.example"], NOW.timestamp())


def test_a_key_that_everybody_can_read_is_a_doubt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [trouble] = inspected(certificate(OWN), pem(OWN), 0o644)
    assert (trouble.part, trouble.message) == ("key", "can be read by every user of this machine")
    assert trouble.is_usable
    assert trouble.is_doubt
    assert inspected(certificate(OWN), pem(OWN), 0o640) == []


def test_when_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "chain.pem"
    path.write_bytes(certificate(OWN))
    assert end_of(path) == (NOW + 60 * DAY).timestamp()
    assert end_of(tmp_path / "nowhere") is None


def test_what_openssl_makes_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 1,024-bit key: TLS takes it or not, by the level of the machine; no trouble but that one."""
    monkeypatch.chdir(tmp_path)
    command = "openssl req -x509 -newkey rsa:1024 -nodes -days 36500 -subj /CN=a.example -addext subjectAltName=DNS:a.example"
    subprocess.run([*command.split(), "-keyout", "key.pem", "-out", "chain.pem"], check=True, capture_output=True, timeout=60)
    pair = Certificate(chain=Path("chain.pem"), key=Path("key.pem"))
    found = [each.message for each in inspect(pair, ["a.example"], datetime.now(UTC).timestamp())]
    assert all(message.startswith("is refused by OpenSSL: ") for message in found)


PROBES: tuple[Callable[[bytes], bytes], ...] = (lambda pem: pem[:-40], lambda pem: pem * 30, lambda pem: b"\0\xff" + pem)


@pytest.mark.parametrize("change", PROBES)
def test_odd_bytes_are_a_trouble_or_none_and_never_a_crash(
    change: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inspected(change(SIGNED), pem(OWN))
    inspected(SIGNED, change(pem(OWN)))
