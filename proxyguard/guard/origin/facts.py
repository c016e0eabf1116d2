"""What is known of a client, for people: each fact with what it rests on and how sure it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from proxyguard.core.address import Address
from proxyguard.core.origin import NetworkKind, Origin, Proof
from proxyguard.guard.origin.bots import KnownBot
from proxyguard.guard.origin.origin_data import OriginData
from proxyguard.guard.origin.origins import address_facts, is_public
from proxyguard.guard.origin.range_lists import RangeList


class Fact(NamedTuple):
    """One fact. `source` says what it rests on and how sure it is."""

    name: str
    value: str
    source: str

    def as_text(self) -> str:
        return f"{self.name}: {self.value} -- {self.source}"


def facts_of(origin: Origin, client: Address, data: OriginData) -> list[Fact]:
    """What is known of the origin of a request, unknown facts included."""
    if not is_public(client.number):
        return [Fact("address", "not of the internet", "nothing is known of it, and nothing is proven or refuted for it")]
    return [*address_lines(origin, client, data), *_identity_lines(origin, data)]


def address_lines(origin: Origin, client: Address, data: OriginData) -> list[Fact]:
    """What is known of the address alone."""
    built = {name: datetime.fromtimestamp(seconds, UTC).date() for name, seconds in data.tables.built.items()}
    country = (
        f"table of {built['country']}; right for most, not for each" if "country" in built else "there is no table of countries"
    )
    network = f"table of {built['asn']}" if "asn" in built else "there is no table of autonomous systems"
    owner = "" if origin.asn is None else f"AS{origin.asn}" + (f" {origin.owner}" if origin.owner else "")
    return [
        Fact("country", origin.country or "unknown", country),
        Fact("network", owner or "unknown", network),
        Fact("network_kind", str(origin.network_kind), _kind_source(origin, client, data)),
    ]


def _kind_source(origin: Origin, client: Address, data: OriginData) -> str:
    lists = address_facts(client, data).lists
    if data.hosting in lists and data.hosting is not None:
        return f"in the published ranges of hosting providers, of {data.ranges.lists[data.hosting].published}"
    if origin.network_kind is NetworkKind.UNKNOWN:
        return "neither ranges nor the name of the network say it for certain"
    return "by the number or the name of the network; a guess"


def _identity_lines(origin: Origin, data: OriginData) -> list[Fact]:
    if origin.claim is None:
        return [Fact("verified", "unknown", "it claims to be no bot that can prove itself")]
    bot = data.claims.named(origin.claim)
    claim = "its signature names it" if origin.proof is Proof.SIGNATURE else "its user agent says so, which proves nothing"
    class_ = f" ({bot.class_})" if bot is not None else ""
    word = {True: "true", False: "false", None: "unknown"}[origin.verified]
    return [
        Fact("claimed_identity", f"{origin.claim}{class_}", claim),
        Fact("verified", word, _verdict_source(origin, bot, data)),
    ]


def _verdict_source(origin: Origin, bot: KnownBot | None, data: OriginData) -> str:
    match origin.proof, origin.verified:
        case Proof.SIGNATURE, True:
            return "its signature fits a key that its host publishes; sure"
        case Proof.SIGNATURE, _:
            return "its signature is wrong; sure"
        case Proof.RANGES, True:
            return f"its address is in a list that the operator publishes{_dates(bot, data)}; sure"
        case Proof.RANGES, _:
            return f"its address is in none of the operator's complete lists{_dates(bot, data)}; sure while they are fresh"
        case Proof.REVERSE_DNS, True:
            return "its reverse name is the operator's, and leads back to it; sure"
        case Proof.REVERSE_DNS, False:
            return "it has no reverse name of the operator's that leads back to it; sure"
        case _:
            return _why_unknown(bot)


def _why_unknown(bot: KnownBot | None) -> str:
    if bot is not None and bot.suffixes:
        return f"its reverse name decides (in {' or '.join(bot.suffixes)}), which was not looked up, or no server answered"
    return "its lists are too old or not complete: an address outside of them is not forged for certain"


def lists_of(bot: KnownBot, data: OriginData) -> list[RangeList]:
    """The lists of a bot that there are."""
    return [data.ranges.lists[data.ranges.numbers[name]] for name in bot.ranges if name in data.ranges.numbers]


def _dates(bot: KnownBot | None, data: OriginData) -> str:
    if bot is None:
        return ""
    return f" ({', '.join(f'{each.name} of {each.published}' for each in lists_of(bot, data))})"
