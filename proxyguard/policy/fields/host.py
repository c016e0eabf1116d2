"""The host that a request asks for."""

from __future__ import annotations

import re
from typing import Final

from proxyguard.core.problems import Fault, quoted
from proxyguard.policy.fields.field_type import FieldType, KeyForm, SingleValue
from proxyguard.policy.model import FieldKind, TextKind

_HOST: Final = re.compile(r"[a-z0-9_.:\[\]-]+", re.ASCII)


def _host(kind: TextKind, text: str) -> str:
    host = text.lower()
    if not host:
        raise Fault("the host is empty", "a name such as www.example.org")
    if "/" in host:
        bare = (host.partition("://")[2] or host).partition("/")[0]
        raise Fault(f"{quoted(text)} is not a host", f"did you mean {quoted(bare)}?" if bare else "a name without /")
    if not host.isascii():
        raise Fault(f"{quoted(text)} is not ASCII", _punycode(host))
    if kind not in {TextKind.EQUAL, TextKind.SUFFIX}:
        return host
    name, colon, port = host.rpartition(":")
    if colon and port.isdecimal() and (":" not in name or name.endswith("]")):
        raise Fault(f"{quoted(text)} has a port", f"hosts are compared without it: {quoted(name.removesuffix('.'))}")
    if host.endswith("."):
        raise Fault(f"{quoted(text)} ends with a dot", f"hosts are compared without it: {quoted(host[:-1])}")
    if kind is TextKind.EQUAL and not _HOST.fullmatch(host):
        raise Fault(f"{quoted(text)} is not a host", "letters, digits, dots and hyphens, such as www.example.org")
    return host


def read_host(text: str) -> str:
    """One host name, lower case, without a port. Raises Fault."""
    return _host(TextKind.EQUAL, text)


def _punycode(host: str) -> str:
    try:
        return f"write it as requests carry it: {quoted(host.encode('idna').decode())}"
    except UnicodeError:
        return "write it as requests carry it, in punycode: xn--…"


HOST: Final = FieldType(
    kind=FieldKind.HOST,
    description="The host asked for, lower case, without the port.",
    source=SingleValue(lambda request: request.host),
    check=_host,
    has_stars=False,
    key=KeyForm.PLAIN,
    share=0.5,
)
