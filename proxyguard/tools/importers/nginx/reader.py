"""Walks a configuration of nginx in its order and adds the rules of a draft.

Refusals are `return` with a status of 4xx or 5xx, `deny`, and what the operator names with `--reject`. A `map`, `geo` or `set` by
itself refuses nobody: it becomes part of the conditions of what asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from proxyguard.tools.importers.conditions import ALWAYS, Condition, equal, every, negated, required, some
from proxyguard.tools.importers.draft import Draft, ImportFault, NotCarried, slug
from proxyguard.tools.importers.nginx.access import refused_clients, unknown_exception
from proxyguard.tools.importers.nginx.choices import read_choice
from proxyguard.tools.importers.nginx.limits import LIMITS, Use, Zone, add_limit, read_zones
from proxyguard.tools.importers.nginx.questions import question_of
from proxyguard.tools.importers.nginx.scopes import blocks_in, location_paths, server_hosts
from proxyguard.tools.importers.nginx.syntax import Directive, read_directives
from proxyguard.tools.importers.nginx.variables import Question, Variables
from proxyguard.tools.importers.referers import valid_referer
from proxyguard.tools.importers.refusals import refusal
from proxyguard.tools.importers.sources import Sources

_DEFENCES: Final = {
    "auth_basic": "a log-in", "auth_request": "the answer of another server", "auth_jwt": "a token", "auth_digest": "a log-in",
    "secure_link": "a signed link", "modsecurity": "ModSecurity's rules", "modsecurity_rules_file": "ModSecurity's rules",
    "limit_rate": "a bandwidth", "access_by_lua": "a program in Lua", "access_by_lua_file": "a program in Lua",
    "access_by_lua_block": "a program in Lua", "rewrite_by_lua_block": "a program in Lua", "js_access": "a program in JavaScript",
    "rewrite_by_lua_file": "a program in Lua", "geoip_country": "a country", "geoip2": "a country",
    "ssl_reject_handshake": "the name in the TLS handshake", "testcookie": "a cookie that a script sets",
    "ssl_verify_client": "a certificate of the client", "SecRulesEnabled": "NAXSI's rules",
}  # fmt: skip
"""Directives that refuse or hold back clients, and by what. Rules have none of them."""

_IN_AN_IF: Final = frozenset({"return", "set", "limit_rate", "rewrite"})


class _Place(NamedTuple):
    """Where the walk is: the hosts and paths, what is set there, and what is inherited (statuses, names of the server)."""

    scope: Condition
    label: str
    variables: Variables
    terms: dict[str, str]


def read_nginx(sources: Sources, name: str) -> Draft:
    """A draft of the rules. Raises ImportFault."""
    draft = Draft(name, "What an nginx configuration refuses and limits.")
    root = read_directives(sources, draft)
    _Walk(draft, root, {each.removeprefix("$") for each in sources.refusing}).run()
    if not draft.rules and not draft.notes:
        raise ImportFault("nothing in this file refuses or limits anybody, such as: if ($bad) { return 403; }")
    return draft


class _Walk:
    def __init__(self, draft: Draft, root: Directive, refusing: set[str]) -> None:
        self._draft = draft
        self._root = root
        self._refusing = refusing
        self._zones: dict[str, Zone] = {}

    def run(self) -> None:
        variables = Variables()
        choices = [each for each in self._root.walk() if each.name in {"map", "geo", "split_clients"} and each.block is not None]
        for found in choices:
            read_choice(found, variables, self._draft)
        variables.used.clear()
        self._zones = read_zones(self._root, self._draft)
        self._add_named(variables, choices)
        self._block(self._root, _Place(ALWAYS, "", variables, {}))
        self._note_unused(variables, choices)

    def _add_named(self, variables: Variables, choices: Sequence[Directive]) -> None:
        """Rules for the variables that the operator named. Raises ImportFault."""
        by_name = {found.args[-1].removeprefix("$"): found for found in choices if found.args}
        for name in sorted(self._refusing):
            if name not in by_name:
                raise ImportFault(f"there is no map or geo of ${name} in these files; --reject names one")
            found = by_name[name]
            try:
                when = required(variables.ask(f"${name}", Question("set", "")), f"${name}")
            except NotCarried as error:
                self._draft.note(found.line, f"${name} was left out: {error}", found.file)
                continue
            self._refuse(found, "403", when, slug(name), f"--reject {name}")

    def _note_unused(self, variables: Variables, choices: Sequence[Directive]) -> None:
        made_of = {arg for found in choices for arg in found.args[:-1] if found.args[-1].removeprefix("$") in variables.used}
        for found in choices:
            name = found.args[-1].removeprefix("$") if found.args else ""
            if name in variables.used or name in self._refusing or any(name in source for source in made_of):
                continue
            text = (
                f"the {found.name} of ${name[:60]} was left out: nothing in these files refuses by it, as if (${name[:60]}) "
                f"{{ return 403; }} would, and no limit counts by it. If another file does: --reject {name[:50]}"
            )
            self._draft.note(found.line, text, found.file)

    def _block(self, block: Directive, place: _Place) -> None:
        """The directives of http, server or location, in order; then the blocks in it."""
        terms = dict(place.terms)
        for key, name in (("status", "limit_req_status"), ("dry_run", "limit_req_dry_run"), ("conn_status", "limit_conn_status")):
            terms |= {key: word for found in block.named(name) for word in found.args[:1]}  # noqa: B035 - the last one counts
        if block.name == "server":
            terms["names"] = " ".join(name for found in block.named("server_name") for name in found.args)
        here = place._replace(terms=terms)
        self._access(block, here)
        self._limits(block, here)
        for found in block.block or ():
            self._statement(found, here)
        servers = list(blocks_in(block, "server")) if block.name in {"", "http"} else []
        locations = [found for found in block.named("location") if found.block is not None]
        for found in block.block or ():
            if found.block is None:
                continue
            match found.name:
                case "http":
                    self._block(found, here)
                case "server":
                    self._inner(found, server_hosts(found, servers, self._draft), here, place.label)
                case "location":
                    label = f"{place.label}-{' '.join(found.args)}"
                    self._inner(found, location_paths(found, locations, self._draft), here, label)
                case "limit_except":
                    self._limit_except(found, here)
                case _:
                    pass

    def _inner(self, block: Directive, scope: Condition | None, place: _Place, label: str) -> None:
        both = every([place.scope, scope])
        if both is not None:
            self._block(block, _Place(both, _label(label), place.variables.copy(), place.terms))

    def _statement(self, found: Directive, place: _Place) -> None:
        match found.name:
            case "if" if found.block is not None:
                self._if(found, place)
            case "if":
                self._draft.note(found.line, f"if {' '.join(found.args)[:80]} was left out: no block follows it", found.file)
            case "set" if len(found.args) == 2:
                self._set(found, place, ALWAYS)
            case "valid_referers":
                self._referers(found, place, place.terms.get("names", "").split())
            case "return" if found.args:
                self._refuse(found, found.args[0], place.scope, place.label or "return", "return")
            case name if name in _DEFENCES and found.args[:1] != ("off",):
                self._draft.note(found.line, f"{name} was left out: it goes by {_DEFENCES[name]}", found.file)
            case _:
                pass

    def _referers(self, found: Directive, place: _Place, server_names: Sequence[str]) -> None:
        parts: list[Condition | None] = []
        for arg in found.args:
            try:
                parts += valid_referer(arg, server_names)
            except NotCarried as error:
                self._draft.note(found.line, f"valid_referers: '{arg[:60]}' was left out: {error}", found.file)
        valid = some(parts)
        known = [(valid, "")] if valid is not None else []
        place.variables.chosen["invalid_referer"] = [*known, (ALWAYS, "1")]

    def _set(self, found: Directive, place: _Place, when: Condition) -> None:
        name, value = found.args
        try:
            place.variables.choose(name.strip("${}"), value, when)
        except NotCarried as error:
            self._draft.note(found.line, f"set {name[:60]} was left out: {error}", found.file)

    def _if(self, found: Directive, place: _Place) -> None:
        """`if (…) { … }`: what its block does is done where the condition holds."""
        inner = [each for each in found.block or () if each.name in _IN_AN_IF]
        shown = f"if {' '.join(found.args)}"
        try:
            source, question = question_of(found)
            holds = place.variables.ask(source, question)
        except NotCarried as error:
            if any(each.name == "set" or (each.args and each.args[0][:1] in {"4", "5"}) for each in inner):
                self._draft.note(found.line, f"{shown[:90]} was left out: {error}", found.file)
            return
        if holds is None:
            return
        label = f"{place.label}-{slug(source.strip('${}').removeprefix('http_')) if source.startswith('$') else 'if'}"
        if question.kind == "=" and question.text not in {"", "1", "0"}:
            label += f"-{slug(question.text)}"
        for each in inner:
            if each.name == "set" and len(each.args) == 2:
                self._set(each, place, holds)
            elif each.name == "return" and each.args:
                self._refuse(each, each.args[0], every([place.scope, holds]), label, shown)
            elif each.name == "limit_rate":
                self._draft.note(each.line, "limit_rate was left out: rules do not slow an answer down", each.file)

    def _refuse(self, found: Directive, status: str, when: Condition | None, label: str, why: str) -> None:
        action = refusal(status, self._draft, found.line, found.file)
        if action is None or when is None:
            return
        if not when:
            self._draft.note(found.line, f"{why[:60]} ({status}) was left out: it would refuse every request", found.file)
            return
        self._draft.add(label.strip("-"), f"nginx refuses them with {status}: {why}."[:200], when, action, found.line)

    def _access(self, block: Directive, place: _Place) -> None:
        """`allow` and `deny` in their order; blocks inside that have their own do not inherit them."""
        found = list(block.named("allow", "deny"))
        refused = refused_clients(found, self._draft)
        if refused is None:
            return
        if any(each.args == ("any",) for each in block.named("satisfy")):
            self._draft.note(found[0].line, "deny was left out: satisfy any lets people in who log in", found[0].file)
            return
        unknown = unknown_exception(list(block.named("allow", "deny", "include")))
        if unknown:
            text = f"deny all was left out: whom '{unknown}' lets in is not known"
            self._draft.note(found[0].line, text, found[0].file)
            return
        when = every([place.scope, refused, negated(self._own(block, frozenset({"allow", "deny"})))])
        if when is not None and not when:
            self._draft.note(found[0].line, "deny all was left out: it would refuse every request", found[0].file)
        elif when is not None:
            self._draft.add(f"{place.label}-deny".strip("-"), "nginx denies them.", when, "reject", found[0].line)

    def _own(self, block: Directive, names: frozenset[str]) -> Condition | None:
        """The places inside of a block that have directives of these names of their own."""
        parts: list[Condition | None] = []
        locations = [each for each in block.named("location") if each.block is not None]
        servers = list(blocks_in(block, "server"))
        for each in (*locations, *servers):
            is_location = each.name == "location"
            scope = location_paths(each, locations, self._draft) if is_location else server_hosts(each, servers, self._draft)
            has = any(True for _ in each.named(*names))
            parts.append(scope if has else every([scope, self._own(each, names)]))
        return some(parts)

    def _limits(self, block: Directive, place: _Place) -> None:
        for name in LIMITS:
            found = list(block.named(name))
            scope = every([place.scope, negated(self._own(block, frozenset({name})))]) if found else None
            if scope is None:
                continue
            terms = place.terms if name == "limit_req" else {"status": place.terms.get("conn_status", "503")}
            for each in found:
                add_limit(self._draft, each, self._zones, place.variables, Use(scope, place.label, terms))

    def _limit_except(self, found: Directive, place: _Place) -> None:
        methods = [*found.args, *(["HEAD"] if "GET" in found.args else [])]
        refused = refused_clients(list(found.named("allow", "deny")), self._draft)
        when = every([place.scope, negated(equal("method", methods)), refused])
        if when:
            why = f"nginx's limit_except allows {' '.join(methods)} only."[:200]
            self._draft.add(f"{place.label}-methods", why, when, "reject", found.line)


def _label(text: str) -> str:
    return slug(text)[:40].strip("-") if any(char.isalnum() for char in text) else ""
