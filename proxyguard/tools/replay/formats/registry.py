"""Every format that a replay reads, from the most specific to the least. `--format`, hints and the reference are made of it."""

from __future__ import annotations

from typing import Final

from proxyguard.tools.replay.formats.apache import combined, common, forwarded_first, vhost
from proxyguard.tools.replay.formats.audit import NAME as AUDIT
from proxyguard.tools.replay.formats.audit import make_audit
from proxyguard.tools.replay.formats.aws import make_alb, make_clb
from proxyguard.tools.replay.formats.caddy import make_caddy
from proxyguard.tools.replay.formats.envoy import make_envoy
from proxyguard.tools.replay.formats.format_type import FormatType
from proxyguard.tools.replay.formats.haproxy import make_haproxy
from proxyguard.tools.replay.formats.json_guess import guess, is_apache, is_envoy, is_nginx
from proxyguard.tools.replay.formats.nginx_proxy_manager import make_nginx_proxy_manager
from proxyguard.tools.replay.formats.presets import preset
from proxyguard.tools.replay.formats.squid import make_squid
from proxyguard.tools.replay.formats.w3c import w3c

FORMATS: Final = (
    FormatType("caddy", "Caddy: JSON", "host, scheme, every header; of cookies and credentials only whether they were sent",
               make_caddy),
    FormatType(AUDIT, "proxyguard: its own audit log", "host, and what was decided; no query", make_audit),
    FormatType("traefik", "Traefik: JSON", "host, scheme, version of HTTP; user agent, referer and other headers when "
               "`fields.headers` keeps them", preset("traefik"), takes_fields=True),
    FormatType("envoy-gateway", "Envoy Gateway: its default JSON", "host, user agent, version of HTTP",
               preset("envoy-gateway"), takes_fields=True),
    FormatType("gcp", "Google Cloud: Application Load Balancer, from Cloud Logging", "host, scheme, user agent, referer",
               preset("gcp"), takes_fields=True),
    FormatType("cloudflare", "Cloudflare: Logpush, HTTP requests",
               "host, scheme, user agent, referer, version of HTTP, as far as the job has these fields",
               preset("cloudflare"), takes_fields=True),
    FormatType("fastly", "Fastly: its JSON example", "host, user agent, referer, version of HTTP", preset("fastly"),
               takes_fields=True),
    FormatType("ecs", "Elastic Common Schema: JSON, nested or with dots", "whatever the log has of host, scheme, user agent, "
               "referer, version of HTTP", preset("ecs"), takes_fields=True),
    FormatType("envoy-json", "Envoy, Istio: JSON", "as its fields are named: host, user agent, version of HTTP",
               guess("envoy-json", is_envoy), takes_fields=True),
    FormatType("apache-json", "Apache: JSON by a `LogFormat` of one's own", "as its fields are named",
               guess("apache-json", is_apache), takes_fields=True),
    FormatType("nginx-json", "nginx: JSON by a `log_format` of one's own", "whatever the format has: fields named as nginx's "
               "variables (`http_user_agent`, `http_host`, `scheme`, `cookie_NAME`, any `http_NAME`)",
               guess("nginx-json", is_nginx), takes_fields=True),
    FormatType("json", "other JSON, one object a line", "fields with the usual names, and what `--fields` says",
               guess("json"), takes_fields=True),
    FormatType("cloudfront", "CloudFront: standard log (W3C)", "host, scheme, user agent, referer, cookies, version of HTTP",
               w3c("cloudfront", cloudfront=True)),
    FormatType("iis", "IIS, and other logs with `#Fields:` (W3C)", "what `#Fields:` names: user agent, referer, host, version "
               "of HTTP, cookies", w3c("iis", cloudfront=False)),
    FormatType("aws-alb", "AWS: Application Load Balancer", "host, scheme, user agent, version of HTTP", make_alb),
    FormatType("aws-clb", "AWS: Classic Load Balancer", "host, scheme, user agent, version of HTTP", make_clb),
    FormatType("haproxy", "HAProxy: HTTP log", "version of HTTP; captured headers as `--fields user_agent=1,host=2` names them",
               make_haproxy, takes_fields=True),
    FormatType("squid", "Squid: native log", "host, scheme; the query only with `strip_query_terms off`", make_squid),
    FormatType("nginx-proxy-manager", "Nginx Proxy Manager", "host, scheme, user agent, referer", make_nginx_proxy_manager),
    FormatType("envoy", "Envoy, Istio: default text", "host, user agent, version of HTTP. The client is the last address of "
               "X-Forwarded-For", make_envoy),
    FormatType("combined", "nginx, Apache, and whoever writes like them: combined", "user agent, referer, version of HTTP. "
               "The first field may be a list of X-Forwarded-For; fields after the line are let be", combined),
    FormatType("forwarded-combined", "the same, with X-Forwarded-For in quotes first", "as above",
               forwarded_first("forwarded-combined", agents=True)),
    FormatType("vhost-combined", "Apache: vhost_combined", "as above, and the host", vhost("vhost-combined", agents=True)),
    FormatType("common", "nginx, Apache: common", "version of HTTP", common),
    FormatType("forwarded-common", "the same, with X-Forwarded-For in quotes first", "version of HTTP",
               forwarded_first("forwarded-common", agents=False)),
    FormatType("vhost-common", "the same, with the host first", "version of HTTP, host", vhost("vhost-common", agents=False)),
)  # fmt: skip

NAMES: Final = tuple(found.name for found in FORMATS)
"""Names for `--format`."""


def formats_named(name: str | None) -> tuple[FormatType, ...]:
    """The format of this name; all of them without one."""
    return tuple(found for found in FORMATS if name in {None, found.name})
