"""The table of legitimate cohorts."""

from __future__ import annotations

from typing import Final

from proxyguard.tools.range.cohorts.api_clients import API_CLIENTS
from proxyguard.tools.range.cohorts.archive_crawler import ARCHIVE_CRAWLER
from proxyguard.tools.range.cohorts.archive_rush import ARCHIVE_RUSH
from proxyguard.tools.range.cohorts.corporate_proxy import CORPORATE_PROXY
from proxyguard.tools.range.cohorts.desktop import DESKTOP
from proxyguard.tools.range.cohorts.feeds import FEEDS
from proxyguard.tools.range.cohorts.flash_crowd import FLASH_CROWD
from proxyguard.tools.range.cohorts.git_and_ci import GIT_AND_CI
from proxyguard.tools.range.cohorts.link_previews import LINK_PREVIEWS
from proxyguard.tools.range.cohorts.mobile import MOBILE
from proxyguard.tools.range.cohorts.monitoring import MONITORING
from proxyguard.tools.range.cohorts.new_office import NEW_OFFICE
from proxyguard.tools.range.cohorts.no_script import NO_SCRIPT
from proxyguard.tools.range.cohorts.office import OFFICE
from proxyguard.tools.range.cohorts.power_user import POWER_USER
from proxyguard.tools.range.cohorts.privacy_extensions import PRIVACY_EXTENSIONS
from proxyguard.tools.range.cohorts.search_crawlers import SEARCH_CRAWLERS
from proxyguard.tools.range.cohorts.tor_and_vpn import TOR_AND_VPN
from proxyguard.tools.range.cohorts.webview import WEBVIEW
from proxyguard.tools.range.values import Cohort

CALM: Final[tuple[Cohort, ...]] = (
    DESKTOP, MOBILE, WEBVIEW, OFFICE, NEW_OFFICE, CORPORATE_PROXY, FEEDS, GIT_AND_CI, MONITORING, SEARCH_CRAWLERS, LINK_PREVIEWS,
    API_CLIENTS, NO_SCRIPT, TOR_AND_VPN, PRIVACY_EXTENSIONS, ARCHIVE_CRAWLER, FLASH_CROWD, ARCHIVE_RUSH, POWER_USER,
)  # fmt: skip
"""A calm day: the whole of them."""
