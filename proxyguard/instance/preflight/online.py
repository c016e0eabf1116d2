"""What can only be found out by asking others: whether the store and the upstreams answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Final

from proxyguard.core.settings import Settings, Site, Upstream
from proxyguard.instance.preflight.concern import Concern, Weight
from proxyguard.limits.stores.probe import probe_store

WAIT_SECONDS: Final = 3.0
"""For each store and upstream, all at once."""

MAX_UPSTREAMS: Final = 256
"""That are asked; whoever has more has them from a program."""


async def online(settings: Settings) -> AsyncIterator[Concern]:
    """Ask everybody at once."""
    asked = [
        _upstream(f"sites.{at}.upstream.{number}", upstream, site)
        for at, site in enumerate(settings.sites)
        for number, upstream in enumerate(site.upstreams)
    ][:MAX_UPSTREAMS]
    if settings.store.url is not None:
        asked.insert(0, _store(settings))
    for concern in await asyncio.gather(*asked):
        if concern is not None:
            yield concern


async def _store(settings: Settings) -> Concern | None:
    fault = await probe_store(settings, WAIT_SECONDS)
    if fault is None:
        return None
    message, hint = fault
    return Concern("store.url", f"the store {message}", hint, Weight.LOSS)


async def _upstream(key: str, upstream: Upstream, site: Site) -> Concern | None:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            if upstream.path:
                _, writer = await asyncio.open_unix_connection(upstream.path)
            else:
                tls = _tls(site) if upstream.scheme == "https" else None
                name = (site.upstream_tls.name or upstream.host) if tls else None
                _, writer = await asyncio.open_connection(upstream.host, upstream.port, ssl=tls, server_hostname=name)
            writer.close()
    except TimeoutError:
        why, hint = f"does not answer within {WAIT_SECONDS:g} s", "is a firewall between them?"
    except ssl.SSLCertVerificationError as error:
        why, hint = f"has a certificate that is not trusted: {error.verify_message}", "see upstream_tls.ca and upstream_tls.name"
    except ssl.SSLError as error:
        why, hint = f"does not speak TLS: {error.reason or error}", "http:// if it is a plain port"
    except OSError as error:
        why, hint = f"cannot be reached: {_reason(error)}", "is it running, and is this where it listens?"
    else:
        return None
    return Concern(key, f"the upstream {upstream} {why}", hint, Weight.LOSS)


def _tls(site: Site) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=site.upstream_tls.ca)
    if not site.upstream_tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: OSError) -> str:
    words = (error.strerror or str(error)).partition("(")[0].strip() or type(error).__name__
    if error.errno == 111 or "refused" in str(error).lower():  # several addresses make one error without a number
        return "connection refused"
    return words[:1].lower() + words[1:]
