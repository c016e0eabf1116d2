"""Walks a configuration of HAProxy section by section and adds the rules of a draft."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from proxyguard.tools.importers.conditions import ALWAYS, Condition, every, negated, some
from proxyguard.tools.importers.draft import Draft, ImportFault, NotCarried, Plain, slug
from proxyguard.tools.importers.haproxy.expressions import Case, cases_of
from proxyguard.tools.importers.haproxy.terms import Rate
from proxyguard.tools.importers.refusals import refusal
from proxyguard.tools.importers.sources import Sources

_SECTIONS: Final = frozenset({"frontend", "backend", "listen", "defaults", "global", "peers", "resolvers", "userlist", "cache",
                              "program", "http-errors", "mailers", "ring", "log-forward", "crt-store", "traces"})  # fmt: skip
_REFUSING: Final = frozenset({"http-request", "tcp-request", "block", "reqideny", "reqdeny", "reqtarpit", "reqitarpit"})
"""What begins the lines that may refuse somebody."""

_ELSEWHERE: Final = {
    "http-response deny": "the answer", "http-response reject": "the answer", "http-response return": "the answer",
    "http-response silent-drop": "the answer", "filter spoe": "what another program says",
    "http-request use-service": "a service of HAProxy's", "http-request send-spoe-group": "what another program says",
}  # fmt: skip
"""Lines that may refuse somebody by what rules do not have."""

_WORD: Final = re.compile(r'\s+|#.*|((?:[^\s"\'\\#]|\\.|"(?:[^"\\]|\\.)*"|\'[^\']*\')+)')
_STORED: Final = re.compile(r"(http_req_rate|http_err_rate|conn_rate|bytes_out_rate)\((\d+)(ms|s|m|h|d)?\)")
_KEYS: Final = {"src": "client", "base32+src": "client", "url32+src": "client", "path": "path", "base32": "path"}
_ENDS: Final = frozenset({"deny", "tarpit", "reject", "silent-drop", "return", "allow"})
_COUNTED: Final[dict[str, Any]] = {"http_req_rate": None, "http_err_rate": {"status": ["4xx"]}}


@dataclass(slots=True)
class Section:
    """`frontend NAME` and its lines, as words."""

    kind: str
    name: str
    lines: list[tuple[int, list[str]]] = field(default_factory=list)
    acls: dict[str, list[list[str]]] = field(default_factory=dict)


class Tracked(NamedTuple):
    """What a counter is kept by, when, and in which table."""

    key: str
    when: Condition
    table: str


def read_haproxy(sources: Sources, name: str) -> Draft:
    """A draft of the rules. Raises ImportFault."""
    draft = Draft(name, "What an HAProxy configuration refuses and limits.")
    sections = list(_sections(sources.text))
    tables: dict[str, dict[str, str]] = {}
    for section in sections:
        for _, words in section.lines:
            if words[0] == "stick-table":
                tables[section.name] = {found[1]: f"{found[2]}{found[3] or 'ms'}" for found in _STORED.finditer(" ".join(words))}
    for section in sections:
        if section.kind in {"frontend", "backend", "listen"}:
            _Section(draft, sources, section, tables).run(_scope(draft, sources, section, sections))
        elif section.kind == "defaults":
            for number, words in section.lines:
                if words[0] in _REFUSING:
                    draft.note(number, f"{' '.join(words)[:60]} was left out: it is in defaults; write it into the frontend")
    if not draft.rules and not draft.notes:
        raise ImportFault("nothing in this file refuses anybody, such as: http-request deny if bad")
    return draft


def _sections(text: str) -> Iterator[Section]:
    current: Section | None = Section("frontend", "")
    for number, line in enumerate(text.splitlines(), 1):
        words = [_unquoted(found[1]) for found in _WORD.finditer(line) if found[1]]
        if not words:
            continue
        if words[0] in _SECTIONS:
            if current is not None and current.lines:
                yield current
            current = Section(words[0], words[1] if len(words) > 1 else "")
        elif current is not None:
            current.lines.append((number, words))
            if words[0] == "acl" and len(words) > 2:
                current.acls.setdefault(words[1], []).append(words[2:])
    if current is not None and current.lines:
        yield current


def _unquoted(word: str) -> str:
    """Without its quotes; a backslash is taken away before a blank, a quote and `#`, and stays in patterns."""
    made = re.sub(r'"((?:[^"\\]|\\.)*)"|\'([^\']*)\'', lambda found: found[1] if found[1] is not None else found[2], word)
    return re.sub(r"\\([ #\"'])", r"\1", made)


def _scope(draft: Draft, sources: Sources, section: Section, sections: list[Section]) -> Condition | None:
    """What comes to a backend: what `use_backend` sends there. ALWAYS for frontends, and where there are none."""
    fronts = [each for each in sections if each.kind in {"frontend", "listen"} and each.name]
    if section.kind != "backend" or not fronts:
        return ALWAYS
    parts: list[Condition | None] = []
    for front in fronts:
        earlier: list[Condition | None] = []
        for number, words in front.lines:
            if words[0] not in {"use_backend", "default_backend"} or len(words) < 2:
                continue
            if words[1].startswith("%["):
                draft.note(number, f"use_backend {words[1][:60]} was left out: the name of its backend is composed")
                continue
            try:
                rest = words[2:]
                when = some(case.when for case in cases_of(rest, front.acls, sources) if case.rate is None) if rest else ALWAYS
            except NotCarried as error:
                if words[1] == section.name and any(each[1][0] in {"http-request", "tcp-request"} for each in section.lines):
                    draft.note(number, f"use_backend {section.name[:60]} was left out: {error}")
                continue
            if words[1] == section.name:
                parts.append(every([when, negated(some(earlier))]))
            elif words[0] == "use_backend":
                earlier.append(when)
    return some(parts)


class _Section:
    def __init__(self, draft: Draft, sources: Sources, section: Section, tables: dict[str, dict[str, str]]) -> None:
        self._draft = draft
        self._sources = sources
        self._section = section
        self._tables = tables
        self._tracked: dict[str, list[Tracked]] = {}
        self._ended: list[Condition | None] = []

    def run(self, scope: Condition | None) -> None:
        refusing = [each for each in self._section.lines if each[1][0] in _REFUSING]
        for number, words in self._section.lines:
            why = _ELSEWHERE.get(" ".join(words[:2]))
            if why:
                self._draft.note(number, f"{' '.join(words)[:60]} was left out: it goes by {why}")
        if scope is None and refusing:
            if self._section.kind == "backend" and not any("table" in words for _, words in refusing):
                self._draft.note(
                    refusing[0][0], f"the backend {self._section.name[:60]} was left out: nothing here says what comes to it"
                )
            return
        for number, words in refusing:
            if words[0].startswith("req"):
                self._draft.note(number, f"{words[0]} was left out: HAProxy has it no more; write an http-request deny")
                continue
            rest = words[1:] if words[0] != "block" else ["deny", *words[1:]]
            if rest[:1] in (["connection"], ["content"], ["session"], ["inspect-delay"]):
                rest = rest[1:]
            if rest:
                self._line(number, rest, scope or {})

    def _line(self, number: int, words: list[str], scope: Condition) -> None:
        at = next((at for at, word in enumerate(words) if word in {"if", "unless"}), len(words))
        order, condition = words[:at], words[at:]
        is_tracking = order[0].startswith("track-sc")
        if not is_tracking and order[0] not in _ENDS:
            if order[0] in {"lua", "wait-for-body", "sc-inc-gpc0", "sc-set-gpt0", "auth"} or order[0].startswith(("lua.", "sc-")):
                self._draft.note(number, f"{order[0]} was left out: rules do not do that")
            return
        try:
            cases = cases_of(condition, self._section.acls, self._sources)
            if is_tracking:
                self._track(order, some(case.when for case in cases if case.rate is None))
                return
            for case in cases:
                self._decide(number, order, case, scope, condition)
        except NotCarried as error:
            self._draft.note(number, f"{' '.join([*order[:1], *condition])[:90]} was left out: {error}")

    def _track(self, order: list[str], when: Condition | None) -> None:
        if when is None or len(order) < 2:
            return
        table = order[order.index("table") + 1] if "table" in order[:-1] else self._section.name
        self._tracked.setdefault(order[0].removeprefix("track-sc"), []).append(Tracked(order[1], when, table))

    def _decide(self, number: int, order: list[str], case: Case, scope: Condition, condition: list[str]) -> None:
        if order[0] == "allow":
            if case.rate is None:
                self._ended.append(case.when)
            return
        action = self._action(number, order)
        if action is None:
            return
        label = slug("-".join(word for word in condition[1:] if word not in {"or", "||", "!", "{", "}"}))[:40].strip("-")
        why = f"HAProxy's {order[0]} {' '.join(condition)}"[:198] + "."
        name = label if condition else order[0]
        if case.rate is not None:
            self._limit(number, case, every([scope, case.when, negated(some(self._ended))]), action, name, why)
            return
        when = every([scope, case.when, negated(some(self._ended))])
        if when is not None and not when:
            self._draft.note(number, f"{order[0]} was left out: it would refuse every request")
        elif when is not None:
            self._draft.add(name, why, when, action, number)

    def _action(self, number: int, order: list[str]) -> Plain | None:
        """The action; None when it refuses nobody."""
        options = dict(zip(order[1::2], order[2::2], strict=False))
        match order[0]:
            case "silent-drop":
                return "drop"
            case "reject":
                return "drop"
            case "tarpit":
                return "tarpit"
            case _:
                default = "403" if order[0] == "deny" else "200"
                return refusal(options.get("deny_status") or options.get("status") or default, self._draft, number)

    def _limit(self, number: int, case: Case, when: Condition | None, action: Plain, name: str, why: str) -> None:
        """A rule for a rate, by what is tracked in its counter. Raises NotCarried."""
        rate = case.rate
        if rate is None or when is None:
            return
        for tracked in self._uses(rate):
            both = every([when, tracked.when])
            limit = self._terms(rate, tracked)
            if "ipmask" in tracked.key:
                self._draft.note(number, f"{tracked.key[:60]} became the client's network: counting.prefixes says how wide it is")
            if both is not None:
                self._draft.add(name, why, both, action, number, limit=limit)
        if rate.what != "conn_cur":
            self._draft.note(
                number, f"{rate.what} is of a sliding period: a rule lets so many through at once, then as many evenly"
            )

    def _uses(self, rate: Rate) -> list[Tracked]:
        if not rate.counter.isdigit():
            return [Tracked("src", ALWAYS, rate.counter or self._section.name)]
        found = self._tracked.get(rate.counter, [])
        if not found and self._section.name in self._tables:
            found = [Tracked("src", ALWAYS, self._section.name)]
        if not found:
            raise NotCarried("nothing in this section says what its counter tracks")
        return found

    def _terms(self, rate: Rate, tracked: Tracked) -> dict[str, Any]:
        per = self._per(tracked.key)
        if rate.what == "conn_cur":
            return {"concurrent": str(max(rate.above, 1)), "per": per}
        if rate.what not in _COUNTED:
            raise NotCarried(f"rules do not count {rate.what}")
        period = self._tables.get(tracked.table, {}).get(rate.what)
        if period is None:
            raise NotCarried(f"the table {tracked.table[:60]} does not store {rate.what} in this file")
        if not rate.above:
            raise NotCarried("a limit of 0 would refuse every request")
        limit: dict[str, Any] = {"rate": f"{rate.above}/{period}", "per": per}
        count = _COUNTED[rate.what]
        missing = {"missing": "skip"} if any(part.startswith("header.") for part in per) else {}
        return limit | missing | ({"count": count} if count else {})

    def _per(self, key: str) -> list[str]:
        if key in {"base32+src", "url32+src"}:
            return ["client", "path"]
        found = re.fullmatch(r"(?:req\.)?f?hdr\(([\w-]+)[^)]*\)(?:,.*)?", key)
        if key in _KEYS:
            return [_KEYS[key]]
        if found:
            name = found[1].lower()
            return [{"user-agent": "user_agent", "host": "host"}.get(name, f"header.{name}")]
        if key.startswith("src"):
            return ["network" if "ipmask" in key else "client"]
        raise NotCarried(f"limits do not count per {key[:40]}")
