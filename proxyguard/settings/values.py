"""Values that only settings have: listening addresses, upstreams, hosts, sites, networks, paths.

Each function reads a node, reports what is wrong with it, and returns None exactly then. Knows nothing of which setting it
reads or whether the node came from a file, a variable or the command line.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from proxyguard.core.address import Network
from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.settings import Certificate, Listen, Site, Upstream, UpstreamTls
from proxyguard.core.yaml.nodes import Node, Scalar, Sequence
from proxyguard.core.yaml.values import (
    complain,
    read_keys,
    read_mapping,
    read_name,
    read_scalar,
    read_sequence,
    read_text,
    read_truth,
)
from proxyguard.limits.stores.resp import ValkeyUrl
from proxyguard.policy.fields.host import read_host
from proxyguard.policy.parse.lists import reason
from proxyguard.policy.parse.networks import read_network

MAX_UPSTREAMS: Final = 64
MAX_SITES: Final = 10_000
MAX_HOSTS: Final = 10_000
MAX_NETWORKS: Final = 100_000
MIN_SECRET_CHARACTERS: Final = 16

SITE_KEYS: Final = ("hosts", "upstream", "certificate", "upstream_tls", "rule_sets")
CERTIFICATE_KEYS: Final = ("chain", "key")
UPSTREAM_TLS_KEYS: Final = ("verify", "ca", "name")

_LISTEN_HINT: Final = "HOST:PORT, such as 0.0.0.0:8080, 127.0.0.1:9901 or '[::]:8080'; port 0 lets the system choose"
_UPSTREAM_HINT: Final = "such as http://127.0.0.1:9000 or https://origin.example.org"

_HOST_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]*):(\d{1,5})", re.ASCII)


def read_listen(node: Node, report: Report, subject: str) -> Listen | None:
    """`HOST:PORT`; without a host, every interface."""
    scalar = read_scalar(node, report, subject, "HOST:PORT", _LISTEN_HINT)
    if scalar is None:
        return None
    match = _HOST_PORT.fullmatch(scalar.text)
    if match and int(match[2]) <= 65535:
        return Listen(match[1].strip("[]") or "0.0.0.0", int(match[2]))  # noqa: S104 - `:8080` means every interface
    hint = f"did you mean 0.0.0.0:{scalar.text}?" if scalar.text.isdecimal() else _LISTEN_HINT
    if match:
        hint = "ports end at 65535"
    complain(report, node, f"{subject} must be HOST:PORT, not {quoted(scalar.text)}", hint)
    return None


def read_upstreams(node: Node, report: Report, subject: str) -> tuple[Upstream, ...] | None:
    """One URL or a list of them."""
    items = node.items if isinstance(node, Sequence) else [node]
    if not 1 <= len(items) <= MAX_UPSTREAMS:
        complain(report, node, f"{subject} has {len(items)} entries", f"1 to {MAX_UPSTREAMS}; {_UPSTREAM_HINT}")
        return None
    found = [_upstream(item, report, subject) for item in items]
    upstreams = tuple(upstream for upstream in found if upstream is not None)
    return upstreams if len(upstreams) == len(found) else None


def _upstream(node: Node, report: Report, subject: str) -> Upstream | None:
    scalar = read_scalar(node, report, subject, "a URL", _UPSTREAM_HINT)
    if scalar is None:
        return None
    text = scalar.text
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
        url = urlsplit("")
    if url.scheme not in ("http", "https") or not host or port == 0 or not text.isascii() or " " in text:
        hint = (
            f"did you mean http://{text}?"
            if "://" not in text and text.isascii() and " " not in text
            else _UPSTREAM_HINT
        )
        complain(report, node, f"{subject} must be a URL, not {quoted(text)}", hint)
        return None
    if url.username is not None or url.password is not None:
        complain(report, node, f"{subject} has a user name or a password", f"{url.scheme}://{host} without them")
        return None
    if url.path not in ("", "/") or url.query or url.fragment:
        hint = f"did you mean {url.scheme}://{url.netloc}? the path of a request is kept as it is"
        complain(report, node, f"{subject} {quoted(text)} has a path", hint)
        return None
    return Upstream(url.scheme, host, port if port is not None else 443 if url.scheme == "https" else 80)


def read_networks(node: Node, report: Report, subject: str) -> tuple[Network, ...] | None:
    """A list of addresses and networks; may be empty."""
    items = node.items if isinstance(node, Sequence) else [node]
    if len(items) > MAX_NETWORKS:
        complain(report, node, f"{subject} has {len(items)} entries", f"at most {MAX_NETWORKS}")
        return None
    networks = []
    for item in items:
        scalar = read_scalar(item, report, subject, "an address or a network", "such as 10.0.0.0/8 or 2001:db8::/32")
        if scalar is None:
            continue
        try:
            networks.append(read_network(scalar.text))
        except Fault as fault:
            hint = fault.hint if fault.hint.startswith("did you mean") else "such as 10.0.0.0/8 or 2001:db8::/32"
            complain(report, item, f"{subject}: {fault.message}", hint)
    return tuple(networks) if len(networks) == len(items) else None


def read_path(node: Node, report: Report, subject: str, base: Path) -> Path | None:
    """A path; a relative one is looked up from `base`."""
    text = read_text(node, report, subject, 4096)
    return None if text is None else base / text


def read_file_path(node: Node, report: Report, subject: str, base: Path) -> Path | None:
    """A path of a file that can be read now."""
    path = read_path(node, report, subject, base)
    if path is None:
        return None
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        complain(report, node, f"{subject} {quoted(str(path))} cannot be read: {reason(error)}")
        return None


STORE_URL_HINT: Final = "redis://user:password@host:6379/0, rediss:// for TLS, or unix:///path/to/socket"


def read_secret(node: Node, report: Report, subject: str) -> str | None:
    """A secret; never repeated in a message."""
    if not isinstance(node, Scalar) or len(node.text) < MIN_SECRET_CHARACTERS or not node.text.isprintable():
        hint = f"at least {MIN_SECRET_CHARACTERS} printable characters; openssl rand -hex 32 makes a good one"
        complain(report, node, f"{subject} is too short or not a text", hint)
        return None
    return node.text


def read_store_url(node: Node, report: Report, subject: str) -> str | None:
    """A Valkey or Redis URL; a password in it is never repeated in a message."""
    if not isinstance(node, Scalar):
        complain(report, node, f"{subject} is not a text", STORE_URL_HINT)
        return None
    try:
        ValkeyUrl.parse(node.text)
    except ValueError as error:
        complain(report, node, f"{subject}: {error}", STORE_URL_HINT)
        return None
    return node.text


def read_secret_file(node: Node, report: Report, subject: str, base: Path) -> str | None:
    """A secret in a file of its own, blanks around it ignored."""
    path = read_file_path(node, report, subject, base)
    if path is None:
        return None
    text = path.read_bytes()[:4096].decode("utf-8", "replace").strip()
    return read_secret(Scalar(node.line, node.column, text, plain=True), report, f"the content of {subject}")


def read_certificate(node: Node, report: Report, subject: str, base: Path) -> Certificate | None:
    """`{chain: FILE, key: FILE}`."""
    mapping = read_mapping(node, report, subject, "{chain: FILE, key: FILE}, both PEM")
    if mapping is None:
        return None
    values = read_keys(mapping, CERTIFICATE_KEYS, report, subject)
    paths = {
        key: read_file_path(values[key], report, f"{subject}.{key}", base) for key in CERTIFICATE_KEYS if key in values
    }
    for key in CERTIFICATE_KEYS:
        if key not in values:
            complain(report, node, f"{subject} has no {key}", "{chain: FILE, key: FILE}, both PEM")
    chain, private = paths.get("chain"), paths.get("key")
    return None if chain is None or private is None else Certificate(chain=chain, key=private)


def read_upstream_tls(node: Node, report: Report, subject: str, base: Path) -> UpstreamTls | None:
    """`{verify: true, ca: FILE, name: HOST}`, each optional."""
    mapping = read_mapping(node, report, subject, "{verify: true, ca: FILE, name: HOST}")
    if mapping is None:
        return None
    before = len(report.problems)
    values = read_keys(mapping, UPSTREAM_TLS_KEYS, report, subject)
    verify = read_truth(values["verify"], report, f"{subject}.verify") if "verify" in values else True
    ca = read_file_path(values["ca"], report, f"{subject}.ca", base) if "ca" in values else None
    name = read_text(values["name"], report, f"{subject}.name", 253) if "name" in values else None
    if len(report.problems) > before or verify is None:
        return None
    return UpstreamTls(verify=verify, ca=ca, name=name)


def read_sites(node: Node, report: Report, subject: str, base: Path) -> tuple[Site, ...] | None:
    """A list of sites; no host twice."""
    sequence = read_sequence(node, report, subject, "- hosts: [www.example.org]\n    upstream: http://127.0.0.1:9000")
    if sequence is None:
        return None
    if len(sequence.items) > MAX_SITES:
        complain(report, node, f"{subject} has {len(sequence.items)} entries", f"at most {MAX_SITES}")
        return None
    taken: dict[str, int] = {}
    before = len(report.problems)
    sites = [_site(item, report, base, taken) for item in sequence.items]
    return tuple(site for site in sites if site is not None) if len(report.problems) == before else None


def _site(node: Node, report: Report, base: Path, taken: dict[str, int]) -> Site | None:
    mapping = read_mapping(node, report, "a site", "{hosts: [www.example.org], upstream: http://127.0.0.1:9000}")
    if mapping is None:
        return None
    values = read_keys(
        mapping, SITE_KEYS, report, "a site", {"host": "did you mean 'hosts'?", "upstreams": "did you mean 'upstream'?"}
    )
    for key in ("hosts", "upstream"):
        if key not in values:
            example = {"hosts": "hosts: [www.example.org]", "upstream": "upstream: http://127.0.0.1:9000"}[key]
            complain(report, mapping, f"the site has no {key}", example)
    hosts = _hosts(values["hosts"], report, taken) if "hosts" in values else ()
    upstreams = read_upstreams(values["upstream"], report, "upstream") if "upstream" in values else ()
    certificate = (
        read_certificate(values["certificate"], report, "certificate", base) if "certificate" in values else None
    )
    tls = UpstreamTls()
    if "upstream_tls" in values:
        tls = read_upstream_tls(values["upstream_tls"], report, "upstream_tls", base) or tls
    rule_sets = _rule_sets(values["rule_sets"], report) if "rule_sets" in values else None
    return Site(hosts=hosts, upstreams=upstreams or (), certificate=certificate, upstream_tls=tls, rule_sets=rule_sets)


def _hosts(node: Node, report: Report, taken: dict[str, int]) -> tuple[str, ...]:
    items = node.items if isinstance(node, Sequence) else [node]
    if not 1 <= len(items) <= MAX_HOSTS:
        complain(report, node, f"hosts has {len(items)} entries", f"1 to {MAX_HOSTS}")
        return ()
    hosts = []
    for item in items:
        scalar = read_scalar(item, report, "a host", "a name", "www.example.org, *.example.org or *")
        if scalar is None:
            continue
        try:
            host = _host(scalar.text)
        except Fault as fault:
            complain(report, item, fault.message, fault.hint)
            continue
        if host in taken:
            complain(
                report, item, f"the host {quoted(host)} is already served, line {taken[host]}", "a host has one site"
            )
        taken[host] = item.line
        hosts.append(host)
    return tuple(hosts)


def _host(text: str) -> str:
    if text == "*":
        return text
    if text.startswith("*."):
        return "*." + read_host(text[2:])
    if "*" in text:
        raise Fault(f"{quoted(text)} has a * that is not the first label", "www.example.org, *.example.org or *")
    return read_host(text)


def _rule_sets(node: Node, report: Report) -> tuple[str, ...]:
    items = node.items if isinstance(node, Sequence) else [node]
    names = (read_name(item, report, "a rule set") for item in items)
    return tuple(name for name in names if name is not None)
