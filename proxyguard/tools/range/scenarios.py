"""The scenarios: which cohorts are there when, and what operators do meanwhile.

Attacks run over a part of a day with the people of that part: six hours say as much about rules as twenty-four, in a quarter of
the time. What takes a day (quotas) has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from proxyguard.tools.range.adversaries.adaptive import ADAPTIVE
from proxyguard.tools.range.adversaries.ai_crawlers import AI_CRAWLERS, CRAWLER_RETURNS
from proxyguard.tools.range.adversaries.exhausters import CALENDAR_CRAWLER, SLOW_SENDERS, STATE_EXHAUSTER, TARPIT_ABUSER
from proxyguard.tools.range.adversaries.expensive import FACET_BOMB, FORGE_SWARM
from proxyguard.tools.range.adversaries.forgers import FORGED_ADDRESSES, FORGED_ENGINES, SIX_NAMES
from proxyguard.tools.range.adversaries.impersonators import HEADLESS, IMPERSONATING
from proxyguard.tools.range.adversaries.naive_scripts import NAIVE_SCRIPTS
from proxyguard.tools.range.adversaries.one_address import (
    ONE_NETWORK,
    ONE_NETWORK_MINTING,
    SINGLE_ADDRESS,
    SINGLE_ADDRESS_MINTING,
)
from proxyguard.tools.range.adversaries.poisoner import POISONER
from proxyguard.tools.range.adversaries.quiet import FAKE_ACCOUNTS, QUIET_HARVEST
from proxyguard.tools.range.adversaries.scrapy import SCRAPY, SCRAPY_AS_BROWSER
from proxyguard.tools.range.adversaries.sign_up_floods import SIGN_UP_FLOOD, SIGN_UP_SWARM
from proxyguard.tools.range.adversaries.swarms import ALL_HEADERS, COUNTED, FOLLOWING, IMPERSONATED, RESIDENTIAL, WITH_ASSETS
from proxyguard.tools.range.cohorts.archive_rush import ARCHIVE_RUSH
from proxyguard.tools.range.cohorts.flash_crowd import FLASH_CROWD
from proxyguard.tools.range.cohorts.registry import CALM
from proxyguard.tools.range.held_out import SCENARIO as HELD_OUT
from proxyguard.tools.range.held_out import VARIANTS
from proxyguard.tools.range.overlays import Overlay
from proxyguard.tools.range.site import SiteFunction, answer
from proxyguard.tools.range.values import DAY_SECONDS, HOUR_SECONDS, Cohort, Presence
from proxyguard.tools.range.virtual import OperatorOrder

type Member = tuple[Cohort, Presence]

CALM_DAY: Final = "calm-day"
PEERS: Final = "peers"
PEERS_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True)
class Gate:
    """What must hold of a run, else a gate fails. `leak` bounds items with the firewall by items without, by adversary."""

    legitimate_refusals: bool = False
    """Whether legitimate requests may be refused."""
    leak: tuple[tuple[str, float], ...] = ()
    first_action_seconds: tuple[tuple[str, float], ...] = ()
    finds: tuple[str, ...] = ()
    """Cohorts of which a fault must be found: an operator's error that nobody notices is a hole of the range."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario. `seconds` is how long it lasts, from midnight on."""

    name: str
    about: str
    members: tuple[Member, ...]
    seconds: float = DAY_SECONDS
    orders: tuple[OperatorOrder, ...] = ()
    gate: Gate | None = None
    recovers: str = ""
    """The cohort of people who share an address with the attack: how long they are refused after its end is reported."""
    site: SiteFunction = answer


NINE: Final = 9 * HOUR_SECONDS
EIGHT, END = 8 * HOUR_SECONDS, 14 * HOUR_SECONDS


def _hours(
    *adversaries: Cohort, begin: float = EIGHT, end: float = END, people: float = 0.2, size: float = 1.0
) -> tuple[Member, ...]:
    """People of a part of the day, and adversaries who are there all of it. `people` is the share of a day's sessions."""
    calm = [(cohort, Presence(begin, end, people)) for cohort in CALM if cohort not in {FLASH_CROWD, ARCHIVE_RUSH}]
    return (*calm, *((cohort, Presence(begin + HOUR_SECONDS, end, size)) for cohort in adversaries))


def _minutes(*adversaries: Cohort) -> tuple[Member, ...]:
    """A twentieth of a day's people within some minutes, and adversaries who are there from the first second on."""
    span = Presence(NINE, NINE + PEERS_SECONDS, 0.05)
    people = [(cohort, span) for cohort in CALM if cohort not in {FLASH_CROWD, ARCHIVE_RUSH}]
    return (*people, *((cohort, Presence(NINE, NINE + PEERS_SECONDS)) for cohort in adversaries))


def _steps() -> tuple[OperatorOrder, ...]:
    """The orders of the model case, by their hours of the day, and the end."""
    hours = (10.1, 11.5, 13.0)
    named = [Overlay(f"july-{at + 1}", "limits a day by class of account") for at in range(3)]
    return (
        *(OperatorOrder(at * HOUR_SECONDS, each, 13.5 * HOUR_SECONDS) for at, each in zip(hours, named, strict=True)),
        OperatorOrder(13.5 * HOUR_SECONDS, None),
    )


FAULTS: Final = (
    Overlay("too-broad", "a rule whose user agent is a word that every phone says", hurts="mobile"),
    Overlay("wrong-network", "a list of networks with one prefix too short", hurts="office"),
    Overlay("misset-trust", "the proxy in front is not trusted: all visitors are one address", hurts="desktop", one_address=True),
)


