"""Who is refused by Require and its sections, and by Order, Allow and Deny."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxyguard.tools.importers.apache.syntax import Entry
from proxyguard.tools.importers.apache.variables import Environment, addresses, environment_condition
from proxyguard.tools.importers.conditions import ALWAYS, Condition, equal, every, negated, some
from proxyguard.tools.importers.draft import Draft, NotCarried

_SECTIONS: Final = frozenset({"requireall", "requireany", "requirenone"})


def refused_by_require(entries: Sequence[Entry], environment: Environment, draft: Draft) -> Condition | None:
    """Whom Require and its sections refuse. Raises NotCarried when it cannot be said who is let in."""
    found = [entry for entry in entries if entry.name == "require" or entry.name in _SECTIONS]
    return negated(_any(found, environment, draft)) if found else None


def _any(entries: Sequence[Entry], environment: Environment, draft: Draft) -> Condition | None:
    """Who is let in when one is enough. Require not alone lets nobody in, and is no reason by itself."""
    return some(_allowed(entry, environment, draft) for entry in entries if not _is_not(entry) or len(entries) == 1)


def _is_not(entry: Entry) -> bool:
    return entry.name == "require" and entry.args[:1] == ("not",)


def _allowed(entry: Entry, environment: Environment, draft: Draft) -> Condition | None:
    inner = [each for each in entry.inner or () if each.name == "require" or each.name in _SECTIONS]
    match entry.name:
        case "requireany":
            return _any(inner, environment, draft)
        case "requirenone":
            return negated(some(_allowed(each, environment, draft) for each in inner))
        case "requireall":
            parts: list[Condition | None] = []
            for each in inner:
                try:
                    parts.append(_allowed(each, environment, draft))
                except NotCarried as error:
                    draft.note(each.line, f"{_shown(each)} was left out: {error}")
            return every(parts)
        case _:
            return _one(entry, environment)


def _one(entry: Entry, environment: Environment) -> Condition | None:
    words = entry.args
    is_not = words[:1] == ("not",)
    kind, values = ([*words[is_not:], ""][0].lower(), words[1 + is_not :])
    match kind:
        case "all":
            holds: Condition | None = ALWAYS if values[:1] == ("granted",) else None
        case "ip":
            holds = addresses(values, environment)
        case "env":
            holds = some(environment_condition(name, environment) for name in values)
        case "method":
            holds = equal("method", [value.upper() for value in values])
        case "local":
            holds = {"client": ["127.0.0.0/8", "::1"]}
        case "valid-user" | "user" | "group" | "file-owner" | "ldap-user" | "ldap-group":
            raise NotCarried("it asks for a log-in")
        case "host" | "forward-dns":
            raise NotCarried("rules do not look names of addresses up")
        case _:
            raise NotCarried(f"rules know no '{kind[:40]}'")
    return negated(holds) if is_not else holds


def _shown(entry: Entry) -> str:
    return f"{entry.name} {' '.join(entry.args)}"[:80]


def refused_by_order(entries: Sequence[Entry], environment: Environment, draft: Draft) -> Condition | None:
    """Whom Order, Allow from and Deny from refuse (mod_access_compat). Raises NotCarried."""
    order = [entry.args[0].lower().replace(" ", "") for entry in entries if entry.name == "order" and entry.args]
    allowed: list[Condition | None] = []
    denied: list[Condition | None] = []
    found = False
    for entry in entries:
        if entry.name not in {"allow", "deny"}:
            continue
        found = True
        words = entry.args[1:] if entry.args[:1] and entry.args[0].lower() == "from" else entry.args
        for word in words:
            try:
                (allowed if entry.name == "allow" else denied).append(addresses((word,), environment))
            except NotCarried as error:
                if entry.name == "allow":
                    raise
                draft.note(entry.line, f"deny from {word[:60]} was left out: {error}")
    if not found and not order:
        return None
    if order[-1:] in (["allow,deny"], ["mutual-failure"]):
        return some([some(denied), negated(some(allowed))])
    return every([some(denied), negated(some(allowed))])
