"""Detects the format of a log from its first lines, or takes the one that is named.

Every format is tried on the lines. The first, from the most specific to the least, that reads at least half as many as any
other is the log's: a combined log with a few shorter lines is not a common one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from proxyguard.core.address import address_number
from proxyguard.tools.replay.json_lines import caddy_format, json_format, read_object
from proxyguard.tools.replay.logged_request import LineError, LogFormat, NoRequest
from proxyguard.tools.replay.text_lines import combined_format, common_format, envoy_format, vhost_format

SAMPLE_LINES: Final = 50

FORMATS: Final = ("combined", "common", "vhost-combined", "vhost-common", "nginx-json", "caddy", "envoy", "envoy-json", "audit")
"""Names for `--format`."""


def detect_format(lines: Sequence[bytes], name: str | None = None, *, forwarded: bool = False) -> LogFormat | None:
    """The format of a log that begins with `lines` (blank ones left out), or the one called `name`; None if no line can be read.

    `forwarded`: the client is the last address of the X-Forwarded-For field, where the format has one.
    """
    read = [(found, _lines_read(found, lines)) for found in _candidates(lines, name, forwarded=forwarded)]
    most = max((count for _, count in read), default=0)
    if not most:
        is_text = name is not None and "json" not in name and name != "audit"
        return read[0][0] if is_text and read else None
    return next(found for found, count in read if 2 * count >= most)


def _candidates(lines: Sequence[bytes], name: str | None, *, forwarded: bool) -> Iterator[LogFormat]:
    objects = list(_objects(lines))
    if name in {None, "caddy"}:
        yield caddy_format()
    made = None
    if objects:
        made = json_format("json", objects, forwarded=forwarded)
    if made is not None:
        kind = _json_kind(objects)
        if name is None or name == kind or (name != "audit" and name in {"nginx-json", "envoy-json"}):
            yield made._replace(name=name or kind)
    text = {
        "envoy": envoy_format(),
        "combined": combined_format(forwarded=forwarded),
        "vhost-combined": vhost_format(agents=True),
        "common": common_format(),
        "vhost-common": vhost_format(agents=False),
    }
    yield from (text.values() if name is None else [text[name]] if name in text else [])


def _json_kind(objects: Sequence[dict[str, Any]]) -> str:
    keys = objects[0].keys()
    if {"reference", "rule", "action"} <= keys:
        return "audit"
    return "envoy-json" if keys & {"response_code", "downstream_remote_address", "authority"} else "nginx-json"


def _objects(lines: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line[:1] == b"{":
            try:
                found = read_object(line)
            except LineError:
                continue
            if found.get("kind") != "summed":  # of our audit log: it has no request
                yield found


def _lines_read(found: LogFormat, lines: Sequence[bytes]) -> int:
    """How many lines the format reads; lines without a request count beside some that have one."""
    entries = others = 0
    for line in lines:
        try:
            address_number(found.parse(line).client.decode("ascii", "replace"))
            entries += 1
        except NoRequest:
            others += 1
        except (LineError, ValueError):
            continue
    return entries + others if entries else 0