def _faults() -> tuple[OperatorOrder, ...]:
    """Each fault for three quarters of an hour, and a quarter without."""
    found: list[OperatorOrder] = []
    for at, fault in enumerate(FAULTS):
        begin = (8.5 + at) * HOUR_SECONDS
        found += [OperatorOrder(begin, fault, begin + 2_700.0), OperatorOrder(begin + 2_700.0, None)]
    return tuple(found)


_ALL: Final = (
    Scenario(
        CALM_DAY, "people and useful programs, and nobody else", tuple((cohort, Presence()) for cohort in CALM), gate=Gate()
    ),
    Scenario(
        "july",
        "a sign-up flood and bought accounts; limits by class, changed three times, and their end",
        _hours(SIGN_UP_FLOOD, FAKE_ACCOUNTS, people=0.1),
        END,
        _steps(),
        Gate(leak=(("sign-up-flood", 0.001),), first_action_seconds=(("sign-up-flood", 5.0),)),
    ),
    Scenario(
        "forge",
        "a code forge whose blame and diff pages are read by thousands",
        _hours(FORGE_SWARM, AI_CRAWLERS, NAIVE_SCRIPTS),
        END,
    ),
    Scenario(
        "single-address",
        "one address with a browser's fields",
        _hours(SINGLE_ADDRESS, SINGLE_ADDRESS_MINTING, SCRAPY, SCRAPY_AS_BROWSER),
        END,
    ),
    Scenario(
        "one-network", "32 addresses of one network", _hours(ONE_NETWORK, ONE_NETWORK_MINTING, IMPERSONATING, HEADLESS), END
    ),
    Scenario("residential-swarm", "20,000 home addresses, a few requests each", _hours(RESIDENTIAL), END),
    Scenario(
        "swarm-all-headers",
        "the swarm with every field right, and one that follows redirects",
        _hours(ALL_HEADERS, FOLLOWING),
        END,
    ),
    Scenario("swarm-counted", "a swarm that follows redirects, each of which is a request of its own", _hours(COUNTED), END),
    Scenario(
        "swarm-impersonated", "swarms with TLS, cookies and assets of browsers", _hours(WITH_ASSETS, IMPERSONATED, size=0.25), END
    ),
    Scenario("crawler-returns", "a declared crawler that comes back as a Chrome", _hours(CRAWLER_RETURNS), END),
    Scenario(
        "quiet-harvest", "200 addresses, a page every 2-5 minutes", _hours(QUIET_HARVEST, begin=0.0, end=DAY_SECONDS, people=0.5)
    ),
    Scenario(
        "fake-accounts", "50 bought accounts below the limit", _hours(FAKE_ACCOUNTS, begin=0.0, end=DAY_SECONDS, people=0.5)
    ),
    Scenario("sign-up-swarm", "5,000 addresses that enumerate accounts", _hours(SIGN_UP_SWARM, people=0.3), END),
    Scenario(
        "flash-crowd",
        "a page that everybody reads, while a swarm is there",
        (*_hours(ALL_HEADERS, size=0.5), (FLASH_CROWD, Presence(EIGHT, END)), (ARCHIVE_RUSH, Presence())),
        DAY_SECONDS,
    ),
    Scenario(
        "forged-identities",
        "forged search engines, six names, forged addresses",
        _hours(FORGED_ENGINES, SIX_NAMES, FORGED_ADDRESSES, people=0.1),
        END,
        gate=Gate(leak=(("forged-addresses", 0.15),)),
    ),
    Scenario("facet-bomb", "searches that cost the site its CPU", _hours(FACET_BOMB), END),
    Scenario(
        "resource-attacks",
        "who is after the site's CPU and the firewall's tables, tarpits and sockets",
        _hours(FACET_BOMB, FORGE_SWARM, CALENDAR_CRAWLER, STATE_EXHAUSTER, TARPIT_ABUSER, SLOW_SENDERS, end=10 * HOUR_SECONDS),
        10 * HOUR_SECONDS,
    ),
    Scenario(
        "poisoned-office",
        "an infected machine behind an office's address, for one hour",
        (*_hours(people=0.5), (POISONER, Presence(9.5 * HOUR_SECONDS, 10.5 * HOUR_SECONDS))),
        END,
        recovers="office",
    ),
    Scenario(
        "operator-errors",
        "three faults of an operator, one after the other",
        _hours(people=0.15),
        12 * HOUR_SECONDS,
        _faults(),
        Gate(legitimate_refusals=True, finds=tuple(fault.hurts for fault in FAULTS)),
    ),
    Scenario(
        PEERS,
        "nine o'clock in three minutes, with the most usual scrapers: for fronts in real time, and for other firewalls",
        _minutes(NAIVE_SCRIPTS, AI_CRAWLERS, SCRAPY_AS_BROWSER, SINGLE_ADDRESS, ONE_NETWORK, SIGN_UP_FLOOD),
        NINE + PEERS_SECONDS,
    ),
    Scenario(HELD_OUT, "adversaries that rules are not tuned on", _hours(*VARIANTS, size=0.1), END),
    Scenario("adaptive", "an attacker who changes one thing whenever it is refused", _hours(ADAPTIVE), END),
)

SCENARIOS: Final[Mapping[str, Scenario]] = {scenario.name: scenario for scenario in _ALL}
GATED: Final = tuple(scenario.name for scenario in _ALL if scenario.gate is not None)
"""The scenarios that CI runs."""
