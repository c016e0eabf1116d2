"""`limit_req` and `limit_conn` as limits: the zone says per what and how many, the place of use says where and the burst."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from proxyguard.tools.importers.conditions import Condition, every, required
from proxyguard.tools.importers.draft import Draft, NotCarried
from proxyguard.tools.importers.nginx.syntax import Directive
from proxyguard.tools.importers.nginx.variables import Variables, field_of, variables_in
from proxyguard.tools.importers.refusals import refusal

_RATE: Final = re.compile(r"(\d{1,9})r/([sm])")
_UNITS: Final = {"s": "second", "m": "minute"}

_PER: Final = frozenset({"client", "host", "path", "user_agent"})
_OF_NAMES: Final = ("header.", "cookie.", "query.")
_TELL_FEW_APART: Final = frozenset({"hostname", "server_addr", "server_port", "scheme", "https", "request_method"})

LIMITS: Final = ("limit_conn", "limit_req")


class Zone(NamedTuple):
    """`limit_req_zone` or `limit_conn_zone`. `rate` is empty for the latter."""

    line: int
    key: str
    rate: str


def read_zones(root: Directive, draft: Draft) -> dict[str, Zone]:
    """All zones by name."""
    zones: dict[str, Zone] = {}
    for found in root.walk():
        if found.name not in {"limit_req_zone", "limit_conn_zone", "limit_zone"} or not found.args:
            continue
        options = dict(arg.partition("=")[::2] for arg in found.args[1:])
        name, rate = options.get("zone", "").partition(":")[0], options.get("rate", "")
        if found.name == "limit_zone" and len(found.args) == 3:
            zones[found.args[0]] = Zone(found.line, found.args[1], "")
        elif not name or (found.name == "limit_req_zone" and not _RATE.fullmatch(rate)):
            draft.note(found.line, f"{found.name} was left out: it has no zone, or no rate such as 10r/s", found.file)
        else:
            zones[name] = Zone(found.line, found.args[0], rate)
    return zones


class Use(NamedTuple):
    """Where a limit is used. `terms`: `status` and `dry_run` as they are set there."""

    scope: Condition
    label: str
    terms: dict[str, str]


def add_limit(draft: Draft, found: Directive, zones: dict[str, Zone], variables: Variables, use: Use) -> None:
    """A rule for one `limit_req` or `limit_conn`, or one for each kind of key that its zone has."""
    requests = found.name == "limit_req"
    options = dict(arg.partition("=")[::2] for arg in found.args)
    name = options.get("zone", "") if requests else next(iter(found.args), "")
    zone = zones.get(name)
    if zone is None:
        shown = name or " ".join(found.args)
        draft.note(found.line, f"{found.name} {shown[:60]} was left out: its zone is not in these files", found.file)
        return
    for condition, key in variables.values_of(zone.key):
        if not key:
            continue
        try:
            limit = _requests(zone, options) if requests else _concurrent(found)
            limit["per"] = _per(draft, found, key)
            when = required(every([use.scope, condition]), "it")
        except NotCarried as error:
            draft.note(found.line, f"{found.name} {name[:60]} was left out: {error}", found.file)
            continue
        if limit["per"] not in (["site"], ["client"]):
            limit["missing"] = "skip"
        action = refusal(use.terms.get("status", "503"), draft, found.line, found.file) or "reject"
        what = f"at most {zone.rate}" if requests else f"at most {limit['concurrent']} at a time"
        why = f"nginx's {found.name} {name} allows {what}."[:200]
        rule = draft.add(f"{use.label}-{name}".strip("-"), why, when, action, found.line, limit=limit)
        rule.mode = "shadow" if use.terms.get("dry_run") == "on" else None
        if requests:
            _note_pace(draft, found, name, options)


def _requests(zone: Zone, options: dict[str, str]) -> dict[str, Any]:
    """nginx lets one request and the burst through; the burst of a rule is how many may come at once. Raises NotCarried."""
    rate = _RATE.fullmatch(zone.rate)
    burst = options.get("burst", "0")
    if rate is None or not burst.isdigit():
        raise NotCarried("its zone has no rate" if rate is None else f"its burst is '{burst[:20]}'")
    return {"rate": f"{rate[1]}/{_UNITS[rate[2]]}", "burst": str(int(burst) + 1)}


def _concurrent(found: Directive) -> dict[str, Any]:
    if len(found.args) != 2 or not found.args[1].isdigit():
        raise NotCarried("it does not say how many")
    return {"concurrent": found.args[1]}


def _note_pace(draft: Draft, found: Directive, name: str, options: dict[str, str]) -> None:
    if options.get("burst", "0") == "0" or "nodelay" in options:
        return
    first = f"what comes after {options['delay']} at once" if "delay" in options else "the burst"
    draft.note(
        found.line, f"limit_req {name[:60]}: nginx holds {first} back to the rate; here the burst passes at once", found.file
    )


def _per(draft: Draft, found: Directive, key: str) -> list[str]:
    """What the counters are kept by. Raises NotCarried."""
    parts: list[str] = []
    for name in variables_in(key):
        if name in _TELL_FEW_APART:
            draft.note(found.line, f"${name} in the key of a zone was left out: it tells few clients apart", found.file)
        elif name == "server_name":
            parts.append("host")
        elif name in {"request_uri", "request"}:
            draft.note(found.line, f"${name} in the key of a zone became the path, without the query", found.file)
            parts.append("path")
        else:
            parts.append(field_of(name))
    unknown = [part for part in parts if part not in _PER and not part.startswith(_OF_NAMES)]
    if unknown:
        raise NotCarried(f"limits do not count per {unknown[0]}")
    return list(dict.fromkeys(parts)) or ["site"]
