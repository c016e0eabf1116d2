"""Pieces of a policy in a file: how the supervisor hands rules to its workers. The file is in its private folder."""

from __future__ import annotations

from pathlib import Path


def write_pieces(path: Path, parts: list[bytes]) -> None:
    """Write pieces for `read_pieces`, each after its length in 8 bytes."""
    with path.open("wb") as file:
        for part in parts:
            file.write(len(part).to_bytes(8, "big") + part)


def read_pieces(path: Path) -> list[bytes]:
    """Read what `write_pieces` wrote."""
    data = path.read_bytes()
    parts = []
    start = 0
    while start < len(data):
        size = int.from_bytes(data[start : start + 8], "big")
        parts.append(data[start + 8 : start + 8 + size])
        start += 8 + size
    return parts
