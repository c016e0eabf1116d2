"""Walks Caddyfiles site by site and adds the rules of a draft."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from proxyguard.tools.importers.caddy.matchers import matcher_condition, path_condition
from proxyguard.tools.importers.caddy.syntax import ConfigLine, read_lines
from proxyguard.tools.importers.conditions import ALWAYS, Condition, every, negated, some
from proxyguard.tools.importers.draft import Draft, ImportFault, NotCarried, Plain, not_carried, slug
from proxyguard.tools.importers.nginx.choices import host_condition
from proxyguard.tools.importers.refusals import refusal
from proxyguard.tools.importers.sources import Sources

_DEFENCES: Final = {
    "basic_auth": "a log-in", "basicauth": "a log-in", "forward_auth": "the answer of another server", "authenticate": "a log-in",
    "authorize": "a token", "defender": "address ranges of providers that it fetches", "crowdsec": "CrowdSec's decisions",
    "coraza_waf": "Coraza's rules", "appsec": "CrowdSec's rules", "geoip": "a country", "request_body": "the size of bodies",
    "jwt": "a token",
}  # fmt: skip
_SCOPES: Final = frozenset({"handle", "route", "handle_path"})
_REFUSING: Final = frozenset({"respond", "abort", "error"})
_ANSWERING: Final = (
    "redir", "handle", "handle_path", "route", "abort", "error", "respond", "reverse_proxy", "php_fastcgi", "file_server",
)  # fmt: skip
"""Directives that answer, in the order in which Caddy takes them outside of a route."""

_KEYS: Final = {
    "{remote_host}": "client", "{http.request.remote.host}": "client", "{client_ip}": "client", "{remote}": "client",
    "{http.request.client_ip}": "client", "{host}": "host", "{http.request.host}": "host", "{path}": "path",
    "{http.request.uri.path}": "path", "{remote_ip}": "client", "{http.vars.client_ip}": "client",
}  # fmt: skip
_DURATION: Final = re.compile(r"\d+(?:\.\d+)?(?:ms|s|m|h|d)")


class _Place(NamedTuple):
    scope: Condition
    label: str
    matchers: dict[str, ConfigLine]


def read_caddy(sources: Sources, name: str) -> Draft:
    """A draft of the rules. Raises ImportFault."""
    draft = Draft(name, "What a Caddyfile refuses and limits.")
    lines = read_lines(sources, draft)
    walk = _Walk(draft)
    loose = [
        line
        for line in lines
        if line.block is None or line.name.startswith("@") or line.name in _REFUSING | _SCOPES | _DEFENCES.keys() | {"rate_limit"}
    ]
    for line in lines:
        if line not in loose and line.block is not None and line.words:
            walk.site(line)
    walk.block(loose, _Place(ALWAYS, "", {}))
    if not draft.rules and not draft.notes:
        raise ImportFault("nothing in this file refuses anybody, such as: respond @bad 403")
    return draft


@dataclass(slots=True)
class _SoFar:
    """What directives of a block have taken: scopes that exclude each other, and requests that have an answer."""

    handled: list[Condition | None] = field(default_factory=list)
    answered: list[Condition | None] = field(default_factory=list)
    unknown: str = ""
    """A directive before it that answers requests which are not known."""


def _rank(line: ConfigLine) -> tuple[int, int, bool]:
    """Its place in Caddy's order: by directive, and those without a matcher last."""
    if line.name not in _ANSWERING:
        return 0, 0, False
    kind = "handle" if line.name == "handle_path" else line.name
    return 1, _ANSWERING.index(kind), not _has_matcher(line)


def _has_matcher(line: ConfigLine) -> bool:
    return bool(line.words[1:]) and line.words[1][:1] in {"@", "/"}


