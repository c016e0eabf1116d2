"""robots.txt (RFC 9309) as rules: a crawler is refused the paths that it was asked to leave alone.

The longest matching pattern decides, as the RFC says: each Disallow is carried with the Allow patterns that are at least as long
and could win over it. `*` groups concern every crawler that is not named elsewhere; people are no crawlers, so such a group is
carried for user agents that say they are one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from proxyguard.core.request_paths import inspected_path
from proxyguard.tools.importers.conditions import Condition, equal, every, negated, some
from proxyguard.tools.importers.draft import Draft, DraftTest, one_or_list
from proxyguard.tools.importers.samples import word_fault
from proxyguard.tools.importers.sources import Sources

EVERYONE: Final = "*"

CRAWLER: Final = r"(?i)(?:bot|crawler|spider)/[0-9]|\+https?://"
"""A user agent that says it is a crawler: a robot's name with a version, or the address that explains it."""

NEVER_SENT: Final = frozenset({"google-extended", "applebot-extended"})
"""Names that exist in robots.txt only: no request has ever carried them."""

_DELAY: Final = re.compile(r"[0-9]{1,5}(?:\.[0-9]{1,3})?")

MAX_DELAY_SECONDS: Final = 3600

MAX_PATTERN_BYTES: Final = 4000
"""A path condition holds 4,096, a closing `*` included."""

AT_ONCE: Final = 5
"""Requests that a crawl delay lets through at once: crawlers fetch a page and what belongs to it."""


@dataclass(slots=True)
class AgentGroup:
    """The patterns and the delay for one or several user agents."""

    agents: list[str] = field(default_factory=list)
    disallow: list[tuple[int, str]] = field(default_factory=list)
    allow: list[str] = field(default_factory=list)
    delay_seconds: float = 0.0
    line: int = 0


class PathPattern(NamedTuple):
    """A pattern as a condition on the path: the matcher, the text, and an example of a path that matches."""

    matcher: str
    text: str
    example: str
    query: Any = None
    """What the query must be; None: whatever it is. With a query, an empty text stands for every path."""


def read_robots(sources: Sources, name: str) -> Draft:
    """A draft of the rules."""
    draft = Draft(name, "What robots.txt asks crawlers to leave alone.")
    groups = _alike(_merged(_groups(sources.text, draft)))
    named = [agent for group in groups for agent in group.agents if agent != EVERYONE]
    for group in groups:
        if EVERYONE in group.agents:
            if len(group.agents) > 1:
                _add(draft, _only(group, [agent for agent in group.agents if agent != EVERYONE]), named)
            _add(draft, _only(group, [EVERYONE]), named)
        else:
            _add(draft, group, named)
    if not draft.rules and not draft.notes:
        draft.note(0, "it disallows nothing, and asks for no delay")
    return draft


def _groups(text: str, draft: Draft) -> Iterable[AgentGroup]:
    group: AgentGroup | None = None
    in_agents = False
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        line = raw.partition("#")[0].strip()
        key, colon, value = (part.strip() for part in line.partition(":"))
        if not line:
            continue
        if not colon:
            draft.note(number, f"'{line[:60]}' is not a line of robots.txt")
            continue
        key = key.lower()
        if key == "user-agent":
            if group is None or not in_agents:
                if group is not None:
                    yield group
                group = AgentGroup(line=number)
            in_agents = True
            group.agents.append(value)
        elif key in {"disallow", "allow", "crawl-delay"}:
            in_agents = False
            if group is None:
                draft.note(number, f"{key} stands before any User-agent")
            else:
                _take(group, key, value, number, draft)
        elif key != "sitemap":
            draft.note(number, f"{key[:40]} is not something that rules can hold")
    if group is not None:
        yield group


def _take(group: AgentGroup, key: str, value: str, number: int, draft: Draft) -> None:
    if key == "crawl-delay":
        if _DELAY.fullmatch(value) and 0 < float(value) <= MAX_DELAY_SECONDS:
            group.delay_seconds = float(value)
        else:
            draft.note(number, f"the crawl delay '{value[:20]}' is not a number of seconds up to an hour")
    elif value and value[0] not in "/*":
        draft.note(number, f"the pattern '{value[:60]}' does not begin with /, and so crawlers do not heed it")
    elif value and key == "disallow":
        group.disallow.append((number, value))
    elif value:
        group.allow.append(value)


def _merged(groups: Iterable[AgentGroup]) -> list[AgentGroup]:
    """Groups of the same agents as one, as the RFC has it."""
    merged: dict[tuple[str, ...], AgentGroup] = {}
    for group in groups:
        key = tuple(sorted({agent.lower() for agent in group.agents}))
        known = merged.setdefault(key, group)
        if known is not group:
            known.disallow += group.disallow
            known.allow += group.allow
            known.delay_seconds = known.delay_seconds or group.delay_seconds
    return list(merged.values())


