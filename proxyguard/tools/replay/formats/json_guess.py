"""JSON logs whose fields have the usual names: those of nginx's variables, Envoy's operators, Apache recipes, and shorter ones.

A field is found whatever its case and whether its words are joined by `_`, `-`, or not at all. What the operator names comes
first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from proxyguard.tools.replay.formats.field_map import FieldMap, Path
from proxyguard.tools.replay.formats.format_type import LogSample
from proxyguard.tools.replay.formats.json_objects import object_format
from proxyguard.tools.replay.logged_request import LogFormat

USUAL: Final[dict[str, tuple[str, ...]]] = {
    "time": ("time_iso8601", "msec", "@timestamp", "timestamp", "time", "time_local", "start_time", "ts", "datetime", "date"),
    "client": (
        "client_ip", "remote_addr", "remote_ip", "clientip", "client", "client_address", "client_addr",
        "downstream_remote_address", "downstream_direct_remote_address", "remote_host", "remote_address", "ip",
    ),
    "forwarded_for": ("http_x_forwarded_for", "x_forwarded_for", "xff"),
    "request": ("request", "request_line"),
    "method": ("request_method", "method", "http_method", "verb"),
    "path": (
        "request_uri", "x_envoy_original_path", "x_envoy_origin_path", "path", "uri", "url", "request_url", "request_path",
    ),
    "query": ("args", "query_string", "query"),
    "http_version": ("server_protocol", "protocol", "request_protocol", "http_version", "proto"),
    "host": ("http_host", "host", "authority", ":authority", "server_name", "vhost", "domain", "request_host"),
    "scheme": ("scheme", "x_forwarded_proto", "http_x_forwarded_proto", "request_scheme"),
    "user": ("remote_user", "user", "user_id"),
    "user_agent": ("http_user_agent", "user_agent", "agent", "request_user_agent"),
    "referer": ("http_referer", "http_referrer", "referer", "referrer", "request_referer"),
    "status": ("status", "response_code", "status_code", "code", "response_status"),
    "bytes_sent": ("body_bytes_sent", "bytes_sent", "bytes", "size", "response_size", "bytes_out"),
    "upstream_time": ("upstream_response_time",),
    "cookies": ("http_cookie",),
}  # fmt: skip
"""The names that may hold each part of a request, the most usual first."""

_MILLISECONDS: Final = ("upstream_service_time", "x_envoy_upstream_service_time")
"""Envoy's name for the upstream's time, and its unit."""

_DECODED: Final = frozenset({"uri", "requestPath"})
"""nginx's `$uri` and Apache's `%U`, which were decoded before they are logged."""

_WITHOUT_QUERY: Final = frozenset({*_DECODED, "request_path"})

_WORDS: Final = re.compile(r"[-_]")


def _folded(name: str) -> str:
    return _WORDS.sub("", name.lower())


def guessed_map(samples: Sequence[dict[str, Any]]) -> FieldMap:
    """The map of the fields that the samples have under a usual name."""
    keys: dict[str, str] = {}
    for sample in samples:
        for key, value in sample.items():
            if not isinstance(value, dict):
                keys.setdefault(_folded(key), key)
    found: dict[str, tuple[Path, ...]] = {}
    for part, names in USUAL.items():
        usual = [keys[folded] for name in names if (folded := _folded(name)) in keys]
        if usual:
            found[part] = (Path(usual[0], (usual[0],)),)
    milliseconds = [keys[folded] for name in _MILLISECONDS if (folded := _folded(name)) in keys]
    if milliseconds:
        found.setdefault("upstream_time", (Path(milliseconds[0], (milliseconds[0],), 1e-3),))
    for key in keys.values():
        if key.startswith("cookie_"):
            found[f"cookie.{key.removeprefix('cookie_')}"] = (Path(key, (key,)),)
    return FieldMap(parts=found, header_prefix="http_", decoded=_DECODED, without_query=_WITHOUT_QUERY)


def guess(name: str, belongs: Callable[[set[str]], bool] = lambda _keys: True) -> Callable[[LogSample], LogFormat | None]:
    """Makes the reader for a log whose keys satisfy `belongs`, or that the operator said is one."""

    def make(sample: LogSample) -> LogFormat | None:
        objects = sample.objects
        if not objects or not (sample.named or belongs({key for each in objects for key in each})):
            return None
        wanted = guessed_map(objects).changed_by(sample.fields)
        return object_format(name, wanted, objects, forwarded=sample.forwarded, named=sample.fields.parts)

    return make


def is_nginx(keys: set[str]) -> bool:
    """Whether fields are named as nginx's variables."""
    return bool(keys & {"remote_addr", "request_uri", "http_user_agent", "time_iso8601", "time_local", "body_bytes_sent"})


def is_envoy(keys: set[str]) -> bool:
    """Whether fields are named as in Envoy's and Istio's examples."""
    return bool(keys & {"response_code", "downstream_remote_address", "authority"})


def is_apache(keys: set[str]) -> bool:
    """Whether fields are named as in the recipe that is found everywhere for Apache."""
    return len(keys & {"remoteIP", "requestPath", "userAgent", "remoteHost"}) >= 2
