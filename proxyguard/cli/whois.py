"""`proxyguard whois`: what is known of an address or of a user agent, and what each fact rests on."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING

import click

from proxyguard.cli.echo import echo
from proxyguard.cli.mistaken_address import refuse_mistaken
from proxyguard.cli.options import config_option, json_option
from proxyguard.core.address import Address
from proxyguard.core.origin import Origin, Proof
from proxyguard.core.printable import printable
from proxyguard.core.request import Request
from proxyguard.guard.origin.bots import KnownBot
from proxyguard.guard.origin.facts import Fact, address_lines, facts_of, lists_of
from proxyguard.guard.origin.origins import Origins, address_facts, is_public
from proxyguard.guard.origin.reverse_dns import DnsVerdict, Reach, look_up
from proxyguard.policy.bots.classes import MAX_BYTES, classes_of

if TYPE_CHECKING:
    from proxyguard.core.origin_settings import Identity
    from proxyguard.guard.origin.origin_data import OriginData


@click.command()
@click.argument("subject", metavar="ADDRESS|UA")
@click.option("--user-agent", metavar="UA", help="Whom the address claims to be.")
@click.option("--offline", is_flag=True, help="Look no reverse name up.")
@config_option
@json_option
def whois(subject: str, user_agent: str | None, config: Path | None, *, offline: bool, as_json: bool) -> None:
    """Say who an address is, or whom a user agent claims to be, and what each fact rests on.

    Of an address: country, network, its kind, the published lists that it is in, its reverse name; with --user-agent whether it
    is who it says. Of a user agent: the bot that it names, how that bot proves itself, and its class.

    \b
    Examples:
      proxyguard whois 66.249.66.1
      proxyguard whois 203.0.113.9 --user-agent 'Mozilla/5.0 (compatible; bingbot/2.0)'
      proxyguard whois 'Mozilla/5.0 (compatible; GPTBot/1.2)'
    """
    from proxyguard.settings.file import read_as_given  # noqa: PLC0415 - reads every kind of setting: 0.1 s

    refuse_mistaken(subject, "ADDRESS|UA")
    settings = read_as_given(config, os.environ).settings
    origins = Origins(settings.origin, replace(settings.identity, reverse_dns=False), clock=monotonic, wall=time)
    data = origins.data
    try:
        client = Address.parse(subject)
    except ValueError:
        if user_agent is not None:
            raise click.BadParameter(f"{subject!r} is no address", param_hint="ADDRESS") from None
        facts = [*_of_user_agent(data.claims.of(subject.encode("utf-8", "surrogateescape")), data), *_class(subject)]
    else:
        asked = None if offline or not settings.identity.reverse_dns else settings.identity
        facts = _of_address(client, user_agent, origins, asked)
    origins.close()
    if as_json:
        echo(json.dumps({"subject": subject, "facts": [fact._asdict() for fact in facts]}))
        return
    for fact in facts:
        echo(printable(fact.as_text()))
    for fault in data.faults:
        echo(f"warning: {fault}", err=True)


def _of_user_agent(bot: KnownBot | None, data: OriginData) -> list[Fact]:
    if bot is None:
        return [Fact("claimed_identity", "none", "it names no bot that can prove itself, or several")]
    ways = []
    if bot.ranges:
        shown = ", ".join(
            f"{each.name} of {each.published}{'' if each.is_complete else ', maybe incomplete'}" for each in lists_of(bot, data)
        )
        ways.append(Fact("proof", "published addresses", shown))
    if bot.suffixes:
        ways.append(Fact("proof", "reverse name", f"in {' or '.join(bot.suffixes)}, and leading back to the address"))
    if bot.directories:
        ways.append(Fact("proof", "signature", f"with a key of {' or '.join(bot.directories)}, if identity.directories has it"))
    return [Fact("claimed_identity", f"{bot.name} ({bot.class_})", "by name, which proves nothing"), *ways]


def _class(user_agent: str) -> list[Fact]:
    """The classes that rules know a user agent by."""
    names = [name.decode() for name in classes_of(user_agent.encode("utf-8", "surrogateescape")[:MAX_BYTES])]
    source = "by its user agent, which proves nothing" if names else "its user agent is that of no bot that is known here"
    return [Fact("bot", ", ".join(names) or "none", source)]


def _of_address(client: Address, user_agent: str | None, origins: Origins, asked: Identity | None) -> list[Fact]:
    """`asked`: how reverse names are looked up; None: not at all."""
    data = origins.data
    headers = () if user_agent is None else ((b"User-Agent", user_agent.encode("utf-8", "surrogateescape")),)
    origin = origins.find(Request(client, b"GET", b"https", b"", b"/", headers))
    found: list[Fact] = []
    if is_public(client.number):
        lists = [data.ranges.lists[number] for number in address_facts(client, data).lists]
        found += [Fact("list", each.name, f"of {each.published}, {each.source}") for each in lists]
        if user_agent is None:
            names = {each.name for each in lists}
            bots = [bot for bot in data.claims.bots if names.intersection(bot.ranges)]
            found += [Fact("may_be", f"{bot.name} ({bot.class_})", "proven from here, if it says so") for bot in bots]
        if asked is not None:
            origin, reverse = _reverse(client, origin, data, asked)
            found.append(reverse)
        if user_agent is None:
            return [*address_lines(origin, client, data), *found]  # nothing was claimed, and that is no news
    return [*facts_of(origin, client, data), *_class(user_agent or ""), *found]


def _reverse(client: Address, origin: Origin, data: OriginData, asked: Identity) -> tuple[Origin, Fact]:
    """The origin with what its reverse name proves, and that name."""
    bot = None if origin.claim is None else data.claims.named(origin.claim)
    suffixes = (
        bot.suffixes if bot is not None and bot.suffixes else tuple({s for each in data.claims.bots for s in each.suffixes})
    )
    shared = () if bot is None else bot.shared
    found = asyncio.run(look_up(client.text, suffixes, asked.resolvers, asked.dns_timeout_seconds, Reach(), shared))
    said = {
        DnsVerdict.CONFIRMED: "leads back to the address, in a domain of a bot's operator",
        DnsVerdict.REFUTED: "is not in a domain of a bot's operator, or does not lead back",
        DnsVerdict.FAILED: "no server answered as it should, or the resolver does not know the internet's reverse names",
    }
    source = "is of a cloud from which the bot comes, and others too" if found.is_shared else said[found.verdict]
    fact = Fact("reverse_name", found.name or "none", source)
    if bot is not None and bot.suffixes and not origin.verified:
        verified = {DnsVerdict.CONFIRMED: True, DnsVerdict.REFUTED: False, DnsVerdict.FAILED: None}[found.verdict]
        origin = origin._replace(verified=verified, identity=bot.name if verified else None, proof=Proof.REVERSE_DNS)
    return origin, fact
