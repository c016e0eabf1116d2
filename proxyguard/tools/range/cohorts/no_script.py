"""Text browsers and screen readers: no script, no pictures, long dwell."""

from __future__ import annotations

from random import Random
from typing import Final

from proxyguard.tools.range.browsers import firefox, program
from proxyguard.tools.range.draw import AWAKE, pages_of_visit, spread
from proxyguard.tools.range.networks import residential
from proxyguard.tools.range.people import visit
from proxyguard.tools.range.values import Cohort, CohortKind, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 250
LYNX: Final = program(
    b"Lynx/2.9.2 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.8.9", "gnutls",
    (b"Accept", b"text/html, text/plain, text/sgml, text/css, application/xhtml+xml, */*;q=0.01"),
    (b"Accept-Encoding", b"gzip, compress, bzip2"),
    (b"Accept-Language", b"en"), (b"User-Agent", b"Lynx/2.9.2 libwww-FM/2.14 SSL-MM/1.4.1 GNUTLS/3.8.9"),
)  # fmt: skip
W3M: Final = program(
    b"w3m/0.5.3+git20230121", "openssl",
    (b"User-Agent", b"w3m/0.5.3+git20230121"), (b"Accept", b"text/html, text/*;q=0.5, image/*, application/*"),
    (b"Accept-Encoding", b"gzip, compress, bzip, bzip2, deflate"), (b"Accept-Language", b"en;q=1.0"),
)  # fmt: skip


def _session(random: Random) -> Session:
    software = random.choice((LYNX, W3M, firefox(140, b"Windows NT 10.0; Win64; x64")))
    visitor = Visitor(residential(random, software.speaks), software, keeps_cookies=random.random() < 0.5)
    yield from visit(visitor, random, pages_of_visit(random), median_gap=60.0, assets=(0, 0))


NO_SCRIPT: Final = Cohort(
    name="no-script", kind=CohortKind.LEGITIMATE, arrivals=spread(SESSIONS, AWAKE, _session),
    about="Text browsers, screen readers, no script and no assets, half of them without cookies",
    source="fields of Lynx and w3m as sent; long dwell: accessibility reports; 25 % of clients in logs load no asset",
)  # fmt: skip
