"""What stands around the table of settings: its groups, each with what it is about, and variables that are no settings."""

from __future__ import annotations

from typing import Final

GROUPS: Final = {
    "jar": "The cookie by which a browser is known to keep cookies; rules give it.",
    "items": "When an item of a site counts as rarely read.",
    "certificate": "What HTTPS is served with. Not with `sites`.",
    "upstream_tls": "How the certificate of an HTTPS upstream is verified. Not with `sites`.",
    "trust": "Who may say who the client is.",
    "bounds": "What a client can make proxyguard hold or wait for.",
    "buffering": "What is held of bodies, so that slow clients do not hold the site's workers.",
    "refusal_page": "What the pages that refused people read show.",
    "tarpit": "What tarpits may cost, whatever the rules say.",
    "maze": "What mazes may cost within a minute, whatever the rules say, and whom their pages invent.",
    "counting": "What limits keep, and how they tell clients apart.",
    "counting.prefixes": "How much of an address tells clients apart.",
    "store": "Where counts and bans are kept.",
    "audit": "The audit log.",
    "origin": "Where requests come from: country, network and its kind.",
    "identity": "How claims such as *I am Googlebot* are verified.",
    "robots": "What the robots.txt of the sites says, for rules that ask.",
    "preferences": "What programs may do with the content of the sites, and how that is said.",
    "privacy": "What is written and shown of the people behind requests, and how long it is kept.",
    "recycle": "When one worker of several is replaced.",
    "otel": "Traces and metrics for a collector of OpenTelemetry.",
    "restrictions": "Restrictions started and ended by command.",
}
"""What settings stand below, and what they have in common."""

OTHER_VARIABLES: Final = {
    "PROXYGUARD_CONFIG": "The settings file, when none is named on the command line.",
    "PROXYGUARD_LOOP": "`asyncio` runs without uvloop, to tell whose fault something is.",
}
"""Variables that are not settings."""
