"""Assembles what a worker consists of: front, guard, store and telemetry."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from typing import Final, NamedTuple

from proxyguard.adapters.mitmproxy.front import Front
from proxyguard.adapters.mitmproxy.http2.layer import Http2Layer
from proxyguard.core.address import Address
from proxyguard.core.instance_secrets import Secrets
from proxyguard.core.preferences import Preferences
from proxyguard.core.settings import Settings
from proxyguard.guard.accept_filter import AcceptFilter
from proxyguard.guard.account_cache import AccountCache
from proxyguard.guard.acquaintances import Acquaintances
from proxyguard.guard.campaigns import Campaigns
from proxyguard.guard.disclosure import Disclosure
from proxyguard.guard.forms import Forms
from proxyguard.guard.guard import Guard
from proxyguard.guard.jars import Jars
from proxyguard.guard.mazes import Mazes
from proxyguard.guard.origin.origins import Origins
from proxyguard.guard.robots.contracts import RobotsContracts
from proxyguard.http.preferences import PreferenceFiles
from proxyguard.instance.collector import open_exporter
from proxyguard.instance.deploy import compile_sites
from proxyguard.instance.kept_state import KeptState, kept_state
from proxyguard.instance.preflight.unanswered import unanswered
from proxyguard.limits.clock import CLOCK
from proxyguard.limits.daily import DailyUse
from proxyguard.limits.learning import Learning
from proxyguard.limits.sightings import Sightings
from proxyguard.limits.stores.remote import RemoteStore
from proxyguard.limits.stores.store import AsyncStore, BanRecord, Store
from proxyguard.policy.model import Policy
from proxyguard.telemetry.audit import AuditLog
from proxyguard.telemetry.audit_sums import RefusalSums
from proxyguard.telemetry.ban_hits import BanHits
from proxyguard.telemetry.discretion import Discretion
from proxyguard.telemetry.metrics import Metrics
from proxyguard.telemetry.otel.exporter import OtelExporter
from proxyguard.telemetry.otel.tracer import Tracer
from proxyguard.telemetry.sealed import SealedLog, open_sealed
from proxyguard.telemetry.shadow import Tally
from proxyguard.telemetry.talkers import Talkers

GAUGES_OF_FRONT: Final = {
    "buffered_bytes": "Bytes of bodies that are held in memory for slow clients.",
    "spooled_bytes": "Bytes of responses that are held on disk for slow clients.",
    "requests_under_way": "Requests that are delayed, wait for an upstream connection, or have one.",
    "requests_delayed": "Requests that a rule delays.",
    "requests_queued": "Requests that wait for a connection to an upstream.",
    "upstream_connections": "Connections to upstreams, idle ones included.",
    "upstreams_out": "Addresses of upstreams that are left out: unreachable, or ill by their health checks.",
    "upstream_leases": "Connections to upstreams that carry a request, or are being opened for one.",
}

logger = logging.getLogger(__name__)


def _robots(settings: Settings, counts: Metrics, discretion: Discretion) -> RobotsContracts | None:
    if not settings.robots.read:
        return None
    named = frozenset(host.lower().encode("ascii") for site in settings.sites for host in site.hosts if "*" not in host)
    robots = RobotsContracts(settings.robots.refresh_seconds, CLOCK, settings.counting.prefixes, named, discretion.host)
    counts.show(robots.gauges())
    return robots


def _show_accounts(counts: Metrics, accounts: AccountCache) -> None:
    counts.gauge("accounts", "Sessions whose account is known.", lambda: len(accounts))
    refusals = "Sessions not remembered because their client network had its share."
    counts.gauge("account_refusals", refusals, lambda: accounts.refusals)
    counts.gauge("account_evictions", "Sessions that gave way to others before their time.", lambda: accounts.evictions)


def _share_sightings(store: Store | AsyncStore, secret: bytes, counts: Metrics) -> Sightings | None:
    """What is told to other processes on the store, and heard of them; None where there can be none."""
    if not isinstance(store, RemoteStore):
        return None
    sightings = store.sightings = Sightings(secret)
    heard = "Sightings (items read, jars proven, visitors) that other processes on the store told."
    counts.gauge("sightings_heard", heard, lambda: sightings.heard)
    untold = "Sightings that others are not told of, as there were too many at a time."
    counts.gauge("sightings_untold", untold, lambda: sightings.untold)
    return sightings


def _show_what_clients_have(
    counts: Metrics, jars: Jars, forms: Forms, disclosure: Disclosure, acquaintances: Acquaintances, daily: DailyUse
) -> None:
    """Metrics of what is given to clients and remembered of them."""
    counts.gauge("jars_given", "Cookie jars given, or written anew with what was proven.", lambda: jars.given)
    counts.gauge(
        "jars_remembered", "Clients that were just sent for a jar, and fresh jars that just fetched an asset.", lambda: len(jars)
    )
    counts.gauge("form_tokens_given", "Tokens given to readers of guarded forms.", lambda: forms.given)
    counts.gauge("learned_keys", "Keys whose use of earlier days limits with `learned` remember.", lambda: len(daily))
    counts.gauge("learned_keys_refused", "Keys that found no room among them.", lambda: daily.refusals)
    counts.gauge("visitors_today", "Clients that will be known tomorrow.", lambda: acquaintances.served)
    counts.items = disclosure.counted


def _hop(settings: Settings, secret: bytes) -> bytes:
    """An instance's mark on what it forwards: the same for its workers, another for each instance that has the same secret."""
    name = f"{socket.gethostname()} {settings.listen} {settings.admin}"
    return blake2b(name.encode(), key=secret[:64], digest_size=8, person=b"hop").hexdigest().encode()


