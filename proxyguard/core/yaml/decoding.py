"""Bytes to the text of a YAML file: what is not UTF-8, and characters that cannot stand in YAML, are problems with a place."""

from __future__ import annotations

import re
from itertools import islice
from typing import Final

from proxyguard.core.problems import Report

MAX_BYTES: Final = 16 * 1024 * 1024
"""One file. 50,000 rules of 300 bytes; libyaml needs about 3 s for that."""

MAX_ODD: Final = 20
"""Lines with bytes or characters that no text has, each of which is reported; a file of another kind is full of them."""

_UNPRINTABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What YAML 1.2 section 5.1 leaves out."""


def decoded(data: bytes | str, report: Report) -> str | None:
    """The text, without the characters that YAML does not take, each of which is reported. None: nothing can be read."""
    if len(data) > MAX_BYTES:
        hint = "split the file, or move long lists into {file: lists/NAME.txt}"
        report.add(1, 1, f"the file has more than {MAX_BYTES // 1024 // 1024} MiB", hint)
        return None
    if isinstance(data, bytes):
        text = _as_text(data.removeprefix(b"\xef\xbb\xbf"), report)
        if text is None:
            return None
    else:
        text = data.removeprefix("\ufeff")
    for bad in islice(_UNPRINTABLE.finditer(text), MAX_ODD):
        line, column = _text_place(text, bad.start())
        message = f"the control character U+{ord(bad[0]):04X} cannot stand in YAML"
        report.add(line, column, message, "delete it; editors show it as a blank or a box")
    return _UNPRINTABLE.sub(" ", text)


def _as_text(data: bytes, report: Report) -> str | None:
    """The text of UTF-8. Lines that are none are reported, and nothing more is said about them. None: it is UTF-16."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        report.add(1, 1, f"not UTF-8: byte 0x{data[0]:02x}", "save the file as UTF-8")
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            column = len(line[: error.start].decode("utf-8", "replace")) + 1
            report.add(number, column, f"not UTF-8: byte 0x{line[error.start]:02x}", "save the file as UTF-8")
            report.mute(number)
            if len(report.problems) >= MAX_ODD:
                break
    return data.decode("utf-8", "replace")


def _text_place(text: str, offset: int) -> tuple[int, int]:
    """The 1-based line and column of an offset."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
