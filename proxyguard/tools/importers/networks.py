"""Addresses and networks as configurations write them, as conditions on the client."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from proxyguard.tools.importers.conditions import ALWAYS, Condition
from proxyguard.tools.importers.draft import one_or_list

Network = IPv4Network | IPv6Network


def network_of(text: str) -> Network | None:
    """`192.0.2.7`, `192.0.2.0/24`, `192.0.2.0/255.255.255.0`, `192.0.2` (a prefix of octets); None for anything else."""
    parts = text.rstrip(".").split(".")
    if "/" not in text and ":" not in text and len(parts) < 4 and all(part.isdigit() for part in parts):
        text = ".".join([*parts, *["0"] * (4 - len(parts))]) + f"/{8 * len(parts)}"
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def shown(network: Network) -> str:
    """As short as it goes: a single address without its length."""
    return str(network.network_address) if network.num_addresses == 1 else str(network)


def clients(networks: Sequence[Network]) -> Condition | None:
    """Clients in any of the networks; ALWAYS when they are everybody, None when there is none."""
    if not networks:
        return None
    if {0} == {network.prefixlen for network in networks} and len({network.version for network in networks}) == 2:
        return ALWAYS
    if any(network.prefixlen == 0 and network.version == 4 for network in networks):
        return ALWAYS
    return {"client": one_or_list([shown(network) for network in networks])}
