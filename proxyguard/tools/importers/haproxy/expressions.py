"""Conditions after `if` and `unless`: names of ACLs and anonymous ones, side by side (and), with `||` (or) and `!` (not)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from proxyguard.tools.importers.conditions import Condition, every, negated, some
from proxyguard.tools.importers.draft import NotCarried
from proxyguard.tools.importers.haproxy.terms import Rate, Term, predefined, term_of
from proxyguard.tools.importers.sources import Sources


class Case(NamedTuple):
    """A condition, and perhaps a rate that must be exceeded as well."""

    when: Condition
    rate: Rate | None


def cases_of(words: list[str], acls: Mapping[str, list[list[str]]], sources: Sources) -> list[Case]:
    """The ways in which the condition can hold: one without a rate, and one for each rate. Raises NotCarried."""
    if not words:
        return [Case({}, None)]
    is_unless = words[0] == "unless"
    plain: list[Condition | None] = []
    rated: list[Case] = []
    for group in _groups(words[1:]):
        parts: list[Condition | None] = []
        rates: list[Rate] = []
        for is_not, name in group:
            term = _term(name, acls, sources)
            if isinstance(term, Rate):
                if is_not:
                    raise NotCarried("a limit is asked for, and not its opposite")
                rates.append(term)
            else:
                parts.append(negated(term) if is_not else term)
        both = every(parts)
        if len(rates) > 1:
            raise NotCarried("it asks for two rates at once")
        if rates and both is not None:
            rated.append(Case(both, rates[0]))
        elif not rates:
            plain.append(both)
    if is_unless and rated:
        raise NotCarried("a limit is asked for, and not its opposite")
    whole = negated(some(plain)) if is_unless else some(plain)
    return [*([Case(whole, None)] if whole is not None else []), *rated]


def _groups(words: list[str]) -> list[list[tuple[bool, list[str] | str]]]:
    groups: list[list[tuple[bool, list[str] | str]]] = [[]]
    is_not, at = False, 0
    while at < len(words):
        word = words[at]
        at += 1
        if word in {"||", "or", "OR"}:
            groups.append([])
            continue
        if word in {"&&", "and", "AND"}:
            continue
        if word.startswith("!"):
            is_not = True
            word = word[1:]
            if not word:
                continue
        if word == "{":
            end = words.index("}", at) if "}" in words[at:] else len(words)
            groups[-1].append((is_not, words[at:end]))
            at = end + 1
        else:
            groups[-1].append((is_not, word))
        is_not = False
    return [group for group in groups if group]


def _term(name: list[str] | str, acls: Mapping[str, list[list[str]]], sources: Sources) -> Term:
    if isinstance(name, list):
        return term_of(name, sources)
    if name not in acls:
        return predefined(name)
    terms = [term_of(words, sources) for words in acls[name]]
    if len(terms) == 1:
        return terms[0]
    parts = [term for term in terms if not isinstance(term, Rate)]
    if len(parts) < len(terms):
        raise NotCarried(f"the acl {name[:60]} is a rate or something else")
    return some(parts)
