"""Walks `.htaccess` and virtual hosts of Apache in their order and adds the rules of a draft."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import translate
from typing import Any, Final, NamedTuple

from proxyguard.tools.importers.apache.access import refused_by_order, refused_by_require
from proxyguard.tools.importers.apache.rewriting import Rewriting
from proxyguard.tools.importers.apache.syntax import Entry, read_entries
from proxyguard.tools.importers.apache.variables import Environment, attribute_condition
from proxyguard.tools.importers.conditions import ALWAYS, Condition, equal, every, negated, some
from proxyguard.tools.importers.draft import Draft, ImportFault, NotCarried, slug
from proxyguard.tools.importers.networks import clients, network_of
from proxyguard.tools.importers.nginx.choices import host_condition
from proxyguard.tools.importers.patterns import alternatives, pattern_condition
from proxyguard.tools.importers.refusals import refusal
from proxyguard.tools.importers.sources import Sources

_TRANSPARENT: Final = frozenset({"ifmodule", "ifdefine", "ifversion"})
_GONE: Final = {"gone": "410"}
_DEFENCES: Final = {
    "authtype": "a log-in", "secrule": "ModSecurity's rules", "secruleengine": "ModSecurity's rules", "geoipenable": "a country",
    "setenvifexpr": "an expression", "qs_srvmaxconn": "connections of all clients", "requestreadtimeout": "slow requests",
    "limitrequestbody": "the size of bodies", "secaction": "ModSecurity's rules", "ratelimit": "a bandwidth",
}  # fmt: skip
_EVASIVE: Final = {
    "dospagecount": "2",
    "dossitecount": "50",
    "dospageinterval": "1",
    "dossiteinterval": "1",
    "dosblockingperiod": "10",
}
"""mod_evasive's settings and what they are when they are left out."""


class _Place(NamedTuple):
    """`document_root`: the folder of the site, for <Directory>."""

    scope: Condition
    label: str
    environment: Environment
    in_folder: bool
    document_root: str


def read_apache(sources: Sources, name: str) -> Draft:
    """A draft of the rules. Raises ImportFault."""
    draft = Draft(name, "What an Apache configuration refuses and limits.")
    root = read_entries(sources.text, draft)
    roots = [entry.args[0] for entry in root.walk() if entry.name == "documentroot" and entry.args]
    has_hosts = any(entry.name == "virtualhost" for entry in root.walk())
    _Walk(draft).section(root.inner or [], _Place(ALWAYS, "", {}, not has_hosts, roots[0] if len(set(roots)) == 1 else ""))
    _add_evasive(draft, root)
    if not draft.rules and not draft.notes:
        raise ImportFault("nothing in this file refuses anybody, such as: RewriteRule .* - [F], Deny from, Require not ip")
    return draft


