"""The kinds of values that only settings have: hosts, sites, networks, paths, secrets; addresses to listen on are in addresses.

Knows nothing of which setting has which kind, or whether a node came from a file, a variable or the command line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, NamedTuple

from proxyguard.core.address import Network
from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.settings import (
    Buffering,
    Certificate,
    HealthCheck,
    Neighbour,
    Site,
    UpstreamHttp,
    UpstreamReuse,
    UpstreamTls,
)
from proxyguard.core.yaml.kinds import (
    KEBAB,
    TRUTH,
    Key,
    KeyTable,
    Kind,
    Schema,
    duration,
    filled,
    items_of,
    listed_in,
    number,
    one_or_more,
    plain,
    size,
    whole,
    word,
)
from proxyguard.core.yaml.nodes import Node, Scalar
from proxyguard.core.yaml.values import complain, read_choice, read_each, read_integer, read_name, read_scalar, read_text
from proxyguard.http.claims import is_claim
from proxyguard.http.forwarded import OURS
from proxyguard.limits.stores.nodes import StoreUrl
from proxyguard.policy.bundled import BUNDLED_DIRECTORY, BUNDLED_WORD
from proxyguard.policy.fields.host import read_host
from proxyguard.policy.model import FieldKind
from proxyguard.policy.parse.lists import neighbour, reason
from proxyguard.policy.parse.networks import read_network
from proxyguard.policy.parse.texts import read_field_name
from proxyguard.settings.addresses import UPSTREAMS
from proxyguard.settings.reading_kinds import PATHS

MAX_SITES: Final = 10_000
MAX_HOSTS: Final = 10_000
MAX_NETWORKS: Final = 100_000
MAX_EXCEPTED: Final = 100
MIN_SECRET_CHARACTERS: Final = 16
MAX_KEPT_CLAIMS: Final = 100
MAX_ADMIN_HOSTS: Final = 100


def _networks(node: Node, report: Report, subject: str, _around: Any) -> tuple[Network, ...]:
    """A list of addresses and networks; may be empty."""
    items = items_of(node)
    if len(items) > MAX_NETWORKS:
        raise Fault(f"{subject} has {len(items)} entries", f"at most {MAX_NETWORKS}")
    return read_each(items, report, lambda item: _network(item, subject))


def _network(node: Node, subject: str) -> Network:
    example = "such as 10.0.0.0/8 or 2001:db8::/32"
    text = read_scalar(node, subject, "an address or a network", example)
    try:
        return read_network(text)
    except Fault as fault:
        hint = fault.hint if fault.hint.startswith("did you mean") else example
        raise Fault(f"{subject}: {fault.message}", hint) from fault


def _path(node: Node, _report: Report, subject: str, base: Path) -> Path:
    """A relative path is looked up from `base`."""
    return base / read_text(node, subject, 4096)


def _rules(node: Node, report: Report, subject: str, base: Path) -> Path:
    path = _path(node, report, subject, base)
    return BUNDLED_DIRECTORY if isinstance(node, Scalar) and node.text == BUNDLED_WORD else path


def _file_path(node: Node, report: Report, subject: str, base: Path) -> Path:
    """The path of a file that can be read now."""
    path = _path(node, report, subject, base)
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise Fault(f"{subject} {quoted(str(path))} cannot be read: {reason(error)}", neighbour(path)) from error


_COOKIE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _cookie_name(node: Node, subject: str) -> str:
    name = read_scalar(node, subject, "a name", "pg-jar")
    if not _COOKIE_NAME.fullmatch(name):
        raise Fault(f"{subject} cannot be {quoted(name)}", "1 to 64 letters, digits, - and _")
    return name


def _server_name(node: Node, subject: str) -> str:
    name = read_text(node, subject, 253)
    try:
        return read_host(name.encode("idna").decode("ascii"))
    except (UnicodeError, Fault):
        raise Fault(f"{subject}: {quoted(name)} is not the name of a server", "such as origin.example.org") from None


def _audit_path(node: Node, _report: Report, subject: str, base: Path) -> str:
    written = read_text(node, subject, 4096)
    return written if written == "-" else str(base / written)


STORE_URL_HINT: Final = (
    "redis://user:password@host:6379/0, rediss:// for TLS, several hosts as a:6379,b:6379, unix:///path/to/socket, "
    "or redis+sentinel://user:password@a:26379,b:26379/master"
)


def _secret(node: Node, subject: str) -> str:
    """A secret; never repeated in a message."""
    if not isinstance(node, Scalar) or len(node.text) < MIN_SECRET_CHARACTERS or not node.text.isprintable():
        hint = f"at least {MIN_SECRET_CHARACTERS} printable characters; openssl rand -hex 32 makes a good one"
        raise Fault(f"{subject} is too short or not a text", hint)
    return node.text


def _collector(node: Node, subject: str) -> str:
    """Where a collector is; a password in it is not taken, and never repeated."""
    hint = "http://127.0.0.1:4318, without /v1/traces; headers, such as a token, come from OTEL_EXPORTER_OTLP_HEADERS"
    written = read_text(node, subject, 1024)
    match = re.fullmatch(r"https?://([^/\s?#@]+)(/[!-~]*)?", written, re.ASCII)
    if match is None or "?" in written or "#" in written:
        raise Fault(f"{subject} is no http:// or https:// address of a collector", hint)
    return written


def _store_url(node: Node, subject: str) -> str:
    """A Valkey or Redis URL; a password in it is never repeated in a message."""
    if not isinstance(node, Scalar):
        raise Fault(f"{subject} is not a text", STORE_URL_HINT)
    try:
        StoreUrl.parse(node.text)
    except ValueError as error:
        raise Fault(f"{subject}: {error}", STORE_URL_HINT) from error
    return node.text


def _secret_file(node: Node, report: Report, subject: str, base: Path) -> str:
    """A secret in a file of its own, blanks around it ignored."""
    text = _file_path(node, report, subject, base).read_bytes()[:4096].decode("utf-8", "replace").strip()
    return _secret(Scalar(node.line, node.column, text, plain=True), f"the content of {subject}")


def _header(node: Node, subject: str) -> str:
    return read_field_name(FieldKind.HEADER, read_text(node, subject, 256))


def _claims(node: Node, report: Report, subject: str, _around: Any) -> tuple[str, ...]:
    """Names of request headers that are dropped unless they are kept."""
    items = items_of(node)
    if len(items) > MAX_KEPT_CLAIMS:
        raise Fault(f"{subject} has {len(items)} entries", f"at most {MAX_KEPT_CLAIMS}")

    def read(item: Node) -> str:
        name = _header(item, subject)
        if not is_claim(name.encode()):
            raise Fault(f"{subject}: {name} is never dropped", "it passes as it is: leave it out")
        if name.encode() in OURS:
            raise Fault(f"{subject}: {name} is always ours", "what trusted proxies say by it is passed on in ours")
        return name

    return read_each(items, report, read)


def _sites(node: Node, report: Report, subject: str, base: Path) -> tuple[Site, ...] | None:
    """No host twice."""
    before = report.count
    sites: tuple[Site, ...] | None = _SITES.read(node, report, subject, _Sites(base, {}))
    return sites if report.count == before else None


class _Sites(NamedTuple):
    """What reading one site has to know of the others: the line on which each host was named."""

    base: Path
    taken: dict[str, int]


def _hosts(node: Node, report: Report, _subject: str, sites: _Sites) -> tuple[str, ...]:
    items, taken = items_of(node), sites.taken
    if not 1 <= len(items) <= MAX_HOSTS:
        raise Fault(f"hosts has {len(items)} entries", f"1 to {MAX_HOSTS}")

    def read(item: Node) -> str:
        host = _host(read_scalar(item, "a host", "a name", "www.example.org, *.example.org or *"))
        if host in taken:
            complain(report, item, f"the host {quoted(host)} is already served, line {taken[host]}", "a host has one site")
        taken[host] = item.line
        return host

    return read_each(items, report, read)


def _admin_hosts(node: Node, report: Report, subject: str, _around: Any) -> tuple[str, ...]:
    """Names of hosts, or `*`."""
    items = items_of(node)
    if len(items) > MAX_ADMIN_HOSTS:
        raise Fault(f"{subject} has {len(items)} entries", f"at most {MAX_ADMIN_HOSTS}")

    def read(item: Node) -> str:
        name = read_scalar(item, subject, "a name", "proxyguard, metrics.example.org or *")
        return "*" if name == "*" else read_host(name)

    return read_each(items, report, read)


def _neighbours(node: Node, report: Report, subject: str, _around: Any) -> tuple[Neighbour, ...]:
    names = tuple(Neighbour)
    return tuple(dict.fromkeys(
        read_each(items_of(node), report, lambda item: Neighbour(read_choice(item, subject, names)))
    ))  # fmt: skip


def _host(text: str) -> str:
    if text == "*":
        return text
    if text.startswith("*."):
        return "*." + read_host(text[2:])
    if text.startswith("."):
        raise Fault(f"{quoted(text)} begins with a dot", f"{quoted('*' + text)} is all names below {text[1:]}")
    if "*" in text:
        raise Fault(f"{quoted(text)} has a * that is not the first label", "www.example.org, *.example.org or *")
    return read_host(text)


def _rule_sets(node: Node, report: Report, subject: str, _around: Any) -> tuple[str, ...]:
    if not items_of(node):
        raise Fault(f"{subject} is an empty list", "left out, all rule sets apply")
    return read_each(items_of(node), report, lambda item: read_name(item, "a rule set"))


def _excepted(node: Node, report: Report, subject: str, _around: Any) -> tuple[str, ...]:
    """Paths; a `*` only at the end."""
    items = items_of(node)
    if len(items) > MAX_EXCEPTED:
        raise Fault(f"{subject} has {len(items)} entries", f"at most {MAX_EXCEPTED}")

    def read(item: Node) -> str:
        written = read_text(item, subject, 1024)
        if not written.startswith("/") or "*" in written[:-1]:
            raise Fault(f"{subject}: {quoted(written)} is not a path", "such as /upload, or /uploads/* for all below")
        return written

    return read_each(items, report, read)


_TEXT: Final[Schema] = {"type": "string", "minLength": 1}

UPSTREAM_REUSE: Final = word(UpstreamReuse)
UPSTREAM_HTTP: Final = Kind(word(UpstreamHttp).reader, "1.1 or 2", {"enum": ["1.1", "2", 1.1, 2]})
"""In YAML it looks like a number, so the schema takes it as one too."""
NETWORKS: Final = Kind(_networks, "list of networks", one_or_more(_TEXT))
PATH: Final = Kind(_path, "path", _TEXT)
RULES: Final = Kind(_rules, f"path or {BUNDLED_WORD}", _TEXT)
FILE: Final = Kind(_file_path, "path", _TEXT)
AUDIT_PATH: Final = Kind(_audit_path, "path or -", _TEXT)
FILE_OF_SECRET: Final = Kind(_secret_file, "path", _TEXT)
SECRET: Final = Kind(plain(_secret), "text", {"type": "string", "minLength": MIN_SECRET_CHARACTERS})
COLLECTOR: Final = Kind(plain(_collector), "URL", {"type": "string", "pattern": "^https?://"})
STORE_URL: Final = Kind(plain(_store_url), "URL", {"type": "string", "pattern": r"^((redis|valkey)s?(\+sentinel)?|unix)://"})
SERVER_NAME: Final = Kind(plain(_server_name), "name", _TEXT)
COOKIE_NAME: Final = Kind(plain(_cookie_name), "name", {"type": "string", "pattern": f"^{_COOKIE_NAME.pattern}$"})
NEIGHBOURS: Final = Kind(_neighbours, "list of upstream, store", one_or_more({"enum": list(Neighbour)}))
ADMIN_HOSTS: Final = Kind(_admin_hosts, "list of names", one_or_more(_TEXT))
EXCEPTED: Final = Kind(_excepted, "list of paths", one_or_more({"type": "string", "pattern": r"^/[^*]*\*?$"}))
HEADER: Final = Kind(plain(_header), "name", _TEXT)
CLAIMS: Final = Kind(_claims, "list of names", one_or_more(_TEXT))
SHARE: Final = number(0, 1, "0 to 1")
TIMEOUT: Final = duration(0.1, 86_400.0)
UPSTREAM_CONNECTIONS: Final = whole(1, 1_000_000)

_CERTIFICATE_EXAMPLE: Final = "{chain: FILE, key: FILE}, both PEM"

CERTIFICATE: Final = KeyTable(
    subject="certificate",
    example=_CERTIFICATE_EXAMPLE,
    prefixed=True,
    keys={
        "chain": Key(FILE, required=("{subject} has no chain", _CERTIFICATE_EXAMPLE)),
        "key": Key(FILE, required=("{subject} has no key", _CERTIFICATE_EXAMPLE)),
    },
)  # fmt: skip

UPSTREAM_TLS: Final = KeyTable(
    subject="upstream_tls",
    example="{verify: true, ca: FILE, name: HOST}",
    prefixed=True,
    keys={
        "verify": Key(TRUTH),
        "ca": Key(FILE),
        "name": Key(SERVER_NAME),
    },
)  # fmt: skip

BUFFERING: Final = KeyTable(
    subject="buffering",
    example="{request: 64KiB, response: 256KiB, file: 64MiB, except: [/uploads/*]}",
    prefixed=True,
    keys={
        "request": Key(size(0, 64 * 1024 * 1024), attribute="request_bytes"),
        "response": Key(size(0, 64 * 1024 * 1024), attribute="response_bytes"),
        "file": Key(size(0, 64 * 1024**3), attribute="file_bytes"),
        "except": Key(EXCEPTED, attribute="excepted"),
    },
)  # fmt: skip


def _check_path(node: Node, subject: str) -> str:
    """A path with its query, as it stands in a request."""
    path = read_scalar(node, subject, "a path", "/healthz")
    if re.fullmatch(r"/[!-~]{0,1023}", path) is None:
        raise Fault(f"{subject} must be a path, not {quoted(path)}", "/healthz")
    return path


def _statuses(node: Node, report: Report, subject: str, _around: Any) -> tuple[int, ...]:
    if not items_of(node):
        raise Fault(f"{subject} is an empty list", "left out, it is 200 to 399")
    return read_each(items_of(node), report, lambda item: read_integer(item, subject, 200, 599))


_CHECK_TIMES: Final = duration(0.1, 3600)

HEALTH: Final = KeyTable(
    subject="health",
    example="{path: /healthz, interval: 5s}",
    prefixed=True,
    keys={
        "path": Key(Kind(plain(_check_path), "path", _TEXT), required=("{subject} has no path", "path: /healthz")),
        "interval": Key(_CHECK_TIMES, attribute="interval_seconds"),
        "timeout": Key(_CHECK_TIMES, attribute="timeout_seconds"),
        "status": Key(Kind(_statuses, "status, or a list", one_or_more({"type": "integer"}, minItems=1)), attribute="statuses"),
        "down_after": Key(whole(1, 100)),
        "up_after": Key(whole(1, 100)),
    },
)  # fmt: skip

HEALTH_CHECK: Final = Kind(filled(HEALTH, HealthCheck), f"{{{', '.join(HEALTH.keys)}}}", HEALTH.schema())


def _in_site(table: KeyTable, value: type[Any]) -> Kind:
    """A mapping of a site that becomes this value; its paths are relative like the site's."""
    read = filled(table, value)
    return Kind(lambda node, report, subject, sites: read(node, report, subject, sites.base), "mapping", table.schema())


