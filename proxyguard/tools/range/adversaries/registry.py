"""The table of adversaries."""

from __future__ import annotations

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
from proxyguard.tools.range.values import Cohort

ADVERSARIES: Final[tuple[Cohort, ...]] = (
    NAIVE_SCRIPTS, SCRAPY, SCRAPY_AS_BROWSER, AI_CRAWLERS, CRAWLER_RETURNS, SINGLE_ADDRESS, SINGLE_ADDRESS_MINTING, ONE_NETWORK,
    ONE_NETWORK_MINTING, IMPERSONATING, HEADLESS, RESIDENTIAL, ALL_HEADERS, FOLLOWING, COUNTED, WITH_ASSETS, IMPERSONATED,
    QUIET_HARVEST, STATE_EXHAUSTER, TARPIT_ABUSER, CALENDAR_CRAWLER, SLOW_SENDERS,
    FAKE_ACCOUNTS, SIGN_UP_FLOOD, SIGN_UP_SWARM, FORGED_ENGINES, SIX_NAMES, FORGED_ADDRESSES, FACET_BOMB, FORGE_SWARM, POISONER,
    ADAPTIVE,
)  # fmt: skip
