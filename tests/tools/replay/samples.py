"""The same traffic as each server, load balancer and CDN writes it, after the documentation of its log format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote_from_bytes

from proxyguard.tools.replay.formats.field_map import FieldMap, read_fields

START = 1_795_424_400  # 2026-11-23 09:00:00 UTC
HOST = "www.example.org"

CLIENTS = (
    "192.0.2.7", "198.51.100.23", "203.0.113.200", "2001:db8:1:2::3", "2001:db8:77::9", "192.0.2.8", "2001:db8:1:2::4",
)  # fmt: skip
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "curl/8.5.0",
    'Say "hello" \\ to (a; b) bots',
    "Größe 東京/1.0",
    "python-requests/2.32 {x|y} #1 100% <a>",
    "-",
    "A" * 700,
)
TARGETS = (
    "/", "/profiles/1", "/search?q=caf%C3%A9&page=2", "/a/b.css", "/wp-login.php", "/api/v1/items?x=%22y%22&z=a+b", "/missing",
)  # fmt: skip
REFERERS = ("-", f"https://{HOST}/", "-")
STATUSES = (200, 200, 404, 301, 403, 500, 404)


class Hit(NamedTuple):
    """One request of the traffic. `-`: the header was not sent."""

    time: int
    client: str
    method: str
    target: str
    status: int
    size: int
    referer: str
    agent: str

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.time, UTC)

    @property
    def clf(self) -> str:
        return self.moment.strftime("%d/%b/%Y:%H:%M:%S +0000")

    @property
    def iso(self) -> str:
        return self.moment.strftime("%Y-%m-%dT%H:%M:%S")

    @property
    def address(self) -> str:
        """With a port, as `host:port` is written."""
        return f"[{self.client}]:40123" if ":" in self.client else f"{self.client}:40123"

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    @property
    def url(self) -> str:
        return f"https://{HOST}:443{self.target}"


def traffic(count: int = 560) -> list[Hit]:
    """Requests of several clients over twenty minutes."""
    found = []
    for number in range(count):
        agent = AGENTS[number * 5 % len(AGENTS)] if number % 3 else AGENTS[0]
        found.append(
            Hit(
                START + number * 2, CLIENTS[number * number % 11 % len(CLIENTS)], "POST" if number % 9 == 4 else "GET",
                TARGETS[number * 3 % len(TARGETS)], STATUSES[number % len(STATUSES)], number * 37 % 9000,
                REFERERS[number % 3], agent,
            )
        )  # fmt: skip
    return found


def nginx(text: str) -> str:
    r"""As nginx escapes a value: `\xHH` for quotes, backslashes and everything that is not printable ASCII."""
    return "".join(chr(byte) if 31 < byte < 127 and byte not in b'"\\' else f"\\x{byte:02X}" for byte in text.encode())


def apache(text: str) -> str:
    """As Apache escapes one."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(chr(byte) if 31 < byte < 127 else f"\\x{byte:02x}" for byte in escaped.encode())


def line(hit: Hit, first: str = "", *, between: str = "", time: str = "", escape: Callable[[str], str] = nginx) -> str:
    request = f'"{hit.method} {hit.target} HTTP/1.1" {hit.status} {hit.size}'
    head = f"{first or hit.client} - - [{time or hit.clf}] {request}"
    return f'{head}{between} "{escape(hit.referer)}" "{escape(hit.agent)}"'


def common(hit: Hit) -> str:
    return f'{hit.client} - - [{hit.clf}] "{hit.method} {hit.target} HTTP/1.1" {hit.status} {hit.size}'


def gone(value: str) -> str:
    """Empty for a header that was not sent."""
    return "" if value == "-" else value


def dump(**fields: object) -> str:
    return json.dumps({key.replace("__", "-"): value for key, value in fields.items()}, ensure_ascii=False)


def nginx_fields(hit: Hit) -> dict[str, object]:
    return {
        "time_iso8601": f"{hit.iso}+00:00", "remote_addr": hit.client, "request_method": hit.method, "request_uri": hit.target,
        "server_protocol": "HTTP/1.1", "status": str(hit.status), "body_bytes_sent": str(hit.size), "http_host": HOST,
        "http_referer": gone(hit.referer), "http_user_agent": gone(hit.agent), "scheme": "https", "request_time": "0.012",
    }  # fmt: skip