class _Walk:
    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def section(self, entries: Sequence[Entry], place: _Place) -> None:
        """The directives of one section in order, then who is let in, then the sections in it."""
        flat = list(_flat(entries))
        rewriting = self._rewriting(flat, place)
        for entry in flat:
            if entry.inner is None:
                self._directive(entry, place, rewriting)
        self._access(flat, place)
        for entry in flat:
            if entry.inner is not None:
                self._inner(entry, place)

    def _rewriting(self, entries: Sequence[Entry], place: _Place) -> Rewriting:
        """The state of its RewriteRules: switched off, or about the folder that a RewriteBase names."""
        found = Rewriting(self._draft, place.scope, place.environment, place.in_folder, place.label)
        for entry in entries:
            if entry.name == "rewritebase" and place.in_folder and entry.args[:1] and entry.args[0].strip("/"):
                found.base = f"/{entry.args[0].strip('/')}"
                self._draft.note(
                    entry.line, f"RewriteBase {found.base[:60]}: the RewriteRules were taken for those of this folder"
                )
            if entry.name == "rewriteengine" and entry.args:
                found.is_off = entry.args[0].lower() == "off"
        return found

    def _directive(self, entry: Entry, place: _Place, rewriting: Rewriting) -> None:
        match entry.name:
            case "rewritecond":
                rewriting.conditions.append(entry)
            case "rewriterule":
                rewriting.add_rule(entry)
            case "setenvif" | "setenvifnocase" | "browsermatch" | "browsermatchnocase":
                self._set(entry, place)
            case "redirect" | "redirectmatch":
                self._redirect(entry, place)
            case "maxconnperip" | "qs_srvmaxconnperip" if entry.args and entry.args[0].isdigit() and entry.args[0] != "0":
                limit = {"concurrent": entry.args[0], "per": ["client"]}
                why = f"Apache's {entry.name} allows so many connections."
                self._draft.add(f"{place.label}-connections".strip("-"), why, place.scope, "reject", entry.line, limit=limit)
                self._draft.note(entry.line, f"{entry.name} counts connections; the rule counts requests under way")
            case name if name in _DEFENCES or name.startswith(("qs_", "sec")):
                why = _DEFENCES.get(name, "what rules do not know")
                self._draft.note(entry.line, f"{entry.name} {' '.join(entry.args)[:40]} was left out: it goes by {why}")
            case "include" | "includeoptional":
                self._draft.note(entry.line, f"not followed: {entry.name} {' '.join(entry.args)[:80]}: import that file too")
            case _:
                pass

    def _set(self, entry: Entry, place: _Place) -> None:
        """SetEnvIf ATTRIBUTE PATTERN [!]NAME[=VALUE] …, BrowserMatch PATTERN …"""
        args = ("User-Agent", *entry.args) if entry.name.startswith("browsermatch") else entry.args
        if len(args) < 3:
            return
        try:
            ignore_case = entry.name.endswith("nocase")
            when = attribute_condition(args[0], args[1], place.environment, ignore_case=ignore_case)
        except NotCarried as error:
            self._draft.note(entry.line, f"{entry.name} {args[0]} {args[1][:50]} was left out: {error}")
            for word in args[2:]:
                place.environment.setdefault(word.partition("=")[0].removeprefix("!"), None)
            return
        for word in args[2:]:
            name = word.partition("=")[0]
            bare = name.removeprefix("!")
            known = place.environment.get(bare)
            place.environment[bare] = every([known, negated(when)]) if name.startswith("!") else some([known, when])

    def _redirect(self, entry: Entry, place: _Place) -> None:
        """`Redirect 403 /path`, `RedirectMatch 404 pattern`."""
        if len(entry.args) < 2:
            return
        status = _GONE.get(entry.args[0].lower(), entry.args[0])
        action = refusal(status, self._draft, entry.line)
        if action is None:
            return
        try:
            text = entry.args[1]
            path = pattern_condition("path", text) if entry.name == "redirectmatch" else _prefix(text)
            self._add(entry, f"{place.label}-{slug(text)[:30]}", every([place.scope, path]), action, f"{entry.name} {status}")
        except NotCarried as error:
            self._draft.note(entry.line, f"{entry.name} {entry.args[1][:50]} was left out: {error}")

    def _access(self, entries: Sequence[Entry], place: _Place) -> None:
        for reader, names in ((refused_by_order, ("order", "deny", "allow")), (refused_by_require, ("require",))):
            first = next((entry for entry in entries if entry.name.startswith(names)), None)
            if first is None:
                continue
            if any(entry.name == "satisfy" and entry.args[:1] in (("any",), ("Any",)) for entry in entries):
                self._draft.note(first.line, f"{first.name} was left out: Satisfy Any lets people in who log in")
                continue
            try:
                refused = reader(entries, place.environment, self._draft)
                when = every([place.scope, refused, negated(self._own(entries, names, place))])
                self._add(first, f"{place.label}-denied", when, "reject", first.name)
            except NotCarried as error:
                self._draft.note(first.line, f"{first.name} {' '.join(first.args)[:60]} was left out: {error}")

    def _own(self, entries: Sequence[Entry], names: tuple[str, ...], place: _Place) -> Condition | None:
        """The sections that say themselves who is let in, and so do not inherit it."""
        parts: list[Condition | None] = []
        for entry in entries:
            inner = _flat(entry.inner or [])
            if entry.name.startswith(("require", "limit")) or not any(each.name.startswith(names) for each in inner):
                continue
            try:
                parts.append(self._scope(entry, place)[0])
            except NotCarried:
                continue  # named where the section is read
        return some(parts)

    def _add(self, entry: Entry, label: str, when: Condition | None, action: Any, what: str) -> None:
        if when is None:
            return
        if not when:
            self._draft.note(entry.line, f"{what} was left out: it would refuse every request")
            return
        self._draft.add(label.strip("-"), f"Apache refuses them: {what}."[:200], when, action, entry.line)

    def _inner(self, entry: Entry, place: _Place) -> None:
        if entry.name.startswith("require"):
            return
        inner = entry.inner or []
        try:
            scope, in_folder = self._scope(entry, place)
        except NotCarried as error:
            if any(each.name in {"deny", "require", "rewriterule", "order"} for each in entry.walk()):
                self._draft.note(entry.line, f"<{entry.name} {' '.join(entry.args)[:60]}> was left out: {error}")
            return
        both = every([place.scope, scope])
        if both is None:
            return
        label = place.label if entry.name == "virtualhost" else f"{place.label}-{' '.join(entry.args)}"
        environment = dict(place.environment)
        roots = [each.args[0] for each in inner if each.name == "documentroot" and each.args]
        root = roots[0] if roots else place.document_root
        self.section(inner, _Place(both, _label(label), environment, in_folder, root))

    def _scope(self, entry: Entry, place: _Place) -> tuple[Condition | None, bool]:
        """What a section is about, and whether patterns in it see the path without its first slash. Raises NotCarried."""
        args = entry.args
        text = args[-1] if args else ""
        match entry.name:
            case "virtualhost":
                names = [
                    name for each in entry.inner or () if each.name in {"servername", "serveralias"} for word in each.args
                    for name in [word.partition("://")[2] or word]
                ]  # fmt: skip
                return some(host_condition(name.partition(":")[0]) for name in names) if names else ALWAYS, False
            case "location" if args[:1] != ("~",):
                return _prefix(text) if text not in {"/", "*"} else ALWAYS, False
            case "location" | "locationmatch":
                return pattern_condition("path", text), False
            case "directory" | "directorymatch":
                return self._folder(entry, text, place), True
            case "files" if args[:1] != ("~",):
                pattern = (
                    translate(text).removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")
                    if "*" in text
                    else re.escape(text)
                )
                return (ALWAYS if text == "*" else pattern_condition("path", f"/{pattern}$")), True
            case "files" | "filesmatch":
                return pattern_condition("path", _of_file(text)), True
            case "limit":
                return equal("method", [word.upper() for word in args]), place.in_folder
            case "limitexcept":
                return negated(equal("method", [word.upper() for word in args])), place.in_folder
            case _:
                raise NotCarried("rules know no such section")

    def _folder(self, entry: Entry, text: str, place: _Place) -> Condition | None:
        root = place.document_root.rstrip("/")
        folder = text.rstrip("/*")
        if entry.name == "directory" and root and folder == root:
            return ALWAYS
        if entry.name == "directory" and root and folder.startswith(f"{root}/"):
            return {"path": {"prefix": folder.removeprefix(root) + "/"}}
        raise NotCarried("rules do not know which paths its files have")