def _alike(groups: Sequence[AgentGroup]) -> list[AgentGroup]:
    """Groups that ask for the same as one, except for that of everybody."""
    alike: dict[tuple[object, ...], AgentGroup] = {}
    for at, group in enumerate(groups):
        asked = (tuple(pattern for _, pattern in group.disallow), tuple(group.allow), group.delay_seconds)
        known = alike.setdefault((*asked, at) if EVERYONE in group.agents else asked, group)
        if known is not group:
            known.agents += [agent for agent in group.agents if agent not in known.agents]
    return list(alike.values())


def _only(group: AgentGroup, agents: list[str]) -> AgentGroup:
    return AgentGroup(agents, group.disallow, group.allow, group.delay_seconds, group.line)


def _add(draft: Draft, group: AgentGroup, named: Sequence[str]) -> None:
    addressed = _agent_condition(draft, group, named)
    if addressed is None:
        return
    condition, label, agent = addressed
    paths, examples = _paths(draft, group)
    when = every([condition, paths])
    if when is not None:
        why = f"robots.txt asks {_format_agents(group)} to leave this alone."
        rule = draft.add(label, why, when, "reject", group.line)
        draft.tests += [DraftTest({"user_agent": agent, "path": path}, f"reject by {rule.name}") for path in examples[:2]]
    if group.delay_seconds:
        _add_delay(draft, group, condition, label, agent)


def _add_delay(draft: Draft, group: AgentGroup, condition: dict[str, Any], label: str, agent: str) -> None:
    why = f"robots.txt asks {_format_agents(group)} to wait {group.delay_seconds:g} seconds between two requests."
    limit = {"rate": f"{AT_ONCE}/{AT_ONCE * group.delay_seconds:g}s", "per": ["user_agent", "network"]}
    rule = draft.add(f"{label}-delay", why, condition, "reject", group.line, limit=limit)
    draft.note(
        group.line, f"the crawl delay is a limit for each network, with {AT_ONCE} requests at once let through ({rule.name})"
    )
    expect = {"action": "reject", "rule": rule.name, "status": "429"}
    draft.tests.append(DraftTest({"user_agent": agent, "path": "/about"}, expect, repeat=AT_ONCE + 1))


def _agent_condition(draft: Draft, group: AgentGroup, named: Sequence[str]) -> tuple[dict[str, Any], str, str] | None:
    """The condition on the user agent, a label for the rule, and an example."""
    if group.agents == [EVERYONE]:
        if not group.disallow and not group.delay_seconds:
            return None
        draft.note(
            group.line,
            "the group for all crawlers (*) is carried for user agents that say they are crawlers; a crawler that does not "
            "say so looks like a person",
        )
        condition: dict[str, Any] = {"user_agent": {"regex": CRAWLER}}
        words = [word for word in map(_word, named) if word_fault(word) is None]
        if words:
            condition["not"] = {"user_agent": {"word": one_or_list(words)}}
        return condition, "other-crawlers", "Mozilla/5.0 (compatible; examplebot/1.0; +https://crawler.example/)"
    words, asked = [], []
    for agent in group.agents:
        word = _word(agent)
        fault = word_fault(word)
        if word.lower() in NEVER_SENT:
            draft.note(group.line, f"{word} is a name for robots.txt only: no request carries it")
        elif fault is not None:
            draft.note(group.line, f"'{agent[:60]}' was left out: {fault}")
        else:
            words.append(word)
            asked.append(agent)
    group.agents = asked
    if not words or not (group.disallow or group.delay_seconds):
        return None
    words = list(dict.fromkeys(words))
    label = words[0] if len(words) == 1 else f"{words[0]}-and-others"
    return {"user_agent": {"word": one_or_list(words)}}, label, f"Mozilla/5.0 (compatible; {words[0]}/1.0)"


def _word(agent: str) -> str:
    """The product token of a User-agent line, without a version or a trailing star."""
    return agent.partition("/")[0].strip().rstrip("*").strip()


def _format_agents(group: AgentGroup) -> str:
    if group.agents == [EVERYONE]:
        return "every other crawler"
    return group.agents[0] if len(group.agents) == 1 else f"{group.agents[0]} and {len(group.agents) - 1} more"


