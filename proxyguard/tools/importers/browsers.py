"""Keeps a draft from refusing ordinary browsers: what would is put into a rule of its own that is in shadow, with a warning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from proxyguard.core.decision import Mode
from proxyguard.policy.model import RuleSet, TextKind
from proxyguard.tools.importers.conditions import every
from proxyguard.tools.importers.draft import Draft, DraftRule, one_or_list
from proxyguard.tools.importers.patterns import alternatives
from proxyguard.tools.importers.safety import Harm, Place, harms
from proxyguard.tools.importers.samples import finds
from proxyguard.tools.importers.witness import hosts_in, values_in

MAX_SHOWN: Final = 6
_IGNORES_CASE: Final = "(?i)"


class _Split(NamedTuple):
    """A condition without the texts that find browsers, and those texts by matcher."""

    rest: dict[str, Any]
    culprits: dict[str, list[str]]


def keep_browsers(draft: Draft, rule_set: RuleSet) -> None:
    """Put what would refuse ordinary browsers in shadow by itself; say which wanted crawlers are refused. Raises PolicyError."""
    hosts = [host for rule in draft.rules for host in hosts_in(rule.when, draft.lists)]
    places = [
        Place(rule.name, next(iter(hosts_in(rule.when, draft.lists)), ""), path)
        for rule in draft.rules
        if _asks_for_agents(rule.when)
        for path in values_in("path", rule.when, draft.lists)[:1]
        if path.startswith("/") and path.isascii() and path.isprintable()
    ]
    found = harms(rule_set, hosts, places)
    for rule in tuple(draft.rules):
        harm = found.get(rule.name)
        if harm is None:
            continue
        if harm.browsers:
            _put_in_shadow(draft, rule, harm)
        if harm.crawlers:
            more = len(harm.crawlers) - MAX_SHOWN
            listed = ", ".join(harm.crawlers[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")
            draft.note(rule.line, f"{rule.name} would stop crawlers that many sites want: {listed}")


def _asks_for_agents(condition: dict[str, Any]) -> bool:
    """Whether a condition goes by the user agent, whatever else it asks for."""
    if "user_agent" in condition or any(map(_asks_for_agents, condition.get("all", ()))):
        return True
    return "any" in condition and all(map(_asks_for_agents, condition["any"]))


def _put_in_shadow(draft: Draft, rule: DraftRule, harm: Harm) -> None:
    split = _split(rule.when, harm.browsers)
    culprit_value = [{matcher: one_or_list(texts)} for matcher, texts in split.culprits.items()] if split else []
    when = every([rule.when, {"user_agent": culprit_value}])
    if split is None or when is None:
        rule.mode = Mode.SHADOW.value
        draft.warn(rule.line, f"{rule.name} would refuse {_whom(harm)}; {_ADVICE}")
        return
    culprits = [text for texts in split.culprits.values() for text in texts]
    rule.when = split.rest
    twin = DraftRule(
        name=draft.rule_name(f"{rule.name}-browsers"), why=f"Real browsers have this in their user agent. {rule.why}"[:200],
        when=when, action=rule.action, expires=rule.expires, line=rule.line, mode=Mode.SHADOW.value,
    )  # fmt: skip
    draft.rules.insert(draft.rules.index(rule) + 1, twin)
    shown = ", ".join(f"'{text[:60]}'" for text in culprits[:MAX_SHOWN]) + (" …" if len(culprits) > MAX_SHOWN else "")
    verb = "is" if len(culprits) == 1 else "are"
    draft.warn(
        rule.line, f"{shown} {verb} in the user agents of browsers: the rule {twin.name} would refuse {_whom(harm)}; {_ADVICE}"
    )


_ADVICE: Final = "it has mode: shadow of its own, whatever the file's mode is; take that line out only if you mean it"


def _whom(harm: Harm) -> str:
    return f"ordinary requests of {len(harm.browsers)} of {harm.tried} real browsers, such as {harm.browsers[0][:110]}"


def _split(condition: dict[str, Any], agents: Sequence[str]) -> _Split | None:
    """The first part about the user agent that can do without its culprits; None when there is none."""
    for key, value in condition.items():
        if key == "user_agent":
            split = _split_value(value, agents)
            if split is not None:
                return _Split(condition | {key: split[0]}, split[1])
        elif key in {"all", "any"}:
            for at, part in enumerate(value):
                inner = _split(part, agents)
                if inner is not None:
                    return _Split(condition | {key: [*value[:at], inner.rest, *value[at + 1 :]]}, inner.culprits)
    return None


def _split_value(value: Any, agents: Sequence[str]) -> tuple[Any, dict[str, list[str]]] | None:
    """The value of `user_agent` without culprits, and those; None when nothing or everything is one."""
    parts = value if isinstance(value, list) else [value]
    kept: list[Any] = []
    culprits: dict[str, list[str]] = {}
    for part in parts:
        if not isinstance(part, dict) or len(part) != 1 or not part.keys() <= {"regex", "contains", "word"}:
            kept.append(part)
            continue
        [(matcher, texts)] = part.items()
        texts = [each for text in (texts if isinstance(texts, list) else [texts]) for each in _pieces(matcher, text, agents)]
        bad = [text for text in texts if _hits(matcher, text, agents)]
        good = [text for text in texts if text not in bad]
        kept += [{matcher: one_or_list(good)}] if good else []
        culprits |= {matcher: bad} if bad else {}
    if not kept or not culprits:
        return None
    return (kept[0] if len(kept) == 1 else kept), culprits


def _pieces(matcher: str, text: str, agents: Sequence[str]) -> list[str]:
    """A pattern that finds browsers, split where it is an alternation."""
    if matcher != "regex" or not _hits(matcher, text, agents):
        return [text]
    flag = _IGNORES_CASE if text.startswith(_IGNORES_CASE) else ""
    parts = alternatives(text.removeprefix(flag))
    if len(parts) == 1:
        return [text]
    return [piece for part in parts for piece in _pieces(matcher, flag + part, agents)]


def _hits(matcher: str, text: str, agents: Sequence[str]) -> bool:
    return not text.startswith("$") and any(finds(TextKind(matcher), text, agent) for agent in agents)