def wall() -> float:
    """Unix seconds."""
    return CLOCK.wall(CLOCK())


def client_naming(discretion: Discretion) -> Callable[[str], str]:
    """From client keys to the pseudonyms of today."""
    return lambda key: discretion.name(key, wall())


class Assembly(NamedTuple):
    """The components of a worker, wired together."""

    counts: Metrics
    tally: Tally
    talkers: Talkers
    ban_hits: BanHits
    audit: AuditLog
    discretion: Discretion
    sealed: SealedLog | None
    accounts: AccountCache
    learning: Learning
    campaigns: Campaigns
    guard: Guard
    accept_filter: AcceptFilter
    front: Front
    exporter: OtelExporter | None
    origins: Origins
    robots: RobotsContracts | None
    kept: KeptState


def assemble(
    settings: Settings, policy: Policy, secrets: Secrets, store: Store | AsyncStore, sockets: tuple[socket.socket, ...]
) -> Assembly:
    """Compile the rules, open the audit log and wire the components. Raises RulesRejected and OSError."""
    counts, secret = Metrics(), secrets.keys
    policies = compile_sites(policy, settings, secret)
    origins = Origins(settings.origin, settings.identity, clock=CLOCK, wall=wall)
    if policies.asks_origin:
        origins.prepare()
        for problem in unanswered(policy, settings.origin):
            logger.warning("%s", problem.shown_on_a_line)
    counts.show(origins.gauges())
    accounts = AccountCache(settings.counting.accounts)
    prefixes = settings.counting.prefixes
    sightings = _share_sightings(store, secret, counts)
    jars = Jars(settings.jar, secret, prefixes, CLOCK.wall, sightings=sightings)
    disclosure = Disclosure(settings.items, sightings)
    forms = Forms(secret, prefixes, CLOCK.wall)
    acquaintances = Acquaintances(secret, prefixes, CLOCK.wall, sightings)
    learning = Learning(CLOCK.wall)
    kept = kept_state(settings, {"learned": learning, "reads": disclosure, "visitors": acquaintances})
    campaigns = Campaigns(secret, prefixes, learning, CLOCK.wall)
    discretion = Discretion(settings.privacy, secrets.names, prefixes)
    naming = client_naming(discretion) if discretion.names_clients else str
    tally = Tally(secret, prefixes, CLOCK, naming, discretion.network_name)
    talkers = Talkers(discretion, prefixes, wall)
    ban_hits = BanHits()
    counts.refused_connections = lambda: ban_hits.refused_connections
    sums = RefusalSums(max(1, settings.audit.refusals_per_second // settings.workers), counts.audit_record_summed)
    audit = AuditLog(settings.audit.path, counts.audit_records_dropped, sums)
    counts.gauge("audit_waiting", "Audit records that wait to be written.", audit.waiting)
    exporter = open_exporter(settings.otel, counts) if settings.otel.traces or settings.workers == 1 else None
    tracer = Tracer(settings.otel.traces, exporter.add, discretion) if exporter is not None and settings.otel.traces else None
    sealed = open_sealed(settings.privacy, counts.audit_records_dropped)
    if sealed is not None:
        counts.gauge("sealed_waiting", "Entries of the sealed log that wait to be written.", sealed.waiting)
    robots = _robots(settings, counts, discretion)
    preferences = PreferenceFiles(settings.preferences) if settings.preferences != Preferences() else None
    mazes = Mazes.of(settings, secret, counts.bound_exceeded)
    counts.mazes = mazes.spent
    guard = Guard(
        policies, store, counts, audit, failure_mode=settings.failure_mode, audit_passes=settings.audit.passes,
        accounts=accounts, jars=jars, disclosure=disclosure, forms=forms, acquaintances=acquaintances,
        learning=learning, campaigns=campaigns, tally=tally, talkers=talkers, ban_hits=ban_hits, tracer=tracer, robots=robots,
        preferences=preferences, mazes=mazes, find_origin=origins.find, discretion=discretion, sealed=sealed,
    )  # fmt: skip

    def on_refused(client: Address, ban: BanRecord, now: float) -> None:
        ban_hits.observe_connection(ban.key, now)
        talkers.observe_refused_connection(client, ban.rule)

    accept_filter = AcceptFilter(store, settings, policy, active=guard.restrictions, on_refused=on_refused)
    front = Front(
        settings, guard, counts, sockets=sockets, refuse_at_accept=accept_filter.refuses, http2_layer=Http2Layer,
        hop=_hop(settings, secret),
    )  # fmt: skip
    counts.gauge(
        "one_client_suspected", "1 while nearly all traffic seems to come from one private address.",
        lambda: guard.one_client.suspected,
    )  # fmt: skip
    _show_accounts(counts, accounts)
    counts.gauge(
        "history_not_kept", "Requests of the last hour that found no place in what previews of restrictions look at.",
        lambda: guard.restrictions.recent.not_kept(CLOCK()),
    )  # fmt: skip
    counts.tarpit_seconds, counts.upstream_states = front.tarpit_seconds, front.upstreams
    counts.gauge("campaign_alarms", "Alarms of campaigns against items that are on.", lambda: campaigns.count_on(CLOCK()))
    _show_what_clients_have(counts, jars, forms, disclosure, acquaintances, learning.daily)
    for name, text in GAUGES_OF_FRONT.items():
        counts.gauge(name, text, partial(front.stat, name))
    return Assembly(
        counts,
        tally,
        talkers,
        ban_hits,
        audit,
        discretion,
        sealed,
        accounts,
        learning,
        campaigns,
        guard,
        accept_filter,
        front,
        exporter,
        origins,
        robots,
        kept,
    )
