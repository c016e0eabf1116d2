"""Blocks that choose a variable: `map` and `geo`. Each becomes a list of decisions."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final

from proxyguard.tools.importers.conditions import ALWAYS, Condition, some
from proxyguard.tools.importers.draft import Draft, NotCarried
from proxyguard.tools.importers.networks import Network, clients, network_of
from proxyguard.tools.importers.nginx.syntax import Directive
from proxyguard.tools.importers.nginx.variables import Decision, Question, Variables, entry_condition, field_of, variables_in

_HOST_AND_PATH: Final = re.compile(r"\$\{?(?:host|http_host)\}?\$\{?(?:uri|document_uri|request_uri)\}?")


def read_choice(found: Directive, variables: Variables, draft: Draft) -> None:
    """Add the variable that a block chooses; a note on each line that cannot be read."""
    if found.name == "map" and len(found.args) == 2:
        name, decisions = found.args[1], _map(found, variables, draft)
    elif found.name == "geo" and found.args:
        name, decisions = found.args[-1], _geo(found, draft)
    else:
        draft.note(found.line, f"{found.name} was left out: rules do not draw lots", found.file)
        return
    variables.chosen[name.removeprefix("$")] = decisions


def _map(found: Directive, variables: Variables, draft: Draft) -> list[Decision]:
    """nginx looks at exact texts first, then at patterns in order; else the default, which is empty when there is none."""
    default, has_hostnames = "", False
    exact: list[tuple[Directive, str]] = []
    patterns: list[tuple[Directive, str]] = []
    for line in found.block or ():
        if line.name in {"hostnames", "volatile"} and not line.args:
            has_hostnames = has_hostnames or line.name == "hostnames"
        elif line.name == "include":
            pass  # one that was not followed, and is named where it was read
        elif len(line.args) != 1:
            draft.note(line.line, f"'{line.name[:60]}' is not a line of a map: it has {len(line.args) + 1} parts", line.file)
        elif line.name == "default":
            default = line.args[0]
        else:
            (patterns if line.name.startswith("~") else exact).append((line, line.args[0]))
    decisions: list[Decision] = []
    for value, run in groupby([*exact, *patterns], key=lambda each: each[1]):
        condition = some(_entry(found, line, variables, draft, hostnames=has_hostnames) for line, _ in run)
        if condition is not None:
            decisions.append((condition, value))
    return [*decisions, (ALWAYS, default)]


def _entry(found: Directive, line: Directive, variables: Variables, draft: Draft, *, hostnames: bool) -> Condition | None:
    source, text = found.args[0], line.name
    try:
        if text.startswith("~"):
            kind, pattern = ("~*", text[2:]) if text.startswith("~*") else ("~", text[1:])
            return variables.ask(source, Question(kind, pattern))
        text = text.removeprefix("\\")
        if _HOST_AND_PATH.fullmatch(source):
            return _host_and_path(text)
        names = variables_in(source)
        is_field = len(names) == 1 and names[0] not in variables.chosen and source.strip("${}") == names[0]
        if is_field and names[0] != "request_uri":
            field = field_of(names[0])
            return host_condition(text) if hostnames and field == "host" else entry_condition(field, text)
        return variables.ask(source, Question("=", text))
    except NotCarried as error:
        draft.note(line.line, f"'{line.name[:60]}' in the map {found.args[1]} was left out: {error}", line.file)
        return None


def _host_and_path(text: str) -> Condition | None:
    host, slash, path = text.partition("/")
    if not host or not slash or "?" in path:
        raise NotCarried("a host and a path are compared one at a time")
    return {"host": host.lower(), "path": f"/{path}"}


def host_condition(name: str) -> Condition:
    """A name as in server_name: exact, `*.x`, `.x`, `x.*`. Raises NotCarried."""
    text = name.lower()
    if text.startswith("."):
        return {"host": [text[1:], {"suffix": text}]}
    if text.startswith("*.") and "*" not in text[1:]:
        return {"host": {"suffix": text[1:]}}
    if text.endswith(".*") and "*" not in text[:-1]:
        return {"host": {"prefix": text[:-1]}}
    if "*" in text:
        raise NotCarried(f"the name '{name[:60]}' has a * in its middle")
    return {"host": text}


def _geo(found: Directive, draft: Draft) -> list[Decision]:
    """The longest network that has the address decides."""
    name = found.args[-1]
    if len(found.args) == 2 and found.args[0] not in {"$remote_addr", "$realip_remote_addr"}:
        draft.note(found.line, f"geo {name} reads {found.args[0]}: it was taken for the client's address", found.file)
    default = ""
    by_network: dict[Network, str] = {}
    for line in found.block or ():
        network = network_of(line.args[0] if line.name == "delete" and line.args else line.name)
        if line.name == "default" and line.args:
            default = line.args[0]
        elif line.name == "delete" and network is not None:
            by_network.pop(network, None)
        elif line.name in {"proxy", "proxy_recursive"}:
            draft.note(line.line, "proxy in geo: the setting trust.proxies says whose X-Forwarded-For counts", line.file)
        elif line.name == "include":
            pass  # as in a map
        elif network is None or len(line.args) != 1:
            draft.note(line.line, f"'{line.name[:60]}' in geo {name} was left out: it is not a network with a value", line.file)
        else:
            by_network[network] = line.args[0]
    return [*_longest_first(by_network), (ALWAYS, default)]


def _longest_first(by_network: dict[Network, str]) -> list[Decision]:
    """One decision a value where no network lies in one of another value, else in runs, the longest networks first."""
    ordered = sorted(by_network.items(), key=lambda each: -each[0].prefixlen)
    if not _overlaps(by_network):
        ordered.sort(key=lambda each: each[1])
    decisions = []
    for value, run in groupby(ordered, key=lambda each: each[1]):
        condition = clients([network for network, _ in run])
        if condition is not None:
            decisions.append((condition, value))
    return decisions


def _overlaps(by_network: dict[Network, str]) -> bool:
    """Whether a network lies in one that has another value."""
    for network, value in by_network.items():
        around = network
        while around.prefixlen:
            around = around.supernet()
            if by_network.get(around, value) != value:
                return True
    return False
