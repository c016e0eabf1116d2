"""Certificates and keys of all sites: whether they can be served with, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from time import time

from proxyguard.adapters.mitmproxy.tls.inspection import CertificateTrouble, inspect
from proxyguard.core.settings import Certificate, Settings
from proxyguard.instance.preflight.concern import Concern, Weight


def certificates(settings: Settings) -> Iterator[Concern]:
    """Each pair of files is looked at once, for all hosts that are served with it."""
    hosts: dict[Certificate, list[str]] = {}
    sites: dict[Certificate, int] = {}
    for at, site in enumerate(settings.sites):
        if site.certificate is not None:
            hosts.setdefault(site.certificate, []).extend(site.hosts)
            sites.setdefault(site.certificate, at)
    now = time()
    for certificate, names in hosts.items():
        for trouble in inspect(certificate, names, now):
            yield _concern(f"sites.{sites[certificate]}.certificate", certificate, trouble)


def _concern(key: str, certificate: Certificate, trouble: CertificateTrouble) -> Concern:
    part = trouble.part
    path = certificate.chain if part == "chain" else certificate.key
    weight = Weight.DOUBT if trouble.is_doubt else Weight.LOSS if trouble.is_usable else Weight.FATAL
    return Concern(f"{key}.{part}", f"certificate.{part} {path} {trouble.message}", trouble.hint, weight)
