"""What the flows of one addon share: settings, guard, counters."""

from __future__ import annotations

from resource import RLIMIT_NOFILE, getrlimit
from secrets import token_hex

from proxyguard.adapters.mitmproxy.capacity import capacity_of
from proxyguard.adapters.mitmproxy.under_way import UnderWay
from proxyguard.adapters.mitmproxy_addon.answerer import Answerer
from proxyguard.core.settings import Settings, Site
from proxyguard.guard.interfaces import Checker, FrontEvents
from proxyguard.http.forwarded import ClientAddressResolver
from proxyguard.http.responses import Pages
from proxyguard.policy.sites import HostTable


class AddonServices:
    """Made once for the settings in force; a flow keeps the one that it began with."""

    def __init__(self, settings: Settings, checker: Checker, events: FrontEvents) -> None:
        self.settings = settings
        self.checker = checker
        self.events = events
        self.resolver = ClientAddressResolver(settings.trust)
        self.pages = Pages(settings.refusal_page)
        self.answerer = Answerer(settings.tarpit)
        capacity = capacity_of(settings.bounds, getrlimit(RLIMIT_NOFILE)[0], 1)
        self.under_way = UnderWay(capacity, settings.counting.prefixes, self.resolver.trusted, several_sites=False)
        self._sites = HostTable([(host, site) for site in settings.sites for host in site.hosts])
        self._has_sites = bool(settings.sites)

    def site(self, host: bytes) -> Site | None:
        """The site of a host; None when the settings name sites and it is none of theirs. Without settings any host will do."""
        return self._sites.find(host) if self._has_sites else Site()

    def reference(self) -> str:
        """An opaque reference for an answer that no check stands behind."""
        return token_hex(8)
