"""Refuses connections at accept, before TLS and HTTP, from clients under a ban whose answer is `drop`.

Other bans are answered, so they wait for the request. A client that an allow rule names by its address is never refused here;
an allow rule about paths cannot be evaluated before there is a path. Knows nothing of sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from proxyguard.core.address import Address, Network
from proxyguard.core.decision import Allow, Drop, Mode
from proxyguard.core.settings import Settings
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.stores.store import AsyncStore, BanRecord, Store
from proxyguard.policy.compile.network_table import NetworkTable
from proxyguard.policy.model import AllOf, AnyOf, Condition, InNetworks, Not, Policy, Test, rules_by_mode
from proxyguard.restrictions.active import ActiveRestrictions


class AcceptFilter:
    """Asked once per accepted connection."""

    def __init__(
        self,
        store: Store | AsyncStore,
        settings: Settings,
        policy: Policy,
        *,
        active: ActiveRestrictions | None = None,
        on_refused: Callable[[Address, BanRecord, float], object] | None = None,
        clock: Callable[[], float] = CLOCK,
    ) -> None:
        """`active` says until when nothing acts.

        `on_refused` is called with each client that is refused, the ban, and the time.
        """
        self._active = active or ActiveRestrictions()
        self._on_refused = on_refused
        self._store = store
        self._settings = settings
        self._clock = clock
        self._allowed = self.table(policy)

    def table(self, policy: Policy) -> NetworkTable:
        """The networks that the allow rules of a policy name. Slow for large policies, so a thread may build it."""
        rules = rules_by_mode(policy, self._settings.mode)
        allowing = (rule.when for rule, mode in rules if isinstance(rule.action, Allow) and mode is Mode.ENFORCE)
        return NetworkTable((network, 1) for when in allowing for network in named_networks(when))

    def configure(self, settings: Settings) -> None:
        """Go by these settings from now on."""
        self._settings = settings

    def swap(self, allowed: NetworkTable) -> None:
        """Use the table of another policy from now on."""
        self._allowed = allowed

    def refuses(self, address: Address) -> bool:
        """Whether to close a connection from this address at once."""
        if self._settings.mode is not Mode.ENFORCE:
            return False
        prefixes, now = self._settings.counting.prefixes, self._clock()
        if now < self._active.shadow_until:
            return False
        client, network = address.ban_keys(prefixes)
        ban = self._store.banned(client, now) or self._store.banned(network, now)
        if ban is None or not isinstance(ban.then, Drop) or self._allowed.find(address.number):
            return False
        if self._on_refused is not None:
            self._on_refused(address, ban, now)
        return True


def named_networks(when: Condition) -> Iterator[Network]:
    """The networks that a condition asks the client to be in, wherever in it; those under a `not` are left out."""
    match when:
        case Test(matcher=InNetworks(networks)):
            yield from networks
        case AllOf(conditions) | AnyOf(conditions):
            for condition in conditions:
                yield from named_networks(condition)
        case Test() | Not():
            return
