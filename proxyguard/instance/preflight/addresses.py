"""Addresses that cannot be meant: listeners that meet, upstreams that are proxyguard itself, proxies that are everybody."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Final

from proxyguard.core.address import is_v4
from proxyguard.core.settings import Listen, Settings, Upstream
from proxyguard.instance.preflight.concern import Concern, Weight
from proxyguard.policy.compile.network_table import own_family

RESOLVE_SECONDS: Final = 2.0
"""For all names of upstreams together: a start must not wait for a name server that is away."""

ANY: Final = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def listeners(settings: Settings) -> Iterator[Concern]:
    """Two listeners on one address, the admin port among them; addresses that this machine does not have."""
    named = [(f"listen.{at}", listen) for at, listen in enumerate(settings.listen)]
    everyone = [*named, ("admin", settings.admin)]
    for at, (key, one) in enumerate(everyone):
        for earlier_key, earlier in everyone[:at]:
            if _meet(earlier, one):
                yield _meeting(earlier_key, earlier, key, one)
    for key, listen in everyone:
        yield from _unusable(key, listen)


def _meeting(earlier_key: str, earlier: Listen, key: str, one: Listen) -> Concern:
    other = "listen" if earlier_key.startswith("listen") else earlier_key
    name = "listen" if key.startswith("listen") else key
    if name == other:
        message = f"listen has {one}, which {earlier} takes already" if str(one) != str(earlier) else f"listen has {one} twice"
        return Concern(key, message, "an address has one listener: leave one of them out", also=(earlier_key,))
    message = f"admin ({one}) and listen ({earlier}) are the same address"
    hint = "clients and operators need a port each: admin: 127.0.0.1:9901 is the default"
    return Concern(key, message, hint, also=("listen",))


def _meet(one: Listen, other: Listen) -> bool:
    """Whether both cannot be bound."""
    if one.path or other.path:
        return bool(one.path) and os.path.realpath(one.path) == os.path.realpath(other.path)
    if one.port != other.port or one.port == 0:
        return False
    if "::" in (one.host, other.host):
        return True  # it takes IPv4 too
    hosts = {_plain(one.host), _plain(other.host)}
    families = {":" in host for host in hosts}
    return len(hosts) == 1 or ("0.0.0.0" in hosts and families == {False})  # noqa: S104 - compared, not bound


def _plain(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host


def _unusable(key: str, listen: Listen) -> Iterator[Concern]:
    """What binding would fail for, but that the port is in use, which by a running instance it is."""
    name = key.partition(".")[0]
    if listen.path:
        folder = Path(listen.path).parent
        if not folder.is_dir():
            yield Concern(key, f"{name} {listen}: there is no folder {folder}", "make it, or name another path")
        return
    try:
        found = socket.getaddrinfo(_plain(listen.host), listen.port, type=socket.SOCK_STREAM)
    except OSError:
        hint = "write an address of this machine, or 0.0.0.0 for all of them"
        yield Concern(key, f"{name} {listen}: the name {listen.host} has no address here", hint)
        return
    for family, kind, _, _, address in found[:1]:
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except PermissionError:
                hint = "use a port from 1024 on, or grant it: AmbientCapabilities=CAP_NET_BIND_SERVICE (systemd)"
                yield Concern(key, f"{name} {listen}: this user may not listen on a port below 1024", hint)
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    hint = "write an address of this machine (ip address shows them), or 0.0.0.0 for all of them"
                    yield Concern(key, f"{name} {listen}: this machine does not have the address {listen.host}", hint)


def loops(settings: Settings) -> Iterator[Concern]:
    """Upstreams that are this machine, by their name too, at a port on which proxyguard listens; the admin port included.

    Only names with such a port are looked up.
    """
    wanted = [
        (f"sites.{at}.upstream.{number}", upstream)
        for at, site in enumerate(settings.sites)
        for number, upstream in enumerate(site.upstreams)
    ]
    ports = {listen.port for listen in (*settings.listen, settings.admin) if not listen.path}
    local = _local_names({upstream.host for _, upstream in wanted if not upstream.path and upstream.port in ports})
    for key, upstream in wanted:
        listen = next((each for each in settings.listen if _reaches(upstream, each, local)), None)
        if listen is not None:
            message = f"the upstream {upstream} is where proxyguard itself listens ({listen})"
            yield Concern(key, message, "requests would go round in circles; name the web server behind it", also=("listen",))
        elif _reaches(upstream, settings.admin, local):
            message = f"the upstream {upstream} is the admin port of proxyguard"
            yield Concern(key, message, "everybody could read it; name the web server behind it", also=("admin",))


def _reaches(upstream: Upstream, listen: Listen, local: dict[str, list[str]]) -> bool:
    if upstream.path or listen.path:
        return upstream.path == listen.path
    if upstream.port != listen.port:
        return False
    addresses = local.get(upstream.host, [])
    return upstream.host == listen.host or _plain(listen.host) in addresses or (listen.host in ANY and bool(addresses))


def _local_names(hosts: set[str]) -> dict[str, list[str]]:
    """The addresses of this machine by the names that have them. Names that cannot be resolved in time have none."""
    found: dict[str, list[str]] = {}

    def resolve() -> None:
        for host in sorted(hosts):
            try:
                facts = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                continue
            found[host] = [str(fact[4][0]) for fact in facts if _is_here(str(fact[4][0]))]

    thread = Thread(target=resolve, daemon=True)
    thread.start()
    thread.join(RESOLVE_SECONDS)
    return dict(found)


def _is_here(address: str) -> bool:
    """Whether this machine has an address."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def trusted(settings: Settings) -> Iterator[Concern]:
    """Proxies that are everybody, in one network or in several that together are half of the internet."""
    proxies = settings.trust.proxies
    for v4, bits in ((True, 32), (False, 128)):
        parts = [part for network in proxies for part in own_family(network) if is_v4(part[0]) == v4]
        if not parts or _covered(parts) < 1 << (bits - 1):
            continue
        widest = sorted(proxies, key=lambda network: network.first - network.last)
        shown = ", ".join(network.text for network in widest[:2])
        message = f"trust.proxies has {shown}: whoever connects may say who the client is"
        hint = "name the addresses of your own proxies, such as 10.0.0.0/8; any limit and ban can be dodged otherwise"
        yield Concern("trust.proxies", message, hint, Weight.DOUBT)
        return


def _covered(parts: list[tuple[int, int]]) -> int:
    """How many addresses ranges have together, those that several have counted once."""
    total, end = 0, -1
    for first, last in sorted(parts):
        if last > end:
            total += last - max(first, end + 1) + 1
            end = last
    return total