class _Walk:
    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def site(self, line: ConfigLine) -> None:
        """`HOST, HOST { … }`."""
        parts: list[Condition | None] = []
        for word in " ".join(line.words).replace(",", " ").split():
            host = re.sub(r"^\w+://", "", word).partition("/")[0].partition(":")[0]
            try:
                parts.append(host_condition(host) if host and "{" not in host and host not in {"localhost", "*"} else ALWAYS)
            except NotCarried as error:
                self._draft.note(line.number, f"the site {word[:60]} was left out: {error}", line.file)
        hosts = some(parts)
        if hosts is not None:
            self.block(line.block or (), _Place(hosts, "", {}))

    def block(self, lines: Sequence[ConfigLine], place: _Place, *, in_order: bool = False) -> None:
        """The directives of a site or a scope in the order in which Caddy takes them; `in_order`: as they stand."""
        matchers = place.matchers | {line.name: line for line in lines if line.name.startswith("@")}
        here = place._replace(matchers=matchers)
        so_far = _SoFar()
        for line in lines if in_order else sorted(lines, key=_rank):
            try:
                self._line(line, here, so_far)
            except NotCarried as error:
                if any(each.name in _REFUSING | {"rate_limit"} for each in line.walk()):
                    self._draft.note(line.number, f"{' '.join(line.words)[:80]} was left out: {error}", line.file)
                elif line.name in _ANSWERING:
                    so_far.unknown = so_far.unknown or " ".join(line.words)[:60]

    def _line(self, line: ConfigLine, place: _Place, so_far: _SoFar) -> None:
        name = line.name
        if name in _REFUSING:
            self._refuse(line, place, so_far)
        elif name in _SCOPES and line.block is not None:
            scope, _, label = self._matched(line, place)
            others = so_far.answered if name == "route" else [*so_far.answered, *so_far.handled]
            both = every([place.scope, scope, negated(some(others))])
            if both is not None:
                inner = _Place(both, f"{place.label}-{label}".strip("-"), place.matchers)
                self.block(line.block, inner, in_order=name == "route")
            if name != "route":
                so_far.handled.append(scope)
            if any(each.name in _ANSWERING and not _has_matcher(each) for each in line.block):
                so_far.answered.append(scope)
        elif name == "rate_limit":
            self._rate_limit(line, place)
        elif name in _DEFENCES:
            self._draft.note(line.number, f"{name} was left out: it goes by {_DEFENCES[name]}", line.file)
        elif name in _ANSWERING:
            so_far.answered.append(self._matched(line, place)[0])

    def _matched(self, line: ConfigLine, place: _Place) -> tuple[Condition | None, tuple[str, ...], str]:
        """The condition of a directive's matcher, the words after it, and a name for it. Raises NotCarried."""
        first = line.words[1] if len(line.words) > 1 else ""
        if first.startswith("@"):
            found = place.matchers.get(first)
            if found is None:
                raise NotCarried(f"the matcher {first[:60]} is not in this file")
            inner = list(found.block) if found.block is not None else [ConfigLine(found.number, found.file, found.words[1:])]
            return matcher_condition(inner), line.words[2:], first[1:]
        if first.startswith("/") or first == "*":
            return path_condition(first), line.words[2:], slug(first)[:30] if first not in {"*", "/*"} else ""
        return ALWAYS, line.words[1:], ""

    def _refuse(self, line: ConfigLine, place: _Place, so_far: _SoFar) -> None:
        """`respond [MATCHER] [BODY] STATUS`, `error [MATCHER] [TEXT] STATUS`, `abort [MATCHER]`."""
        words = line.words[2:] if len(line.words) > 1 and line.words[1][:1] in {"@", "/", "*"} else line.words[1:]
        action: Plain | None = "drop"
        status = "444"
        if line.name != "abort":
            numbers = [word for word in words if word.isdigit() and len(word) == 3]
            if not numbers and words and words[-1].startswith("{"):
                not_carried(f"its status is '{words[-1][:40]}'")
            status = numbers[-1] if numbers else ("500" if line.name == "error" else "200")
            action = refusal(status, self._draft, line.number, line.file)
            closes = any(each.name == "close" for each in line.block or ())
            if action is not None and closes:
                self._draft.note(
                    line.number, "close in respond was left out: a refusal ends the request, not the connection", line.file
                )
        scope, _, label = self._matched(line, place)
        if action is None:
            so_far.answered += [scope] if status[0] not in "45" else []
            return
        if scope == ALWAYS and so_far.unknown:
            not_carried(f"whom '{so_far.unknown}' answers before it is not known")
        when = every([place.scope, scope, negated(some(so_far.answered))])
        shown = " ".join(line.words)[:120]
        if when is not None and not when:
            self._draft.note(line.number, f"{shown[:60]} was left out: it would refuse every request", line.file)
        elif when is not None:
            self._draft.add(
                f"{place.label}-{label or line.name}".strip("-"), f"Caddy refuses them: {shown}.", when, action, line.number
            )

    def _rate_limit(self, line: ConfigLine, place: _Place) -> None:
        """caddy-ratelimit: `zone NAME { match { … } key K  events N  window T }`."""
        scope, _, _ = self._matched(line, place)
        zones = [zone for zone in line.block or () if zone.name == "zone" and zone.block is not None]
        if not zones or len(zones) < sum(each.name == "zone" for each in line.block or ()):
            self._draft.note(line.number, "rate_limit was left out in part: what is read is zone NAME { … }", line.file)
        for zone in zones:
            label = zone.words[1] if len(zone.words) > 1 else "zone"
            options = {each.name: each.words[1:] for each in zone.block or ()}
            matched = [each for each in zone.block or () if each.name == "match"]
            try:
                if any(each.block is None for each in matched):
                    not_carried("its match has no block")
                inner = every(matcher_condition(each.block or ()) for each in matched)
                when = every([place.scope, scope, inner])
                limit = _limit(options)
            except NotCarried as error:
                self._draft.note(zone.number, f"the zone {label[:60]} was left out: {error}", zone.file)
                continue
            if when is not None:
                why = f"Caddy's zone {label} allows {limit['rate']}."[:200]
                self._draft.add(f"{place.label}-{label}".strip("-"), why, when, "reject", zone.number, limit=limit)
                self._draft.note(
                    zone.number,
                    f"the zone {label[:60]} is a sliding window: a rule lets the number through at once, and as many evenly",
                    zone.file,
                )


def _limit(options: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """The limit of a zone. Raises NotCarried."""
    events, window = (next(iter(options.get(name, ())), "") for name in ("events", "window"))
    if not events.isdigit() or not int(events) or not _DURATION.fullmatch(window):
        raise NotCarried("it has no events and window that are plain numbers")
    keys = re.findall(r"\{[^}]*\}", " ".join(options.get("key", ())))
    parts: list[str] = []
    for key in keys:
        header = re.fullmatch(r"\{(?:http\.request\.)?(header|cookie)\.([\w-]+)\}", key)
        if header is None and key not in _KEYS:
            raise NotCarried(f"limits do not count per {key[:40]}")
        name = f"cookie.{header[2]}" if header and header[1] == "cookie" else f"header.{header[2].lower()}" if header else ""
        parts.append({"header.user-agent": "user_agent"}.get(name, name) or _KEYS[key])
    return {"rate": f"{events}/{window}", "per": list(dict.fromkeys(parts)) or ["site"]}
