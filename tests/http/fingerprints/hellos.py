"""ClientHellos made of their parts, as bytes."""

from __future__ import annotations

from collections.abc import Sequence

CHROMIUM_CIPHERS = (
    0x2A2A, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014, 0x9C, 0x9D, 0x2F, 0x35,
)  # fmt: skip
CHROMIUM_SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)


def twos(values: Sequence[int]) -> bytes:
    return b"".join(value.to_bytes(2, "big") for value in values)


def sized(text: bytes, width: int = 2) -> bytes:
    return len(text).to_bytes(width, "big") + text


def hello(ciphers: Sequence[int], extensions: Sequence[tuple[int, bytes]], version: int = 0x0303) -> bytes:
    """The body of a ClientHello."""
    found = b"".join(kind.to_bytes(2, "big") + sized(value) for kind, value in extensions)
    return version.to_bytes(2, "big") + bytes(32) + sized(bytes(32), 1) + sized(twos(ciphers)) + b"\x01\x00" + sized(found)


def chromium(*, offers: Sequence[bytes] = (b"h2", b"http/1.1"), without: Sequence[int] = (), more: Sequence[int] = ()) -> bytes:
    """That of Chromium 109 to 112, as FoxIO's description of JA4 has it."""
    protocols = b"".join(sized(each, 1) for each in offers)
    found: list[tuple[int, bytes]] = [
        (0x1A1A, b""),
        (0x0000, sized(b"\0" + sized(b"example.org"))),
        (0x0017, b""),
        (0xFF01, b"\0"),
        (0x000A, sized(twos((0x3A3A, 0x1D, 0x17, 0x18)))),
        (0x000B, b"\x01\0"),
        (0x0023, b""),
        (0x0010, sized(protocols)),
        (0x0005, b"\x01\0\0\0\0"),
        (0x000D, sized(twos(CHROMIUM_SIGNATURES))),
        (0x0012, b""),
        (0x0033, sized(b"\x3a\x3a\0\x01\0" + b"\0\x1d" + sized(bytes(32)))),
        (0x002D, b"\x01\x01"),
        (0x002B, sized(twos((0x6A6A, 0x0304, 0x0303)), 1)),
        (0x001B, b"\x02\0\x02"),
        (0x4469, sized(b"\x02h2")),
        (0x4A4A, b"\0"),
        (0x0015, bytes(190)),
    ]
    found = [each for each in found if each[0] not in without] + [(kind, b"") for kind in more]
    return hello(CHROMIUM_CIPHERS, found)
