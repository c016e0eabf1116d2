"""The kinds of addresses that settings have: where to listen, and the upstreams behind. TCP and Unix sockets.

Knows nothing of which setting has which kind.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from proxyguard.core.problems import Report, quoted
from proxyguard.core.settings import Listen, Upstream
from proxyguard.core.yaml.kinds import TRUTH, Found, Key, KeyTable, Kind, Schema, items_of, made, one_or_more, plain
from proxyguard.core.yaml.nodes import Node, Scalar
from proxyguard.core.yaml.values import complain, read_scalar

MAX_UPSTREAMS: Final = 64
MAX_LISTENERS: Final = 64
MAX_SOCKET_PATH_BYTES: Final = 107
"""What fits into a sockaddr_un (unix(7)), with its final NUL."""

_LISTEN_HINT: Final = "HOST:PORT, such as 0.0.0.0:8080, 127.0.0.1:9901 or '[::]:8080'; port 0 lets the system choose"
_UPSTREAM_HINT: Final = "such as http://127.0.0.1:9000, https://origin.example.org or unix:/run/app.sock"


_HOST_PORT: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]*):(\d{1,5})", re.ASCII)


def _listen(node: Node, report: Report, subject: str) -> Listen | None:
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


def _listener_address(node: Node, report: Report, subject: str) -> Listen | None:
    """`HOST:PORT` or `unix:PATH`."""
    if isinstance(node, Scalar) and node.text.startswith("unix:"):
        path = _socket_path(node, report, subject)
        return None if path is None else Listen("", 0, path)
    return _listen(node, report, subject)


def _socket_path(node: Scalar, report: Report, subject: str) -> str | None:
    """The path in `unix:PATH`; `unix://PATH` is the same."""
    path = node.text.removeprefix("unix:")
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path.startswith("/") or path.endswith((":", "/")) or "\0" in path:
        hint = f"did you mean unix:{path.rstrip(':')}?" if path.startswith("/") and path.rstrip(":/") else "unix:/run/app.sock"
        complain(report, node, f"{subject} must be unix: and an absolute path, not {quoted(node.text)}", hint)
        return None
    if len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        complain(report, node, f"{subject} has a path of over {MAX_SOCKET_PATH_BYTES} bytes", "the system allows no longer one")
        return None
    return path


def _file_mode(node: Node, report: Report, subject: str) -> int | None:
    """Permissions in octal, such as `0660`."""
    scalar = read_scalar(node, report, subject, "permissions", "such as 0660")
    if scalar is None:
        return None
    if re.fullmatch(r"0?[0-7]{3}", scalar.text, re.ASCII) is None:
        complain(report, node, f"{subject} must be three octal digits, not {quoted(scalar.text)}", "such as 0660 or 0600")
        return None
    return int(scalar.text, 8)


def _listeners(node: Node, report: Report, subject: str) -> tuple[Listen, ...] | None:
    """One listener or a list of them: an address, or a mapping with more."""
    items = items_of(node)
    if not 1 <= len(items) <= MAX_LISTENERS:
        complain(report, node, f"{subject} has {len(items)} entries", f"1 to {MAX_LISTENERS}; {_LISTEN_HINT}")
        return None
    found: list[Listen] = []
    for item in items:
        is_plain = isinstance(item, Scalar)
        listen = _listener_address(item, report, subject) if is_plain else _LISTENER_VALUE(item, report, "a listener", None)
        if listen is None:
            continue
        if any(str(listen) == str(other) and (listen.path or listen.port) for other in found):
            complain(report, item, f"{subject} has {listen} twice", "an address has one listener")
        found.append(listen)
    return tuple(found) if len(found) == len(items) else None


def _upstreams(node: Node, report: Report, subject: str) -> tuple[Upstream, ...] | None:
    """One URL or a list of them."""
    items = items_of(node)
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
    if text.startswith("unix:"):
        path = _socket_path(scalar, report, subject)
        return None if path is None else Upstream("http", "localhost", 80, path)
    if text.startswith("http://unix:"):
        hint = f"did you mean {text.removeprefix('http://').rstrip(':')}?"
        complain(report, node, f"{subject} must be unix: and an absolute path, not {quoted(text)}", hint)
        return None
    try:
        url = urlsplit(text)
        host, port = url.hostname, url.port
    except ValueError:
        host = port = None
        url = urlsplit("")
    if url.scheme not in ("http", "https") or not host or port == 0 or not text.isascii() or " " in text:
        hint = f"did you mean http://{text}?" if "://" not in text and text.isascii() and " " not in text else _UPSTREAM_HINT
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


_URLS: Final = one_or_more({"type": "string", "pattern": "^(https?://[^/]+/?|unix:/.+)$"}, minItems=1, maxItems=MAX_UPSTREAMS)


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
    return replace(address, **{name: value for name, value in found.attributes().items() if name != "address"})


_LISTENER_VALUE: Final = made(LISTENER, _listener)

LISTEN: Final = Kind(plain(_listen), "HOST:PORT", {"type": "string", "pattern": f"^{_HOST_PORT_PATTERN}$"})
LISTENERS: Final = Kind(
    plain(_listeners),
    "HOST:PORT, unix:PATH, or a list of these",
    one_or_more({"anyOf": [_ADDRESS, LISTENER.schema()]}, minItems=1, maxItems=MAX_LISTENERS),
)
UPSTREAMS: Final = Kind(plain(_upstreams), "URL or unix:PATH, or a list of these", _URLS)
