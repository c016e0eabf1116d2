"""The kinds of addresses that settings have: where to listen, and the upstreams behind. TCP and Unix sockets.

Knows nothing of which setting has which kind.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from proxyguard.core.problems import Fault, Report, quoted
from proxyguard.core.settings import Listen, Upstream
from proxyguard.core.yaml.kinds import TRUTH, Found, Key, KeyTable, Kind, Schema, items_of, made, one_or_more, plain
from proxyguard.core.yaml.nodes import Node, Scalar
from proxyguard.core.yaml.values import read_each, read_scalar

MAX_UPSTREAMS: Final = 64
MAX_LISTENERS: Final = 64
MAX_SOCKET_PATH_BYTES: Final = 107
"""What fits into a sockaddr_un (unix(7)), with its final NUL."""

_LISTEN_HINT: Final = "HOST:PORT, such as 0.0.0.0:8080, 127.0.0.1:9901 or '[::]:8080'; port 0 lets the system choose"
_UPSTREAM_HINT: Final = "such as http://127.0.0.1:9000, https://origin.example.org or unix:/run/app.sock"


_SCHEMES: Final = frozenset({"http", "https", "h2c"})
_MEANT_SCHEMES: Final = {"grpc": "h2c", "http2": "h2c", "grpcs": "https", "h2": "https"}
"""Schemes of other proxies, and ours that means the same; the last two with `upstream_http: 2`."""

_HOST_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]*):(\d{1,5})", re.ASCII)


def _listen(node: Node, subject: str) -> Listen:
    """`HOST:PORT`; without a host, every interface."""
    text = read_scalar(node, subject, "HOST:PORT", _LISTEN_HINT)
    match = _HOST_PORT.fullmatch(text)
    if match and int(match[2]) <= 65535:
        return Listen(match[1].strip("[]") or "0.0.0.0", int(match[2]))  # noqa: S104 - `:8080` means every interface
    hint = f"did you mean 0.0.0.0:{text}?" if text.isdecimal() else _LISTEN_HINT
    raise Fault(f"{subject} must be HOST:PORT, not {quoted(text)}", "ports end at 65535" if match else hint)


def _listener_address(node: Node, subject: str) -> Listen:
    """`HOST:PORT` or `unix:PATH`."""
    if isinstance(node, Scalar) and node.text.startswith("unix:"):
        return Listen("", 0, _socket_path(node.text, subject))
    return _listen(node, subject)


def _socket_path(text: str, subject: str) -> str:
    """The path in `unix:PATH`; `unix://PATH` is the same."""
    path = text.removeprefix("unix:")
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path.startswith("/") or path.endswith((":", "/")) or "\0" in path:
        hint = f"did you mean unix:{path.rstrip(':')}?" if path.startswith("/") and path.rstrip(":/") else "unix:/run/app.sock"
        raise Fault(f"{subject} must be unix: and an absolute path, not {quoted(text)}", hint)
    if len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        raise Fault(f"{subject} has a path of over {MAX_SOCKET_PATH_BYTES} bytes", "the system allows no longer one")
    return path


def _file_mode(node: Node, subject: str) -> int:
    """Permissions in octal, such as `0660`."""
    text = read_scalar(node, subject, "permissions", "such as 0660")
    if re.fullmatch(r"0?[0-7]{3}", text, re.ASCII) is None:
        raise Fault(f"{subject} must be three octal digits, not {quoted(text)}", "such as 0660 or 0600")
    return int(text, 8)


def _listeners(node: Node, report: Report, subject: str, _around: Any) -> tuple[Listen, ...]:
    """One listener or a list of them: an address, or a mapping with more."""
    items = items_of(node)
    if not 1 <= len(items) <= MAX_LISTENERS:
        raise Fault(f"{subject} has {len(items)} entries", f"1 to {MAX_LISTENERS}; {_LISTEN_HINT}")
    taken: set[str] = set()

    def read(item: Node) -> Listen:
        is_plain = isinstance(item, Scalar)
        listen: Listen = _listener_address(item, subject) if is_plain else _LISTENER_VALUE(item, report, "a listener", None)
        if str(listen) in taken and (listen.path or listen.port):
            raise Fault(f"{subject} has {listen} twice", "an address has one listener")
        taken.add(str(listen))
        return listen

    return read_each(items, report, read)


def _upstreams(node: Node, report: Report, subject: str, _around: Any) -> tuple[Upstream, ...]:
    """One URL or a list of them."""
    items = items_of(node)
    if not 1 <= len(items) <= MAX_UPSTREAMS:
        raise Fault(f"{subject} has {len(items)} entries", f"1 to {MAX_UPSTREAMS}; {_UPSTREAM_HINT}")
    return read_each(items, report, lambda item: _upstream(item, subject))


def _upstream(node: Node, subject: str) -> Upstream:
    text = read_scalar(node, subject, "a URL", _UPSTREAM_HINT)
    if text.startswith("unix:"):
        return Upstream("http", "localhost", 80, _socket_path(text, subject))
    if text.startswith("http://unix:"):
        hint = f"did you mean {text.removeprefix('http://').rstrip(':')}?"
        raise Fault(f"{subject} must be unix: and an absolute path, not {quoted(text)}", hint)
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
        url = urlsplit("")
    if url.username is not None or ("@" in text and not host):  # before any message that repeats the text
        hint = f"{url.scheme}://{host} without them" if url.scheme in _SCHEMES and host else _UPSTREAM_HINT
        raise Fault(f"{subject} has a user name or a password", hint)
    if url.scheme in _MEANT_SCHEMES and host:
        ours = _MEANT_SCHEMES[url.scheme]
        more = " with upstream_http: 2" if ours == "https" else ""
        raise Fault(f"{subject} must be a URL, not {quoted(text)}", f"did you mean {ours}://{url.netloc}{more}?")
    if url.scheme not in _SCHEMES or not host or port == 0 or not text.isascii() or " " in text:
        hint = f"did you mean http://{text}?" if "://" not in text and text.isascii() and " " not in text else _UPSTREAM_HINT
        raise Fault(f"{subject} must be a URL, not {quoted(text)}", hint)
    if url.path not in ("", "/") or url.query or url.fragment:
        hint = f"did you mean {url.scheme}://{url.netloc}? the path of a request is kept as it is"
        raise Fault(f"{subject} {quoted(text)} has a path", hint)
    return Upstream(url.scheme, host, port if port is not None else 443 if url.scheme == "https" else 80)


_URLS: Final = one_or_more(
    {"type": "string", "pattern": "^((https?|h2c)://[^/]+/?|unix:/.+)$"}, minItems=1, maxItems=MAX_UPSTREAMS
)


_HOST_PORT_PATTERN: Final = r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]*):[0-9]{1,5}"
_ADDRESS: Final[Schema] = {"type": "string", "pattern": rf"^({_HOST_PORT_PATTERN}|unix:/.+)$"}

LISTENER: Final = KeyTable(
    subject="a listener",
    example="{address: 0.0.0.0:80, redirect_to_https: true}",
    keys={
        "address": Key(Kind(plain(_listener_address), "HOST:PORT or unix:PATH", _ADDRESS),
            required=("the listener has no address", "address: 0.0.0.0:80")),
        "mode": Key(Kind(plain(_file_mode), "permissions", {"type": ["string", "integer"]})),
        "redirect_to_https": Key(TRUTH, attribute="redirects"),
    },
)  # fmt: skip


def _listener(found: Found) -> Listen:
    address: Listen = found.values["address"]
    if "mode" in found.values and not address.path:
        found.complain("mode", "mode is set, but the address is no Unix socket", "leave it out")
    return replace(address, **{name: value for name, value in found.sound().attributes().items() if name != "address"})


_LISTENER_VALUE: Final = made(LISTENER, _listener)

LISTEN: Final = Kind(plain(_listen), "HOST:PORT", {"type": "string", "pattern": f"^{_HOST_PORT_PATTERN}$"})
LISTENERS: Final = Kind(
    _listeners,
    "HOST:PORT, unix:PATH, or a list of these",
    one_or_more({"anyOf": [_ADDRESS, LISTENER.schema()]}, minItems=1, maxItems=MAX_LISTENERS),
)
UPSTREAMS: Final = Kind(_upstreams, "URL or unix:PATH, or a list of these", _URLS)
