"""Rules that let in more than was meant: PG010 to PG014; and rules that shut out everybody: PG031."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from proxyguard.core.address import V4_BASE, Network
from proxyguard.core.decision import ACTION_NAMES, Allow, Pass
from proxyguard.policy.compile.facts import FactNumbers
from proxyguard.policy.compile.network_table import own_family
from proxyguard.policy.compile.normal_form import Leaf, holds_with, leaves, normal_form
from proxyguard.policy.model import FieldKind, InNetworks, Text, TextKind
from proxyguard.tools.lint.findings import Finding
from proxyguard.tools.lint.logic import always_holds
from proxyguard.tools.lint.view import PolicyView, RuleView
from proxyguard.tools.lint.words import format_texts, text_of

MAX_V4_ADDRESSES: Final = 1 << 24
"""A /8, which is the most that one organisation holds."""

V4_ADDRESSES: Final = 1 << 32

MAX_V6_ADDRESSES: Final = 1 << 112
"""A /16; registries give out at most a /19 at once."""

GOOD_BOTS: Final = (
    "Googlebot", "Google-InspectionTool", "Storebot-Google", "AdsBot-Google", "Mediapartners-Google", "bingbot", "BingPreview",
    "msnbot", "DuckDuckBot", "Applebot", "YandexBot", "Baiduspider", "Yahoo! Slurp", "Slurp", "Qwantbot", "SeznamBot",
    "PetalBot", "MojeekBot", "archive.org_bot", "ia_archiver", "facebookexternalhit", "Twitterbot", "LinkedInBot", "Pinterestbot",
    "Slackbot", "TelegramBot", "WhatsApp", "Discordbot", "UptimeRobot", "Pingdom",
)  # fmt: skip
"""Crawlers that sites want, whose names scrapers therefore borrow."""

_NAMES: Final = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in GOOD_BOTS}

_FILLED_IN: Final = frozenset({FieldKind.METHOD, FieldKind.SCHEME, FieldKind.HTTP_VERSION, FieldKind.HOST})
"""Fields that any client fills in as it likes."""

_USER_AGENT: Final = "header.user-agent"


def trusted(view: PolicyView) -> Iterator[Finding]:
    """PG010 to PG014 and PG031."""
    for item in view.live:
        yield from _everybody(item)
        if isinstance(item.rule.action, Allow | Pass):
            yield from _broad(item)
            yield from _by_name(item)
        elif item.refuses:
            yield from _closing(item)


def _everybody(item: RuleView) -> Iterator[Finding]:
    """PG014: a network that is the whole internet, or several that are, looks like a condition and is none."""
    if item.allows:
        return  # PG010 says so
    for network in (each for leaf in leaves(normal_form(item.rule.when, FactNumbers())) for each in _networks(leaf)):
        if network.last - network.first + 1 >= V4_ADDRESSES and own_family(network)[0][0] in (0, V4_BASE):
            family = "IPv4" if ":" not in network.text else "IPv6"
            message = f"the rule '{item.rule.name}' names {network.text}, every {family} client there is"
            hint = "leave client out if everybody is meant; else name the networks"
            yield item.finding("PG014", message, hint, place=item.source.find_text(item.rule, [network.text]))
            return


def _networks(leaf: Leaf) -> tuple[Network, ...]:
    """Those that a test names; `not: 0.0.0.0/0` is how IPv6 is said."""
    return leaf.test.matcher.networks if isinstance(leaf.test.matcher, InNetworks) and not leaf.negated else ()


def _broad(item: RuleView) -> Iterator[Finding]:
    if not item.allows:
        return
    if always_holds(item.when):
        message = f"the rule '{item.rule.name}' allows every request: no other rule, limit or ban does anything"
        hint = "to switch all off for a while: proxyguard shadow on; what is not refused passes anyway"
        yield item.finding("PG013", message, hint, place=item.source.find_key(item.rule, "when"))
        return
    for leaf in leaves(item.when):
        if leaf.negated or not isinstance(leaf.test.matcher, InNetworks):
            continue
        wide = [network for network in leaf.test.matcher.networks if _is_wide(network)]
        if wide:
            named = format_texts(network.text for network in wide)
            message = f"the rule '{item.rule.name}' allows {named}: nothing refuses, counts or bans a client from there"
            hint = "list the networks that you know; /8 (IPv6: /16) is the widest that one organisation has"
            place = item.source.find_text(item.rule, [network.text for network in wide])
            yield item.finding("PG010", message, hint, place=place)
            return
    if holds_with(item.when, _is_common):
        message = f"the rule '{item.rule.name}' allows nearly every request, and switches all other rules off for them"
        hint = "say which clients or paths are allowed; what is not refused passes anyway"
        yield item.finding("PG010", message, hint, place=item.source.find_key(item.rule, "when"))


def _is_wide(network: Network) -> bool:
    ranges = own_family(network)
    size = sum(last - first + 1 for first, last in ranges)
    is_v4 = ":" not in network.text
    return size > (MAX_V4_ADDRESSES if is_v4 else MAX_V6_ADDRESSES)


def _is_common(leaf: Leaf) -> bool:
    """Whether nearly every request passes a test."""
    if leaf.test.field.kind == FieldKind.METHOD:
        return leaf.negated or not {b"GET", b"HEAD", b"POST"}.isdisjoint(_texts(leaf))
    return leaf.negated or leaf.test.field.kind in (FieldKind.SCHEME, FieldKind.HTTP_VERSION)


def _by_name(item: RuleView) -> Iterator[Finding]:
    if not holds_with(item.when, _says_nothing):
        return
    texts = [text for leaf in leaves(item.when) if _is_agent(leaf) for text in _texts(leaf)]
    bots = [name for name in dict.fromkeys(_bot(text) for text in texts) if name]
    verb = ACTION_NAMES[type(item.rule.action)]
    place = item.source.find_key(item.rule, "when", "user_agent")
    if bots:
        message = f"the rule '{item.rule.name}' lets in whoever says {format_texts(bots)}, a name that scrapers borrow"
        hint = "add the networks that its operator publishes (client: $networks), or leave the rule out"
        yield item.finding("PG012", message, hint, place=place)
    elif item.allows and texts:
        message = f"the rule '{item.rule.name}' allows whoever sends a user agent, which is a claim and no proof"
        hint = f"add client networks, a secret header or a path; {verb} stands over bans and limits"
        yield item.finding("PG011", message, hint, place=place)


def _is_agent(leaf: Leaf) -> bool:
    return str(leaf.test.field) == _USER_AGENT and not leaf.negated


def _texts(leaf: Leaf) -> tuple[bytes, ...]:
    return leaf.test.matcher.texts if isinstance(leaf.test.matcher, Text) else ()


def _bot(text: bytes) -> str | None:
    """The good bot that a text names, whatever its kind: `Googlebot/2.1`, `(?i)googlebot`."""
    plain = re.sub(r"[^a-z0-9]", "", text_of(text).lower())
    return next((name for key, name in _NAMES.items() if key in plain), None)


def _says_nothing(leaf: Leaf) -> bool:
    """Whether a test is about nothing but a user agent and what any client fills in as it likes."""
    return leaf.negated or str(leaf.test.field) == _USER_AGENT or leaf.test.field.kind in _FILLED_IN


def _closing(item: RuleView) -> Iterator[Finding]:
    rule = item.rule
    if rule.limit is not None or rule.expires is not None or not holds_with(item.when, _leaves_little_out):
        return
    verb = ACTION_NAMES[type(rule.action)]
    message = f"the rule '{rule.name}' closes the site: {verb} for every request, without a limit and without an end"
    hint = "give it an end (expires: 2026-07-01T12:00Z), a limit, or a condition that not every request meets"
    yield item.finding("PG031", message, hint, place=item.source.find_key(rule, "when"))


def _leaves_little_out(leaf: Leaf) -> bool:
    """Whether every request passes a test but for its method, or for a handful of values."""
    matcher, kind = leaf.test.matcher, leaf.test.field.kind
    if not isinstance(matcher, Text) or matcher.kind is not TextKind.EQUAL:
        return False
    if leaf.negated:
        return kind in (FieldKind.PATH, FieldKind.METHOD)
    return kind == FieldKind.METHOD and b"GET" in matcher.texts
