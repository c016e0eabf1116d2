"""Addresses and networks as an operator writes them, read fast and refused with the text that was probably meant.

Lists of a hundred thousand networks are common, so the plain cases go through the C library's parser; whatever that does
not take is read again slowly to say what is wrong with it.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network, summarize_address_range
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final

from proxyguard.core.address import MAX_NUMBER, V4_BASE, Network
from proxyguard.core.problems import Fault, quoted
from proxyguard.policy.parse.list_formats import address_part, other_cells

HINT: Final = "an address or a network: 192.0.2.10, 198.51.100.0/24, 2001:db8::/32, or the name of a list: $name"

_LONGEST: Final = 64
_PREFIX_LENGTHS: Final = {str(length): length for length in range(129)}
_WIDEST_V4: Final = 8
_WIDEST_V6: Final = 16
_V4_MASKS: Final = tuple((1 << (32 - length)) - 1 for length in range(33))
_V6_MASKS: Final = tuple((1 << (128 - length)) - 1 for length in range(129))


def read_network(text: str) -> Network:
    """An address or a CIDR network without host bits. Raises Fault."""
    address, slash, bits = text.partition("/")
    length = _PREFIX_LENGTHS.get(bits) if slash else -1
    if length is not None:
        try:
            network = _read_v6(address, length, text) if ":" in address else _read_v4(address, length, text)
        except (OSError, ValueError):
            network = None
        if network is not None:
            return network
    raise _fault(text)


def read_published(line: str) -> Network | None:
    """The network in a line of a published list; None when the line is a comment. Raises Fault.

    What follows the address is left out, and so are bits that are set beyond the prefix length, unless that makes it wider than
    any network that one organisation has: `198.51.100.0/24` is cut to `198.51.100.0/2` where a download breaks off.
    """
    text = address_part(line)
    if not text:
        return None
    others = [cell for cell in other_cells(line) if _is_network(cell)] if text != line else []
    if others and not _is_network(text):
        raise Fault(f"{quoted(line)} does not begin with its address", f"did you mean {others[0]}?")
    if others:
        hint = "one address or network a line; a range from one to the other is written as networks"
        raise Fault(f"{quoted(line)} has several addresses", hint)
    try:
        return read_network(text)
    except Fault:
        masked = masked_network(text)
        if masked is None:
            return read_network(line)  # which says what is wrong with all of it
        if int(masked.partition("/")[2]) < (_WIDEST_V6 if ":" in masked else _WIDEST_V4):
            hint = f"did the line break off? if so wide a network is meant: {masked}"
            raise Fault(f"{quoted(text)} would be {masked}, with its bits beyond the prefix length left out", hint) from None
        return read_network(masked)


def masked_network(text: str) -> str | None:
    """A network without the bits beyond its prefix length; None when that is not what is wrong with it."""
    address, slash, bits = text.partition("/")
    if not slash or "%" in address or bits not in _PREFIX_LENGTHS:
        return None
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return None


def _read_v4(address: str, length: int, text: str) -> Network | None:
    first = V4_BASE + int.from_bytes(inet_pton(AF_INET, address))
    if length < 0:
        return Network(first, first, text)
    if length > 32 or first & _V4_MASKS[length]:
        return None
    return Network(first, first | _V4_MASKS[length], text)


def _read_v6(address: str, length: int, text: str) -> Network | None:
    first = int.from_bytes(inet_pton(AF_INET6, address))
    if length < 0:
        return Network(first, first, text)
    mask = _V6_MASKS[length]
    return None if first & mask else Network(first, min(first | mask, MAX_NUMBER), text)


def _fault(text: str) -> Fault:
    if len(text) > _LONGEST:
        return Fault(f"{quoted(text)} is not an address", HINT)
    try:
        loose = ip_network(text, strict=False)
    except ValueError:
        return Fault(f"{quoted(text)} is not an address or a network", _meant(text))
    if "%" in text:
        return Fault(f"{quoted(text)} has a zone", f"did you mean {text.partition('%')[0]}?")
    if "/" in text and not text.partition("/")[2].isdecimal():
        return Fault(f"{quoted(text)} has a netmask", f"did you mean {loose}?")
    return Fault(f"{quoted(text)} has bits set beyond its prefix length", f"did you mean {loose}?")


def _meant(text: str) -> str:
    first, dash, last = (part.strip() for part in text.partition("-"))
    if dash:
        return _range_hint(first, last)
    if "*" in text:
        octets = text.split(".")
        fixed = [octet for octet in octets if octet != "*"]
        candidate = ".".join([*fixed, *["0"] * (4 - len(fixed))]) + f"/{8 * len(fixed)}"
        return f"did you mean {candidate}?" if _is_network(candidate) else HINT
    if text.startswith("["):
        bare = text[1:].partition("]")[0]
        return f"did you mean {bare}? an address here has no brackets and no port" if _is_network(bare) else HINT
    host, colon, port = text.rpartition(":")
    if colon and port.isdecimal() and "." in host and _is_network(host):
        return f"did you mean {host}? an address here has no port"
    plain = ".".join(str(int(octet)) if octet.isdecimal() else octet for octet in text.split("."))
    if plain != text and _is_network(plain):
        return f"did you mean {plain}? leading zeros are read as octal by some programs"
    return HINT


def _range_hint(first: str, last: str) -> str:
    try:
        ends = ip_address(first), ip_address(last)
    except ValueError:
        return HINT
    match ends:
        case (IPv4Address() as low, IPv4Address() as high) if low <= high:
            networks = [str(network) for network in summarize_address_range(low, high)]
        case (IPv6Address() as low6, IPv6Address() as high6) if low6 <= high6:
            networks = [str(network) for network in summarize_address_range(low6, high6)]
        case _:
            return HINT
    shown = ", ".join(network.removesuffix("/32").removesuffix("/128") for network in networks[:8])
    return f"write the range as networks: {shown}{' …' if len(networks) > 8 else ''}"


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True