def _paths(draft: Draft, group: AgentGroup) -> tuple[dict[str, Any] | None, list[str]]:
    """A condition for the paths that the group disallows, {} for every path and None for none; and paths that match."""
    by_exception: dict[tuple[str, ...], list[PathPattern]] = {}
    for line, pattern in group.disallow:
        found = _match(draft, line, pattern)
        if found is not None:
            exceptions = tuple(allow for allow in group.allow if len(allow) >= len(pattern) and _may_overlap(allow, pattern))
            by_exception.setdefault(exceptions, []).append(found)
    if not by_exception:
        return None, []
    parts = []
    for exceptions, matches in by_exception.items():
        part = _any_of(matches)
        allowed = [_exception(draft, group.line, allow) for allow in exceptions]
        if not part:
            allowed.append(PathPattern("equal", "/robots.txt", "/robots.txt"))
        if allowed and not _any_of(allowed):
            continue  # an Allow as long as this Disallow lets everything through
        narrowed = every([part, negated(_any_of(allowed))]) if allowed else part
        if narrowed is not None:
            parts.append(narrowed)
    if not parts:
        return None, []
    examples = [found.example for matches in by_exception.values() for found in matches]
    return some(parts), examples


def _may_overlap(allow: str, disallow: str) -> bool:
    """Whether a path can match both; the Allow pattern is at least as long."""
    if "*" in allow or "*" in disallow:
        return True
    return allow.rstrip("$").startswith(disallow) or disallow.endswith("$")


def _exception(draft: Draft, line: int, pattern: str) -> PathPattern:
    """An Allow; one that cannot be said as far as it can be: it lets more pass, and refuses less than was asked."""
    found = _match(draft, line, pattern)
    if found is not None:
        return found
    start = re.split(r"[%*$?]", pattern)[0][: MAX_PATTERN_BYTES // 4] or "/"
    draft.note(line, f"Allow: {pattern[:60]} became an exception for all of {start[:60]}")
    return PathPattern("prefix", start, start)


def _any_of(matches: Sequence[PathPattern]) -> dict[str, Any]:
    """A condition that any of the matches meets; empty when one of them is everything."""
    return some(_condition(found) for found in matches) or {}


def _condition(found: PathPattern) -> Condition:
    query = {} if found.query is None else {"query_string": found.query}
    if found.text in {"", "/"} and found.matcher in {"prefix", "any"}:
        return query
    if found.matcher == "equal":
        return equal("path", [found.text]) | query
    return {"path": {found.matcher: found.text}} | query


def _match(draft: Draft, line: int, pattern: str) -> PathPattern | None:
    """A pattern as a condition on the path as rules see it, decoded, and on the query as it was sent; None with a note."""
    if len(pattern.encode()) > MAX_PATTERN_BYTES:
        draft.note(line, f"the pattern '{pattern[:60]}' is longer than {MAX_PATTERN_BYTES} bytes")
        return None
    body, mark, query = pattern.partition("?")
    if mark:
        return _with_query(draft, line, pattern, body, query)
    anchored = body.endswith("$")
    return _path(draft, line, pattern, (body[:-1] if anchored else body.rstrip("*")) or "/", anchored=anchored)


def _path(draft: Draft, line: int, pattern: str, body: str, *, anchored: bool) -> PathPattern | None:
    parts = [inspected_path(part.encode()).decode("utf-8", "replace") for part in body.split("*")]
    if any("?" in part or "*" in part or not part.isprintable() or "\ufffd" in part for part in parts):
        draft.note(line, f"the pattern '{pattern[:60]}' has an escaped character that a path condition cannot hold")
        return None
    text = "*".join(parts)
    example = "/" + quote("x".join(parts).lstrip("/"), safe="/!$&'()*+,;=:@~")
    if "*" in text:
        if set(text) & set("[{"):
            draft.note(line, f"the pattern '{pattern[:60]}' has a bracket beside a *, which a glob cannot hold")
            return None
        return PathPattern("glob", text if anchored else text + "*", example if anchored else example + "x")
    if anchored:
        return PathPattern("equal", text, example)
    return PathPattern("prefix", text, example if text != "/" else "/private")


def _with_query(draft: Draft, line: int, pattern: str, body: str, query: str) -> PathPattern | None:
    """`/path?name=`: the path as a whole, and how the query begins."""
    path = PathPattern("any", "", "/x") if body in {"*", "/*"} else _path(draft, line, pattern, body, anchored=True)
    if path is None:
        return None
    anchored = query.endswith("$")
    text = query[:-1] if anchored else query.rstrip("*")
    if not text.strip("*"):
        wanted: Any = "" if anchored and not text else "present"
    elif "*" in text:
        if set(text) & set("[{?"):
            draft.note(line, f"the pattern '{pattern[:60]}' has a character beside a * which a glob cannot hold")
            return None
        wanted = {"glob": text if anchored else text + "*"}
    else:
        wanted = text if anchored else {"prefix": text}
    return path._replace(query=wanted, example=f"{path.example}?{text.replace('*', 'x')}")
