"""Lists: entries twice, networks inside of others, blanks at line ends, what nothing uses, what is empty. PG050 to PG055."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxyguard.core.address import Network, is_v4
from proxyguard.core.problems import Fault, quoted
from proxyguard.policy.model import Place
from proxyguard.policy.parse.list_formats import address_part
from proxyguard.policy.parse.networks import masked_network, read_network
from proxyguard.tools.lint.findings import Edit, Finding
from proxyguard.tools.lint.source import ListEntry, WrittenList
from proxyguard.tools.lint.view import PolicyView

MAX_SHOWN: Final = 20
"""Findings of one kind in one list; the next one sums up the rest. All are mended."""


def lists(view: PolicyView) -> Iterator[Finding]:
    """PG050 to PG055; a list file is looked at once, however many rule files use it."""
    seen: set[Path] = set()
    for source in view.sources.values():
        used = source.references()
        for written in source.lists:
            if written.name not in used:
                message = f"the list '{written.name}' is not used in this file"
                yield Finding(written.place, "PG053", message, f"use it as ${written.name}, or delete it")
            if not any(address_part(entry.text) for entry in written.entries):
                yield _empty(written)
            if written.file is not None:
                if written.file in seen:
                    continue
                seen.add(written.file)
                yield from _blanks(written.file)
                yield from _masked(written)
            yield from _repeated(written)


def _empty(written: WrittenList) -> Finding:
    place = Place(str(written.file), 1, 1) if written.file is not None else written.place
    message = f"the list '{written.name}' has no entry: a test with it holds for no request, and its negation for every one"
    return Finding(place, "PG054", message, "has whatever writes it failed?", also=())


def _masked(written: WrittenList) -> Iterator[Finding]:
    found = [(entry, masked) for entry in written.entries if (masked := _without_host_bits(entry.text))]
    if found:
        entry, masked = found[0]
        more = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
        message = f"{quoted(address_part(entry.text))}{more} has bits set beyond its prefix length, and is read as {masked}"
        yield Finding(entry.place, "PG055", message, f"write {masked}, or the address alone if that is what is meant")


def _without_host_bits(text: str) -> str | None:
    part = address_part(text)
    try:
        read_network(part)
    except Fault:
        return masked_network(part)
    return None


def _blanks(path: Path) -> Iterator[Finding]:
    try:
        lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    except OSError:
        return
    ends = [(number, line) for number, line in enumerate(lines, 1) if line.rstrip("\r").rstrip(" \t") != line.rstrip("\r")]
    if ends:
        number, line = ends[0]
        more = f", and {len(ends) - 1} more" if len(ends) > 1 else ""
        place = Place(str(path), number, len(line.rstrip()) + 1)
        edits = tuple(Edit(str(path), number, line.rstrip("\r").rstrip(" \t")) for number, line in ends)
        yield Finding(place, "PG052", f"the line ends with blanks{more}", "proxyguard check --fix takes them out", edits=edits)


def _repeated(written: WrittenList) -> Iterator[Finding]:
    first: dict[str, ListEntry] = {}
    twice: list[tuple[ListEntry, ListEntry]] = []
    networks: list[tuple[Network, ListEntry]] = []
    for entry in written.entries:
        network = _network(entry.text)
        key = entry.text if network is None else f"{network.first}-{network.last}"
        earlier = first.setdefault(key, entry)
        if earlier is not entry:
            twice.append((entry, earlier))
        elif network is not None:
            networks.append((network, entry))
    yield from _bounded([_twice(written, entry, earlier) for entry, earlier in twice], "PG050", "more entries that stand twice")
    if len(networks) == len(first):
        yield from _bounded(list(_nested(written, networks)), "PG051", "more networks inside of others")


def _twice(written: WrittenList, entry: ListEntry, earlier: ListEntry) -> Finding:
    same = "" if entry.text == earlier.text else f" as {quoted(earlier.text)}"
    message = f"{quoted(entry.text)} is in the list '{written.name}' already{same}, on line {earlier.place.line}"
    edits: tuple[Edit, ...] = ()
    hint = "delete one of them"
    if entry.is_own_line:
        edits = (Edit(entry.place.file, entry.place.line, None),)
        hint = "proxyguard check --fix deletes the line"
    return Finding(entry.place, "PG050", message, hint, edits=edits)


def _nested(written: WrittenList, networks: list[tuple[Network, ListEntry]]) -> Iterator[Finding]:
    """Networks that lie inside of the widest one around them."""
    widest: tuple[Network, ListEntry] | None = None
    for network, entry in sorted(networks, key=lambda pair: (is_v4(pair[0].first), pair[0].first, -pair[0].last)):
        around = widest is not None and network.last <= widest[0].last and is_v4(network.first) == is_v4(widest[0].first)
        if around and widest is not None:
            outer = f"{widest[0].text}, on line {widest[1].place.line}"
            message = f"{network.text} in the list '{written.name}' lies inside of {outer}"
            hint = "one of them says nothing: delete the inner one, or the outer one if it is too wide"
            yield Finding(entry.place, "PG051", message, hint)
        else:
            widest = network, entry


def _bounded(found: list[Finding], code: str, rest: str) -> Iterator[Finding]:
    found.sort(key=lambda finding: finding.place)
    yield from found[:MAX_SHOWN]
    if len(found) > MAX_SHOWN:
        left = found[MAX_SHOWN:]
        edits = tuple(edit for finding in left for edit in finding.edits)
        yield Finding(left[0].place, code, f"{len(left)} {rest}", left[0].hint, edits=edits)


def _network(text: str) -> Network | None:
    if not (text[:1].isalnum() or text[:1] == ":") or ("." not in text and ":" not in text):
        return None
    try:
        return read_network(text)
    except Fault:
        return None