SITE: Final = KeyTable(
    subject="a site",
    example="{hosts: [www.example.org], upstream: http://127.0.0.1:9000}",
    meant={"host": "did you mean 'hosts'?", "upstreams": "did you mean 'upstream'?"},
    keys={
        "hosts": Key(Kind(_hosts, "hosts", one_or_more(_TEXT, minItems=1)),
            required=("the site has no hosts", "hosts: [www.example.org]")),
        "upstream": Key(UPSTREAMS, required=("the site has no upstream", "upstream: http://127.0.0.1:9000"),
            attribute="upstreams"),
        "certificate": Key(_in_site(CERTIFICATE, Certificate)),
        "upstream_tls": Key(_in_site(UPSTREAM_TLS, UpstreamTls)),
        "upstream_reuse": Key(UPSTREAM_REUSE),
        "upstream_http": Key(UPSTREAM_HTTP),
        "health": Key(HEALTH_CHECK),
        "upstream_connections": Key(UPSTREAM_CONNECTIONS),
        "buffering": Key(_in_site(BUFFERING, Buffering)),
        "rule_sets": Key(Kind(_rule_sets, "rule sets", one_or_more(KEBAB.schema, minItems=1))),
        "paths": Key(PATHS),
        "method_override": Key(TRUTH),
    },
)  # fmt: skip

_SITES: Final = listed_in(
    "entries",
    Kind(filled(SITE, Site), SITE.subject, SITE.schema()),
    MAX_SITES,
    example="- hosts: [www.example.org]\n    upstream: http://127.0.0.1:9000",
    owner="sites",
)
SITES: Final = Kind(_sites, f"list of {{{', '.join(SITE.keys)}}}", _SITES.schema)
