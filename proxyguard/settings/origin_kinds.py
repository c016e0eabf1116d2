"""The kinds of settings about origins and identities: resolvers to ask, and hosts to fetch from."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any, Final

from proxyguard.core.origin_settings import Nameserver
from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.yaml.kinds import Kind, items_of, one_or_more
from proxyguard.core.yaml.nodes import Node
from proxyguard.core.yaml.values import read_each, read_scalar

MAX_RESOLVERS: Final = 8
MAX_FETCH_HOSTS: Final = 100

_RESOLVER_HINT: Final = "the address of a DNS resolver, such as 192.0.2.53, '[2001:db8::53]:5353' or 127.0.0.1:5353"
_HOST_HINT: Final = "a host that is asked over https, such as chatgpt.com"
_WITH_PORT: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]{1,5})", re.ASCII)
_HOST: Final = re.compile(r"(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})+(?::[0-9]{1,5})?", re.ASCII)


def _resolver(node: Node, subject: str) -> Nameserver:
    written = read_scalar(node, subject, "an address", _RESOLVER_HINT)
    match = _WITH_PORT.fullmatch(written)
    host, port = (match[1] or match[2], int(match[3])) if match else (written.strip("[]"), 53)
    try:
        address = ip_address(host)
    except ValueError:
        raise Fault(f"{subject} cannot be {quoted(written)}", _RESOLVER_HINT) from None
    if not 0 < port < 65536:
        raise Fault(f"{subject} has the port {port}", "ports end at 65535")
    return Nameserver(str(address), port)


def _resolvers(node: Node, report: Report, subject: str, _around: Any) -> tuple[Nameserver, ...]:
    items = items_of(node)
    if len(items) > MAX_RESOLVERS:
        raise Fault(f"{subject} has {len(items)} entries", f"at most {MAX_RESOLVERS}")
    return read_each(items, report, lambda item: _resolver(item, subject))


def _host(node: Node, subject: str, words: tuple[str, ...]) -> str:
    written = read_scalar(node, subject, "a host", _HOST_HINT)
    host = written.lower()
    if host in words or _HOST.fullmatch(host):
        return host
    bare = re.sub(r"^https?://|/.*$", "", host)
    raise Fault(f"{subject} cannot be {quoted(written)}", f"did you mean {bare}?" if _HOST.fullmatch(bare) else _HOST_HINT)


def _hosts(*words: str) -> Kind:
    def read(node: Node, report: Report, subject: str, _around: Any) -> tuple[str, ...]:
        items = items_of(node)
        if len(items) > MAX_FETCH_HOSTS:
            raise Fault(f"{subject} has {len(items)} entries", f"at most {MAX_FETCH_HOSTS}")
        return read_each(items, report, lambda item: _host(item, subject, words))

    return Kind(read, "list of hosts", one_or_more({"type": "string"}))


RESOLVERS: Final = Kind(_resolvers, "list of addresses", one_or_more({"type": "string"}))
KEY_HOSTS: Final = _hosts()
UPDATE_HOSTS: Final = _hosts("*")