def _flat(entries: Sequence[Entry]) -> list[Entry]:
    """The entries, with those of <IfModule> and the like in their places."""
    found: list[Entry] = []
    for entry in entries:
        found += _flat(entry.inner or []) if entry.name in _TRANSPARENT else [entry]
    return found


def _prefix(path: str) -> Condition:
    """A path and what is below it."""
    return {"path": {"prefix": path}} if path.endswith("/") else {"path": [path, {"prefix": f"{path}/"}]}


def _of_file(pattern: str) -> str:
    """A pattern for the name of a file as one for the path: what follows the last slash."""
    if re.search(r"[|(]\^", pattern):  # some alternatives begin where the name does, and others do not
        return "|".join(_of_file(part) if part != pattern else part.replace("^", "/") for part in alternatives(pattern))
    pattern = re.sub(r"(?<!\\)\.(?=[*+])", "[^/]", pattern)
    start = "/" + pattern[1:] if pattern.startswith("^") else pattern
    if pattern.startswith("^(") and pattern.endswith(")") and "|" in pattern:
        start = "/(?:" + pattern[1:] + ")"
    return start if pattern.endswith(("$", "$)")) else f"{start}[^/]*$"


def _label(text: str) -> str:
    return slug(text)[:40].strip("-") if any(char.isalnum() for char in text) else ""


def _add_evasive(draft: Draft, root: Entry) -> None:
    """mod_evasive: so many requests for one page, and for all pages, within an interval; then a ban."""
    found = {entry.name: (entry.line, entry.args[0]) for entry in root.walk() if entry.name.startswith("dos") and entry.args}
    if not found.keys() & _EVASIVE.keys():
        return
    values = {name: found.get(name, (0, default))[1] for name, default in _EVASIVE.items()}
    line = min(number for number, _ in found.values())
    if not all(value.isdigit() and int(value) for value in values.values()):
        draft.note(line, "mod_evasive was left out: one of its settings is not a number")
        return
    trusted = [
        network
        for each in root.walk()
        if each.name == "doswhitelist"
        for word in each.args
        if (network := network_of(word.replace(".*", "")))
    ]
    when = negated(clients(trusted)) or {}
    for kind, per in (("page", ["client", "path"]), ("site", ["client"])):
        count, interval = values[f"dos{kind}count"], values[f"dos{kind}interval"]
        limit = {"rate": f"{count}/{interval}s", "per": per}
        why = f"mod_evasive bans who asks more than {count} times in {interval} s for {'a page' if kind == 'page' else 'pages'}."
        draft.add(f"evasive-{kind}", why, when, {"ban": {"for": f"{values['dosblockingperiod']}s"}}, line, limit=limit)
    draft.note(
        line, "mod_evasive counts in windows: a rule lets up to twice as many through in one interval; see the porting table"
    )
