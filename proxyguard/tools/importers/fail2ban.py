"""The addresses that a fail2ban jail has banned, as a rule on a list of clients.

Reads what `fail2ban-client status JAIL`, `fail2ban-client get JAIL banip [--with-time]` and `fail2ban-client banned` print, and a
plain list with one address or network a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Final, NamedTuple

from proxyguard.tools.importers.draft import Draft, DraftTest, ImportFault
from proxyguard.tools.importers.sources import Sources

FOREVER_YEAR: Final = 9000
"""fail2ban writes the end of a permanent ban as the last day of the year 9999."""

_JAIL: Final = re.compile(r"Status for the jail: (\S+)")
_BANNED: Final = re.compile(r"Banned IP list:[ \t]*(.*)")
_WITH_TIME: Final = re.compile(r"(\S+)[ \t]+(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) \+ (-?\d+) = (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_IN_BRACKETS: Final = re.compile(r"'([0-9A-Fa-f:.]{2,45}(?:/\d{1,3})?)'")
_STATUS_LINE: Final = re.compile(r"^[|` ]*[|`]-|^Status for the jail")


class BannedAddress(NamedTuple):
    """An address or network as written, and when its ban ends: None without a time, an empty text for never."""

    line: int
    text: str
    ends: str | None


def read_fail2ban(sources: Sources, name: str) -> Draft:
    """A draft of the rule. Raises ImportFault when there is no address in the file."""
    text = sources.text
    jail = _JAIL.search(text)
    title = jail[1] if jail else "a jail"
    draft = Draft(name, f"Clients that fail2ban had banned in {title}.")
    kept: dict[str, BannedAddress] = {}
    doubles = 0
    for found in _found(text):
        network = _network(draft, found)
        if network is not None:
            doubles += network in kept
            kept.setdefault(network, found)
    if not kept:
        raise ImportFault("there is no address in this file; it reads the output of: fail2ban-client get JAIL banip")
    if doubles:
        draft.note(0, f"{doubles} {'address stands' if doubles == 1 else 'addresses stand'} there more than once")
    draft.lists["banned"] = sorted(kept, key=_place)
    label, why = jail[1] if jail else "banned", f"fail2ban had banned them in {title}."
    expires = _expires(draft, list(kept.values()))
    rule = draft.add(label, why, {"client": "$banned"}, "reject", expires=expires)
    if rule.expires is None:
        draft.note(0, "fail2ban lifts bans after a while; here they hold until the rule is taken out. Give it an expires:")
    first = draft.lists["banned"][0].partition("/")[0]
    draft.tests.append(DraftTest({"client": first}, f"reject by {rule.name}"))
    other = next((each for each in _EXAMPLES if not _listed(each, kept)), None)
    if other is not None:
        draft.tests.append(DraftTest({"client": other}, "pass by default"))
    return draft


def _found(text: str) -> Iterator[BannedAddress]:
    if text.lstrip().startswith("[{"):
        for number, line in enumerate(text.splitlines(), 1):
            yield from (BannedAddress(number, each[1], None) for each in _IN_BRACKETS.finditer(line))
        return
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        timed = _WITH_TIME.match(line)
        banned = _BANNED.search(line)
        if not line or line.startswith("#"):
            continue
        if timed:
            forever = int(timed[3]) < 0 or int(timed[4][:4]) > FOREVER_YEAR
            yield BannedAddress(number, timed[1], "" if forever else timed[4])
        elif banned or not _STATUS_LINE.search(line):
            words = (banned[1] if banned else line.partition("#")[0]).replace(",", " ").split()
            yield from (BannedAddress(number, word, None) for word in words)


def _network(draft: Draft, found: BannedAddress) -> str | None:
    """The address or network, in its shortest form; None with a note when it is none or far too wide."""
    try:
        network = ip_network(found.text, strict=False)
    except ValueError:
        draft.note(found.line, f"'{found.text[:60]}' is not an address")
        return None
    if network.prefixlen < (8 if network.version == 4 else 16):
        draft.note(found.line, f"{found.text} was left out: so wide a network is a mistake")
        return None
    if network.is_loopback or network.is_unspecified:
        draft.note(found.line, f"{found.text} was left out: it is this machine")
        return None
    if network.is_private and not network.is_reserved and any(network.network_address in local for local in _LOCAL):
        draft.note(found.line, f"{found.text} is a private address: is it a proxy of yours, and not a client?")
    return str(network.network_address) if network.num_addresses == 1 else str(network)


_EXAMPLES: Final = ("192.0.2.1", "198.51.100.1", "203.0.113.1", "233.252.0.1")
"""Addresses for documentation, for the test of a client that is not on the list."""

_LOCAL: Final = tuple(ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"))


def _expires(draft: Draft, found: list[BannedAddress]) -> str | None:
    """The last end of all, when every ban has one."""
    ends = [each.ends for each in found if each.ends]
    if len(ends) < len(found):
        return None
    last = max(ends)
    try:
        moment = datetime.strptime(last, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    except ValueError:  # no such day
        return None
    draft.note(
        0,
        f"each ban had an end of its own; the rule ends with the last one, {last}, taken as UTC. For ends of their own: "
        "proxyguard bans add ADDRESS --for DURATION",
    )
    return moment.strftime("%Y-%m-%dT%H:%MZ")


def _listed(address: str, kept: dict[str, BannedAddress]) -> bool:
    return any(ip_address(address) in ip_network(each) for each in kept)


def _place(text: str) -> tuple[int, int, int]:
    network = ip_network(text)
    return network.version, int(network.network_address), network.prefixlen
