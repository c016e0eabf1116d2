"""Caddy's request matchers as conditions: all fields must hold, and any of the words and lines about one field or parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxyguard.tools.importers.caddy.syntax import ConfigLine
from proxyguard.tools.importers.conditions import Condition, equal, every, negated, some
from proxyguard.tools.importers.draft import NotCarried
from proxyguard.tools.importers.networks import clients, network_of
from proxyguard.tools.importers.nginx.choices import host_condition
from proxyguard.tools.importers.patterns import escaped, pattern_condition

_PRIVATE: Final = ("192.168.0.0/16", "172.16.0.0/12", "10.0.0.0/8", "127.0.0.1/8", "fd00::/8", "::1")
_REASONS: Final = {
    "expression": "rules have no expressions", "file": "rules do not see the site's files", "vars": "it was set by another line",
    "vars_regexp": "it was set by another line", "maxmind_geolocation": "rules know no countries", "tls": "rules do not see TLS",
}  # fmt: skip


def matcher_condition(lines: Sequence[ConfigLine]) -> Condition | None:
    """A whole matcher. Raises NotCarried."""
    by_kind: dict[tuple[str, str], list[Condition | None]] = {}
    parts: list[Condition | None] = []
    for line in lines:
        kind, args = line.name, line.words[1:]
        if kind == "not":
            inner = list(line.block) if line.block is not None else [ConfigLine(line.number, line.file, args)]
            parts.append(negated(matcher_condition(inner)))
            continue
        if kind == "query":
            for text in args or ("",):
                by_kind.setdefault((kind, text.partition("=")[0]), []).append(_parameter(text))
            continue
        field = args[0].lower() if kind in {"header", "header_regexp"} and args else ""
        if kind == "header_regexp" and len(args) == 3:
            field = args[1].lower()
        by_kind.setdefault((kind.replace("_regexp", "") if kind == "header_regexp" else kind, field), []).append(_one(kind, args))
    return every([*parts, *(some(each) for each in by_kind.values())])


def _one(kind: str, args: tuple[str, ...]) -> Condition | None:
    match kind:
        case "header" if args:
            return _header(args)
        case "header_regexp" if len(args) in {2, 3}:
            return pattern_condition(_field(args[-2]), args[-1])
        case "path":
            return some(path_condition(text) for text in args)
        case "path_regexp" if args:
            return pattern_condition("path", args[-1])
        case "host":
            return some(host_condition(text) for text in args)
        case "method":
            return equal("method", [text.upper() for text in args])
        case "protocol":
            return _protocol(args)
        case "remote_ip" | "client_ip":
            return _clients(args)
        case _:
            raise NotCarried(f"the matcher {kind[:40]}: {_REASONS.get(kind, 'rules have none like it')}")


def _field(name: str) -> str:
    lower = name.lower()
    return {"user-agent": "user_agent", "host": "host"}.get(lower, f"header.{lower}")


def _header(args: tuple[str, ...]) -> Condition | None:
    name = args[0]
    if name.startswith("!"):
        return {_field(name[1:]): "absent"}
    if len(args) == 1:
        return {_field(name): "present"}
    return some(_wildcard(_field(name), text) for text in args[1:])


def _wildcard(field: str, text: str) -> Condition | None:
    """A star at the beginning or the end stands for anything."""
    if text == "*":
        return {field: "present"}
    if not text:
        return {field: ["absent", ""]}
    body = text.strip("*")
    matcher = {(False, False): "", (True, False): "suffix", (False, True): "prefix", (True, True): "contains"}[
        text[0] == "*", text[-1] == "*"
    ]
    if "*" in body or not body:
        raise NotCarried(f"'{text[:60]}' has a * in its middle")
    return {field: {matcher: body}} if matcher else equal(field, [text])


def path_condition(text: str) -> Condition | None:
    """A path as in `path` and in front of a directive: case does not count, `*` is any run of characters."""
    if text in {"*", "/*"}:
        return {}
    body = ".*".join(escaped(part) for part in text.split("*"))
    start = "" if text.startswith("*") else "^"
    end = "" if text.endswith("*") else "$"
    return pattern_condition("path", start + body.removeprefix(".*").removesuffix(".*") + end, ignore_case=True)


def _parameter(text: str) -> Condition | None:
    name, sign, value = text.partition("=")
    if not name:
        return {"query_string": ["absent", ""]}
    if not sign or value == "*":
        return {f"query.{name}": "present"}
    return equal(f"query.{name}", [value])


def _protocol(args: tuple[str, ...]) -> Condition | None:
    text = args[0].lower() if args else ""
    if text in {"http", "https"}:
        return {"scheme": text}
    if text.startswith("http/") and not text.endswith("+"):
        return equal("http_version", [text.removeprefix("http/").replace("2.0", "2")])
    raise NotCarried(f"the protocol '{text[:40]}' is not one that rules know")


def _clients(args: tuple[str, ...]) -> Condition | None:
    words = [word for arg in args if arg != "forwarded" for word in (_PRIVATE if arg == "private_ranges" else (arg,))]
    networks = [network for word in words if (network := network_of(word)) is not None]
    if len(networks) < len(words):
        raise NotCarried("one of its values is not an address")
    return clients(networks)
