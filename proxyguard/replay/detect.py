"""Which format a log has, told from its first lines or by name.

Every format is tried on the lines; the one that reads most of them is the log's, the more specific one if several do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from proxyguard.client_address import address_number
from proxyguard.replay.entry import LineError, LogFormat, NoRequest
from proxyguard.replay.json_lines import caddy_format, json_format, read_object
from proxyguard.replay.text_lines import combined_format, common_format, envoy_format, vhost_format

SAMPLE_LINES: Final = 50

FORMATS: Final = (
    "combined",
    "common",
    "vhost-combined",
    "vhost-common",
    "nginx-json",
    "caddy",
    "envoy",
    "envoy-json",
    "audit",
)
"""Names for `--format`."""


def detect_format(lines: Sequence[bytes], name: str | None = None, *, forwarded: bool = False) -> LogFormat | None:
    """The format of a log that begins with `lines` (blank ones left out), or the one named; None when none reads a line.

    `forwarded`: the client is the last address of the X-Forwarded-For field, where the format has one.
    """
    best: tuple[int, LogFormat | None] = (0, None)
    for found in _candidates(lines, name, forwarded=forwarded):
        read = sum(_reads(found, line) for line in lines)
        if read > best[0]:
            best = (read, found)
    if best[1] is None and name is not None and "json" not in name and name != "audit":
        return next(_candidates(lines, name, forwarded=forwarded), None)
    return best[1]


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
                yield read_object(line)
            except LineError:
                continue


def _reads(found: LogFormat, line: bytes) -> bool:
    try:
        address_number(found.parse(line).client.decode("ascii", "replace"))
    except NoRequest:
        return True
    except (LineError, ValueError):
        return False
    return True
