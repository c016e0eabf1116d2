"""Link previews: a post is shared, and 200 servers fetch it within a minute."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

from proxyguard.tools.range.browsers import program
from proxyguard.tools.range.draw import midnights
from proxyguard.tools.range.networks import hosting
from proxyguard.tools.range.values import HOUR_SECONDS, Arrival, Cohort, CohortKind, Draw, Presence, Session
from proxyguard.tools.range.visitor import Visitor

SERVERS: Final = 200
SHARED_AT: Final = 15 * HOUR_SECONDS
AGENTS: Final = (
    b"Mastodon/4.5.2 (http.rb/5.3.1; +https://social.example/) Bot", b"Akkoma 3.16.0; https://soc.example <a@soc.example>",
    b"facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", b"Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    b"TelegramBot (like TwitterBot)", b"Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    b"WhatsApp/2.24.8.85 A",
)  # fmt: skip


def _arrivals(span: Presence, draw: Draw) -> Iterator[Arrival]:
    for day in midnights(span):
        random = draw.stream(f"day {day}")
        target = b"/posts/%d" % random.randrange(1, 50_000)
        for index, at in enumerate(sorted(day + SHARED_AT + random.random() * 60 for _ in range(SERVERS))):
            if span.begin <= at < span.end:
                yield Arrival(at, _session(draw.stream(f"{day} {index}"), target))


def _session(random: Random, target: bytes) -> Session:
    agent = AGENTS[0] if random.random() < 0.7 else random.choice(AGENTS)
    visitor = Visitor(
        hosting(random, "ruby"),
        program(agent, "ruby", (b"User-Agent", agent), (b"Accept", b"text/html"), (b"Accept-Encoding", b"gzip")),
    )
    yield from visitor.get(0.0, target)
    if random.random() < 0.5:
        yield from visitor.get(0.5, b"/assets/%d.png" % random.randrange(40))


LINK_PREVIEWS: Final = Cohort(
    name="link-previews", kind=CohortKind.LEGITIMATE, arrivals=_arrivals,
    about="200 servers fetch one shared post within a minute",
    source="Fediverse servers fetch a link when a post arrives: their developers' reports",
)  # fmt: skip