def nginx_unescaped_json(hit: Hit) -> str:
    """nginx without escape=json: the text between the quotes is escaped as in any other log."""
    return "{" + ", ".join(f'"{key}": "{nginx(str(value) or "-")}"' for key, value in nginx_fields(hit).items()) + "}"


def caddy(hit: Hit) -> str:
    headers = {"Accept": ["*/*"]} | ({} if hit.agent == "-" else {"User-Agent": [hit.agent]})
    headers |= {} if hit.referer == "-" else {"Referer": [hit.referer]}
    request = {
        "remote_ip": hit.client, "remote_port": "4711", "client_ip": hit.client, "proto": "HTTP/1.1", "method": hit.method,
        "host": HOST, "uri": hit.target, "headers": headers, "tls": {"version": 772},
    }  # fmt: skip
    return dump(
        level="info", ts=hit.time + 0.25, logger="http.log.access", msg="handled request", request=request, user_id="",
        duration=0.01, size=hit.size, status=hit.status,
    )  # fmt: skip


def envoy(hit: Hit) -> str:
    agent = nginx(hit.agent)
    return (
        f'[{hit.iso}.250Z] "{hit.method} {hit.target} HTTP/1.1" {hit.status} - 0 {hit.size} 12 11 "198.51.100.1, {hit.client}" '
        f'"{agent}" "cc21d9b0" "{HOST}" "10.0.2.1:80"'
    )


def envoy_json(hit: Hit) -> str:
    return dump(
        start_time=f"{hit.iso}.250Z", method=hit.method, path=hit.target, protocol="HTTP/1.1", response_code=hit.status,
        bytes_sent=hit.size, downstream_remote_address=hit.address, user_agent=None if hit.agent == "-" else hit.agent,
        authority=HOST, duration=12, x_forwarded_for=None,
    )  # fmt: skip


def envoy_gateway(hit: Hit) -> str:
    found = {
        "start_time": f"{hit.iso}.250Z", "method": hit.method, "x-envoy-origin-path": hit.target, "protocol": "HTTP/1.1",
        "response_code": hit.status, "response_flags": "-", "bytes_received": 0, "bytes_sent": hit.size, "duration": 12,
        "x-envoy-upstream-service-time": "11", "x-forwarded-for": hit.client,
        "user-agent": None if hit.agent == "-" else hit.agent, "x-request-id": "cc21d9b0", ":authority": HOST,
        "upstream_host": "10.0.2.1:80", "downstream_local_address": "10.0.2.9:10080", "downstream_remote_address": hit.address,
        "route_name": "httproute/default/web/rule/0",
    }  # fmt: skip
    return json.dumps(found)


def traefik(hit: Hit) -> str:
    found = {
        "ClientAddr": hit.address, "ClientHost": hit.client, "ClientPort": "40123", "ClientUsername": "-",
        "DownstreamContentSize": hit.size, "DownstreamStatus": hit.status, "Duration": 12_000_000, "OriginDuration": 11_000_000,
        "RequestAddr": HOST, "RequestHost": HOST, "RequestMethod": hit.method, "RequestPath": hit.target, "RequestPort": "-",
        "RequestProtocol": "HTTP/1.1", "RequestScheme": "https", "RouterName": "web@docker", "StartUTC": f"{hit.iso}.250123456Z",
        "level": "info", "msg": "", "time": f"{hit.iso}Z",
    }  # fmt: skip
    found |= {} if hit.agent == "-" else {"request_User-Agent": hit.agent}
    return json.dumps(found | ({} if hit.referer == "-" else {"request_Referer": hit.referer}))


def gcp(hit: Hit) -> str:
    request: dict[str, object] = {
        "requestMethod": hit.method, "requestUrl": hit.url, "requestSize": "257", "status": hit.status,
        "responseSize": str(hit.size), "remoteIp": hit.client, "serverIp": "10.0.2.1", "latency": "0.012s",
    }  # fmt: skip
    request |= {} if hit.agent == "-" else {"userAgent": hit.agent}
    request |= {} if hit.referer == "-" else {"referer": hit.referer}
    return dump(
        httpRequest=request, insertId="1vzs264", jsonPayload={"statusDetails": "response_sent_by_backend"},
        logName="projects/p/logs/requests", receiveTimestamp=f"{hit.iso}.9Z", resource={"type": "http_load_balancer"},
        severity="INFO", timestamp=f"{hit.iso}.250123Z",
    )  # fmt: skip


