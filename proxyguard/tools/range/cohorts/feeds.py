"""Feed and podcast readers: odd user agents, conditional requests, day and night."""

from __future__ import annotations

from random import Random
from typing import Final

from proxyguard.tools.range.browsers import program
from proxyguard.tools.range.draw import EVEN, spread
from proxyguard.tools.range.networks import hosting, residential
from proxyguard.tools.range.values import Cohort, CohortKind, Session
from proxyguard.tools.range.visitor import Visitor

SESSIONS: Final = 300
ACCEPT: Final = (b"Accept", b"application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.8")

READERS: Final = (
    (b"Feedly/1.0 (+https://feedly.com/poller.html; 16 subscribers; )", "java", True),
    (b"Miniflux/2.2.13 (https://miniflux.app)", "go", True),
    (b"NetNewsWire (RSS Reader; https://netnewswire.com/)", "safari", False),
    (b"Inoreader/1.0 (+http://www.inoreader.com/feed-fetcher; 3 subscribers; )", "php", True),
    (b"Podcasts/4028.500.1 CFNetwork/3826.600.41 Darwin/24.6.0", "safari", False),
    (b"AntennaPod/3.9.0", "okhttp", False),
    (b"Overcast/3.0 (+http://overcast.fm/; iOS podcast app)", "safari", False),
    (b"Tiny Tiny RSS/24.10 (https://tt-rss.org/)", "php", True),
    (b"newsboat/2.40.0 (Linux x86_64)", "curl", False),
    (b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.5.0", "firefox", False),
    (b"FreshRSS/1.27.1 (Linux; https://freshrss.org)", "php", True),
)  # fmt: skip


def _session(random: Random) -> Session:
    """Polls every half hour to two hours for some hours."""
    agent, speaks, hosted = random.choice(READERS)
    source = hosting(random, speaks) if hosted else residential(random, speaks)
    visitor = Visitor(
        source, program(agent, speaks, (b"User-Agent", agent), ACCEPT, (b"Accept-Encoding", b"gzip")), keeps_cookies=False
    )
    every = random.choice((1_800.0, 3_600.0, 7_200.0))
    for number in range(random.randint(2, 6)):
        yield from visitor.get(every + random.random() * 30 if number else 0.0, b"/feed.xml", conditional=True)


FEEDS: Final = Cohort(
    name="feeds", kind=CohortKind.LEGITIMATE, arrivals=spread(SESSIONS, EVEN, _session),
    about="Feed and podcast readers with conditional requests",
    source="user agents of 11 readers; polls every 30-120 min: what readers document",
)  # fmt: skip
