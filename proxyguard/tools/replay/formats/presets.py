"""The maps of JSON logs whose fields have one name each: load balancers, CDNs, ingress controllers, a common schema.

Named after the products' own references: Traefik "Access Logs", Envoy Gateway "Proxy Access Logs", Google Cloud "HttpRequest"
of LogEntry, Cloudflare "HTTP requests" of Logpush, Fastly's JSON log format, the Elastic Common Schema. A log is one of these
when it has the keys in `signs`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from proxyguard.tools.replay.formats.field_map import FieldMap, field_map, is_there, read_path
from proxyguard.tools.replay.formats.format_type import LogSample
from proxyguard.tools.replay.formats.json_objects import object_format
from proxyguard.tools.replay.logged_request import LogFormat


class Preset(NamedTuple):
    """A map, and keys of which the first lines have every one."""

    fields: FieldMap
    signs: tuple[str, ...]


TRAEFIK: Final = Preset(
    field_map(
        {
            "time": "StartUTC|StartLocal|time", "client": "ClientHost|ClientAddr", "method": "RequestMethod",
            "path": "RequestPath", "http_version": "RequestProtocol", "host": "RequestHost|RequestAddr",
            "scheme": "RequestScheme", "user": "ClientUsername", "user_agent": "request_User-Agent",
            "referer": "request_Referer", "status": "DownstreamStatus", "bytes_sent": "DownstreamContentSize",
            "upstream_time": "OriginDuration:ns", "forwarded_for": "request_X-Forwarded-For", "cookies": "request_Cookie",
        },
        header_prefix="request_",
    ),
    ("RequestMethod", "RequestPath"),
)  # fmt: skip

ENVOY_GATEWAY: Final = Preset(
    field_map(
        {
            "time": "start_time", "client": "downstream_remote_address", "forwarded_for": "x-forwarded-for",
            "method": "method", "path": "x-envoy-origin-path", "http_version": "protocol", "host": ":authority",
            "user_agent": "user-agent", "header.x-request-id": "x-request-id", "status": "response_code",
            "bytes_sent": "bytes_sent", "upstream_time": "x-envoy-upstream-service-time:ms",
        }
    ),
    ("x-envoy-origin-path",),
)  # fmt: skip

GCP: Final = Preset(
    field_map(
        {
            "time": "timestamp|receiveTimestamp", "client": "httpRequest.remoteIp", "method": "httpRequest.requestMethod",
            "path": "httpRequest.requestUrl", "http_version": "httpRequest.protocol", "user_agent": "httpRequest.userAgent",
            "referer": "httpRequest.referer", "status": "httpRequest.status", "bytes_sent": "httpRequest.responseSize",
        }
    ),
    ("httpRequest.requestUrl",),
)  # fmt: skip

CLOUDFLARE: Final = Preset(
    field_map(
        {
            "time": "EdgeStartTimestamp|EdgeEndTimestamp", "client": "ClientIP", "method": "ClientRequestMethod",
            "path": "ClientRequestURI|ClientRequestPath", "http_version": "ClientRequestProtocol",
            "host": "ClientRequestHost", "scheme": "ClientRequestScheme", "user_agent": "ClientRequestUserAgent",
            "referer": "ClientRequestReferer", "status": "EdgeResponseStatus",
            "bytes_sent": "EdgeResponseBodyBytes|EdgeResponseBytes", "upstream_time": "OriginResponseDurationMs:ms",
        },
        without_query="ClientRequestPath",
    ),
    ("ClientRequestMethod",),
)  # fmt: skip

FASTLY: Final = Preset(
    field_map(
        {
            "time": "timestamp|time_start|start_time", "client": "client_ip", "method": "request_method|request",
            "path": "url", "http_version": "request_protocol|protocol", "host": "host", "user_agent": "request_user_agent",
            "referer": "request_referer", "status": "response_status|status",
            "bytes_sent": "response_body_size|resp_body_size",
            "header.accept": "request_accept_content", "header.accept-language": "request_accept_language",
            "header.accept-encoding": "request_accept_encoding", "header.accept-charset": "request_accept_charset",
        }
    ),
    ("client_ip", "url", "request_user_agent"),
)  # fmt: skip

ECS: Final = Preset(
    field_map(
        {
            "time": "@timestamp", "client": "client.ip|source.ip|client.address|source.address",
            "method": "http.request.method", "path": "url.original|url.full|url.path", "query": "url.query",
            "http_version": "http.version", "host": "url.domain|destination.domain", "scheme": "url.scheme",
            "user": "user.name", "user_agent": "user_agent.original", "referer": "http.request.referrer",
            "status": "http.response.status_code", "bytes_sent": "http.response.body.bytes|http.response.bytes",
        },
        without_query="url.path",
    ),
    ("http.request.method",),
)  # fmt: skip


PRESETS: Final = {
    "traefik": TRAEFIK, "envoy-gateway": ENVOY_GATEWAY, "gcp": GCP, "cloudflare": CLOUDFLARE, "fastly": FASTLY, "ecs": ECS,
}  # fmt: skip
"""By the name of the format."""


def preset(name: str) -> Callable[[LogSample], LogFormat | None]:
    """Makes the reader of a preset, changed by the fields that the operator named."""
    found = PRESETS[name]
    signs = tuple(map(read_path, found.signs))

    def make(sample: LogSample) -> LogFormat | None:
        objects = sample.objects
        recognised = all(any(is_there(each, sign) for each in objects) for sign in signs)
        if not objects or not (recognised or (sample.named and sample.fields.parts)):
            return None
        wanted = found.fields.changed_by(sample.fields)
        return object_format(name, wanted, objects, forwarded=sample.forwarded, named=sample.fields.parts)

    return make