def cloudflare(hit: Hit, start: object) -> str:
    return dump(
        ClientIP=hit.client, ClientRequestHost=HOST, ClientRequestMethod=hit.method, ClientRequestURI=hit.target,
        ClientRequestPath=hit.path, ClientRequestProtocol="HTTP/1.1", ClientRequestReferer=gone(hit.referer),
        ClientRequestScheme="https", ClientRequestUserAgent=gone(hit.agent), EdgeEndTimestamp=start, EdgeResponseBytes=hit.size,
        EdgeResponseStatus=hit.status, EdgeStartTimestamp=start, RayID="8a0c4841c4432675",
    )  # fmt: skip


def fastly(hit: Hit) -> str:
    return dump(
        timestamp=f"{hit.iso}+0000", client_ip=hit.client, geo_country="x", host=HOST, url=hit.target, request_method=hit.method,
        request_protocol="HTTP/1.1", request_referer=gone(hit.referer), request_user_agent=gone(hit.agent),
        response_state="MISS", response_status=hit.status, response_body_size=hit.size, fastly_is_edge=True,
    )  # fmt: skip


def ecs(hit: Hit) -> dict[str, object]:
    request = {"method": hit.method} | ({} if hit.referer == "-" else {"referrer": hit.referer})
    found: dict[str, object] = {
        "@timestamp": f"{hit.iso}.250Z", "ecs": {"version": "8.11.0"}, "source": {"ip": hit.client, "port": 40123},
        "http": {"request": request, "response": {"status_code": hit.status, "body": {"bytes": hit.size}}, "version": "1.1"},
        "url": {"original": hit.target, "domain": HOST, "scheme": "https", "path": hit.path},
    }  # fmt: skip
    return found | ({} if hit.agent == "-" else {"user_agent": {"original": hit.agent, "name": "Other"}})


