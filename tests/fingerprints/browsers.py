"""Clients that are real browsers: with settings that people have, and behind products that open their TLS."""

from __future__ import annotations

import sys
from typing import Final

from tests.fingerprints.client import BROWSER, INTERCEPTED, PROGRAMS, Client, Command

_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--ignore-certificate-errors",
)  # fmt: skip


def chromium(*flags: str) -> Command:
    """Chromium with a profile of its own."""
    return lambda url, _: ("chromium", "--user-data-dir={folder}/chromium", *_FLAGS, *flags, "--dump-dom", url)


def firefox(*preferences: str) -> Command:
    """Firefox with a profile of its own and preferences such as `network.http.http2.enabled=false`."""
    return lambda url, _: (sys.executable, str(PROGRAMS / "firefox.py"), url, "{folder}", *preferences)


def _through(product: str, browser: str) -> Command:
    return lambda url, _: (sys.executable, str(PROGRAMS / "intercepted.py"), product, browser, url, "{folder}")


_CHROMIUM: Final = (
    ("chromium", ()),
    ("chromium-http2-off", ("--disable-http2",)),
    ("chromium-tls12", ("--ssl-version-max=tls1.2",)),
    ("chromium-incognito", ("--incognito",)),
    ("chromium-german", ("--lang=de", "--accept-lang=de-DE,de")),
)
_FIREFOX: Final = (
    ("firefox", ()),
    ("firefox-http2-off", ("network.http.http2.enabled=false",)),
    ("firefox-tls12", ("security.tls.version.max=3",)),
    ("firefox-private", ("browser.privatebrowsing.autostart=true",)),
    ("firefox-resist", ("privacy.resistFingerprinting=true",)),
    ("firefox-no-ech", ("security.tls.ech.grease_probability=0", "security.tls.enable_kyber=false")),
)
PRODUCTS: Final = ("mitmproxy", "squid", "sslsplit", "privoxy", "http-mitm-proxy")
_NEEDS: Final = {"mitmproxy": sys.executable, "http-mitm-proxy": "node:http-mitm-proxy"}

BROWSERS: Final[tuple[Client, ...]] = (
    *(Client(name, BROWSER, chromium(*flags), "chromium", "chromium") for name, flags in _CHROMIUM),
    *(Client(name, BROWSER, firefox(*preferences), "firefox", "firefox-esr") for name, preferences in _FIREFOX),
    *(
        Client(f"{browser}-{product}", INTERCEPTED, _through(product, browser), "", _NEEDS.get(product, product))
        for product in PRODUCTS
        for browser in ("chromium", "firefox")
    ),
)
