"""Writes small tables in MaxMind's format (https://maxmind.github.io/MaxMind-DB/), for IPv4 and IPv6."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

MARK = b"\xab\xcd\xefMaxMind.com"


def country_table(path: Path, countries: Mapping[str, str]) -> None:
    """A table as ip-location-db has it."""
    write_table(path, {network: {"country_code": code} for network, code in countries.items()})


def asn_table(path: Path, systems: Mapping[str, tuple[int, str]]) -> None:
    rows = {
        network: {"autonomous_system_number": number, "autonomous_system_organization": name}
        for network, (number, name) in systems.items()
    }
    write_table(path, rows)


def write_table(path: Path, rows: Mapping[str, Any]) -> None:
    """Networks do not overlap; an IPv4 one lies in `::/96`, as the format has it."""
    nodes: list[list[int | bytes | None]] = [[None, None]]
    for text, value in rows.items():
        network = ip_network(text)
        number, length = int(network.network_address), network.prefixlen + (96 if network.version == 4 else 0)
        node = 0
        for depth in range(length):
            bit = number >> (127 - depth) & 1
            if depth == length - 1:
                nodes[node][bit] = encoded(value)
                break
            inner = nodes[node][bit]
            if not isinstance(inner, int):
                nodes.append([None, None])
                inner = nodes[node][bit] = len(nodes) - 1
            node = inner
    data = b""
    tree = b""
    for pair in nodes:
        for record in pair:
            if isinstance(record, bytes):
                pointer = len(nodes) + 16 + len(data)
                data += record
            else:
                pointer = len(nodes) if record is None else record
            tree += struct.pack("!I", pointer)
    about = _control(7, 9) + b"".join(
        encoded(key) + value
        for key, value in {
            "binary_format_major_version": _number(5, 2), "binary_format_minor_version": _number(5, 0),
            "build_epoch": b"\x04\x02" + struct.pack("!I", 1_788_000_000), "database_type": encoded("test"),
            "description": encoded({"en": "test"}), "ip_version": _number(5, 6), "languages": b"\x01\x04" + encoded("en"),
            "node_count": _number(6, len(nodes)), "record_size": _number(5, 32),
        }.items()
    )  # fmt: skip
    path.write_bytes(tree + b"\0" * 16 + data + MARK + about)


def encoded(value: Any) -> bytes:
    match value:
        case str():
            raw = value.encode()
            return _control(2, len(raw)) + raw
        case int():
            return _number(6, value)
        case dict():
            return _control(7, len(value)) + b"".join(encoded(key) + encoded(inner) for key, inner in value.items())
    raise TypeError(value)


def _number(kind: int, value: int) -> bytes:
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _control(kind, len(raw)) + raw


def _control(kind: int, size: int) -> bytes:
    assert size < 29 + 256
    return bytes([kind << 5 | size]) if size < 29 else bytes([kind << 5 | 29, size - 29])