def dotted(found: dict[str, object], before: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in found.items():
        flat |= dotted(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return flat


def apache_json(hit: Hit) -> str:
    query = f"?{hit.query}" if hit.query else ""
    path = hit.path
    fields = {
        "time": f"[{hit.clf}]", "remoteIP": hit.client, "host": HOST, "requestPath": path, "query": query, "method": hit.method,
        "status": str(hit.status), "size": str(hit.size), "userAgent": hit.agent, "referer": hit.referer,
    }  # fmt: skip
    return "{" + ", ".join(f'"{key}": "{apache(value)}"' for key, value in fields.items()) + "}"


def own_json(hit: Hit) -> str:
    ms = {"at": hit.time * 1000, "peer": {"addr": hit.client}, "http": {"verb": hit.method, "line": {"target": hit.target}}}
    return json.dumps(ms | {"ua": gone(hit.agent), "ref": gone(hit.referer), "code": hit.status, "len": hit.size})


OWN_FIELDS = (
    "time=at,client=peer.addr,method=http.verb,path=nowhere|http.line.target,user_agent=ua,referer=ref,status=code,bytes_sent=len"
)


def manager(hit: Hit) -> str:
    return (
        f'[{hit.clf}] - {hit.status} {hit.status} - {hit.method} https {HOST} "{hit.target}" [Client {hit.client}] '
        f'[Length {hit.size}] [Gzip -] [Sent-to 10.0.2.1] "{nginx(hit.agent)}" "{nginx(hit.referer)}"'
    )


CLOUDFRONT_FIELDS = (
    "date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) cs(User-Agent) cs-uri-query "
    "cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes time-taken x-forwarded-for ssl-protocol "
    "ssl-cipher x-edge-response-result-type cs-protocol-version"
)


def encoded(text: str) -> str:
    return text if text == "-" else quote_from_bytes(text.encode(), safe="!$&'()*+,/:;=?@-._")


def cloudfront(hit: Hit) -> str:
    return "\t".join(
        (
            hit.iso[:10], hit.iso[11:], "FRA2-C1", str(hit.size), hit.client, hit.method, "d111111abcdef8.cloudfront.net",
            hit.path, str(hit.status), encoded(hit.referer), encoded(hit.agent), hit.query or "-", "-", "Miss", "SOX4xwn4XV6Q",
            HOST, "https", "23", "0.001", "-", "TLSv1.3", "TLS_AES_128_GCM_SHA256", "Miss", "HTTP/1.1",
        )
    )  # fmt: skip


IIS_FIELDS = (
    "date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs-version cs(User-Agent) cs(Referer) sc-status "
    "sc-substatus sc-win32-status sc-bytes time-taken"
)


def plus(text: str) -> str:
    return text.replace(" ", "+")


def iis(hit: Hit) -> str:
    return (
        f"{hit.iso[:10]} {hit.iso[11:]} 10.0.2.1 {hit.method} {hit.path} {hit.query or '-'} 443 - {hit.client} HTTP/1.1 "
        f"{plus(hit.agent)} {plus(hit.referer)} {hit.status} 0 0 {hit.size} 12"
    )


def balancer(hit: Hit) -> str:
    return (
        f"{hit.iso}.250123Z app/web/50dc6c495c0c9188 {hit.address} 10.0.2.1:80 0.000 0.011 0.000 {hit.status} {hit.status} 34 "
        f'{hit.size} "{hit.method} {hit.url} HTTP/1.1" "{nginx(hit.agent)}" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2'
    )


def hashed(text: str) -> str:
    """As HAProxy encodes delimiters of a captured header."""
    return re.sub(r'[^ -~]|["#{|}]', lambda odd: "".join(f"#{byte:02X}" for byte in odd[0].encode()), gone(text))


def haproxy(hit: Hit, *, captured: bool) -> str:
    headers = f"{{{HOST}|{hashed(hit.agent)}|{hashed(hit.referer)}}} {{}} " if captured else ""
    accepted = hit.moment.strftime("%d/%b/%Y:%H:%M:%S.250")
    return (
        f"{hit.client}:40123 [{accepted}] https-in~ static/srv1 10/0/30/69/109 {hit.status} {hit.size} - - ---- 1/1/1/1/0 0/0 "
        f'{headers}"{hit.method} {hit.target} HTTP/1.1"'
    )


def squid(hit: Hit) -> str:
    return (
        f"{hit.time}.250    874 {hit.client} TCP_MISS/{hit.status:03} {hit.size} {hit.method} {hit.url} - "
        "FIRSTUP_PARENT/10.0.2.1 text/html"
    )


class Written(NamedTuple):
    """A way to write the traffic. `name` is the format that should be found, `front` what stands before its lines."""

    case: str
    name: str
    write: Callable[[Hit], str]
    head: tuple[str, ...] = ()
    fields: FieldMap = FieldMap()
    front: str = ""


FORMATS: tuple[Written, ...] = (
    Written("combined", "combined", line),
    Written("combined of Apache", "combined", lambda hit: line(hit, escape=apache)),
    Written("%D before the referer", "combined", lambda hit: line(hit, between=" 8321")),
    Written("more fields at the end", "combined", lambda hit: f'{line(hit)} "-" 0.012 [10.0.2.1:80]'),
    Written("X-Forwarded-For first", "combined", lambda hit: line(hit, f"203.0.113.77, {hit.client}" if hit.time % 4 else "")),
    Written("ISO times", "combined", lambda hit: line(hit, time=f"{hit.iso}+00:00")),
    Written("times with fractions", "combined", lambda hit: line(hit, time=f"{hit.iso}.250123Z")),
    Written("quoted X-Forwarded-For", "forwarded-combined", lambda hit: line(hit, f'"203.0.113.77, {hit.client}"')),
    Written("quoted X-Forwarded-For, peer", "forwarded-combined", lambda hit: line(hit, f'"{hit.client}" 10.0.0.1')),
    Written("quoted X-Forwarded-For, common", "forwarded-common",
            lambda hit: common(hit).replace(hit.client, f'"{hit.client}"', 1)),
    Written("vhost_combined", "vhost-combined", lambda hit: line(hit, f"{HOST}:443 {hit.client}")),
    Written("vhost, common", "vhost-common", lambda hit: f"{HOST} {common(hit)}"),
    Written("common", "common", common),
    Written("nginx-json", "nginx-json", lambda hit: json.dumps(nginx_fields(hit), ensure_ascii=False)),
    Written("nginx-json, default escapes", "nginx-json", nginx_unescaped_json),
    Written("caddy", "caddy", caddy),
    Written("envoy", "envoy", envoy),
    Written("envoy-json", "envoy-json", envoy_json),
    Written("envoy-gateway", "envoy-gateway", envoy_gateway),
    Written("traefik", "traefik", traefik),
    Written("gcp", "gcp", gcp),
    Written("cloudflare", "cloudflare", lambda hit: cloudflare(hit, f"{hit.iso}Z")),
    Written("cloudflare, nanoseconds", "cloudflare", lambda hit: cloudflare(hit, hit.time * 10**9)),
    Written("cloudflare, seconds", "cloudflare", lambda hit: cloudflare(hit, hit.time)),
    Written("fastly", "fastly", fastly),
    Written("ecs", "ecs", lambda hit: json.dumps(ecs(hit))),
    Written("ecs with dots", "ecs", lambda hit: json.dumps(dotted(ecs(hit)))),
    Written("apache-json", "apache-json", apache_json),
    Written("fields of one's own", "json", own_json, fields=read_fields(OWN_FIELDS)),
    Written("nginx-proxy-manager", "nginx-proxy-manager", manager),
    Written("cloudfront", "cloudfront", cloudfront, ("#Version: 1.0", f"#Fields: {CLOUDFRONT_FIELDS}")),
    Written("iis", "iis", iis, ("#Software: Microsoft Internet Information Services 10.0", "#Version: 1.0",
            "#Date: 2026-11-23 09:00:00", f"#Fields: {IIS_FIELDS}")),
    Written("aws-alb", "aws-alb", lambda hit: f'https {balancer(hit)} arn:aws:x "Root=1-58" "{HOST}" "-" 0'),
    Written("aws-clb", "aws-clb", balancer),
    Written("haproxy, captured headers", "haproxy", lambda hit: haproxy(hit, captured=True),
            fields=read_fields("host=1,user_agent=2,referer=3")),
    Written("haproxy", "haproxy", lambda hit: haproxy(hit, captured=False)),
    Written("squid", "squid", squid),
)  # fmt: skip


def in_parts(text: str, size: int = 300) -> Iterator[tuple[str, bool]]:
    """A line as a container runtime cuts it; and whether it ends there."""
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    yield from ((piece, piece is pieces[-1]) for piece in pieces)


def cri(hit: Hit, text: str) -> str:
    return "\n".join(f"{hit.iso}.123456789Z stdout {'F' if last else 'P'} {part}" for part, last in in_parts(text))


def docker(hit: Hit, text: str) -> str:
    return "\n".join(
        json.dumps({"log": part + ("\n" if last else ""), "stream": "stdout", "time": f"{hit.iso}.1Z"})
        for part, last in in_parts(text, 16_384)
    )


FRONTS: dict[str, Callable[[Hit, str], str]] = {
    "cri": cri,
    "docker": docker,
    "kubectl": lambda _hit, text: f"[pod/web-7d4b9c/nginx] {text}",
    "compose": lambda _hit, text: f"web-1  | {text}",
    "kubectl-timestamps": lambda hit, text: f"[pod/web-7d4b9c/nginx] {hit.iso}.123456789Z {text}",
    "compose-timestamps": lambda hit, text: f"\x1b[36mweb-1  |\x1b[0m {hit.iso}.123456789Z {text}",
    "syslog": lambda hit, text: f"<190>{hit.moment:%b %e %H:%M:%S} web1 nginx[7]: {text}",
    "syslog-5424": lambda hit, text: f'<190>1 {hit.iso}.25Z web1 nginx 7 access [x@1 a="b\\]"][y@1 c="d"] {text}',
    "timestamps": lambda hit, text: f"{hit.iso}.123456789Z {text}",
}
