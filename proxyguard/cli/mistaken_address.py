"""Texts that look like an address and are none: what is wrong with them, so that no command takes them for something else."""

from __future__ import annotations

import re
from ipaddress import ip_network
from typing import Final

import click

from proxyguard.core.address import Address
from proxyguard.core.problems import quoted
from proxyguard.core.pseudonym import PATTERN

_LOOKS_SO: Final = re.compile(
    r"\s*\[?(?P<address>[0-9]+(?:\.[0-9]+){3}|(?=(?:[^:]*:){2})[0-9A-Fa-f:.]+)(?P<rest>\.|\]?(?::[0-9]*)?|/\S*)\s*", re.ASCII
)
"""Four numbers with dots, or hexadecimal digits with two colons; perhaps with a port, a prefix length, brackets, blanks."""

MAX_PART: Final = 255


def refuse_mistaken(text: str, param_hint: str, *, networks: bool = False) -> None:
    """Raise BadParameter for no text at all, and for one that is meant as an address and is none.

    With `networks`, networks and pseudonyms may be meant too.
    """
    fault = _fault(text, networks=networks)
    if fault:
        raise click.BadParameter(fault, param_hint=param_hint)


def _fault(text: str, *, networks: bool) -> str:
    """What is wrong; empty: nothing, or it is meant as something else."""
    if not text.strip():
        return f"{quoted(text)} names nobody"
    if not networks and PATTERN.fullmatch(text.strip()):
        return f"{quoted(text)} is a pseudonym: name the address; whose it is says proxyguard privacy reveal"
    found = _LOOKS_SO.fullmatch(text)
    if found is None or _is_address(text):
        return ""
    if _is_network(text.strip()):
        return "" if networks else f"{quoted(text)} is a network: name one address, such as {found['address']}"
    if _is_address(found["address"]):
        return f"{quoted(text)} is not an address alone: write {found['address']}"
    return f"{quoted(text)} is no address{_detail(found['address'])}"


def _detail(address: str) -> str:
    parts = address.split(".") if ":" not in address else []
    for part in parts:
        if int(part[:9]) > MAX_PART:
            return f": {part[:9]} is more than {MAX_PART}"
        if len(part) > 1 and part.startswith("0"):
            return f": {part} begins with 0, which programs read differently"
    return ""


def _is_address(text: str) -> bool:
    try:
        Address.parse(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text
