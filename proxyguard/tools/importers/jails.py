"""fail2ban's jails with the filters that lie beside them: failures in an access log, counted by what the log line must have.

A `failregex` is read when it is about a line of an access log: the request in quotes, the status after it, the user agent in the
last quotes. fail2ban bans at the last allowed failure, and so does the rule.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from proxyguard.tools.importers.conditions import ALWAYS, Condition, equal, every, negated
from proxyguard.tools.importers.draft import Draft, ImportFault, NotCarried, Plain, one_or_list, slug
from proxyguard.tools.importers.networks import clients, network_of
from proxyguard.tools.importers.patterns import alternatives, pattern_condition
from proxyguard.tools.importers.request_line import target_condition
from proxyguard.tools.importers.sources import Source, Sources

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "mo": 2_592_000, "y": 31_536_000}
_DURATION: Final = re.compile(r"(\d+)\s*(s|mo|m|h|d|w|y)?(?:ec|in|our|ay|eek|onth|ear)?s?")
_TRUE: Final = frozenset({"true", "yes", "1", "on"})
MAX_PERIOD: Final = 31 * 86_400
FOREVER: Final = 365 * 86_400
"""A ban that never ends, as long as a rule can say."""

_ANY: Final = re.compile(r"(?:(?:\[\^\s?\"\s?\]|\.|\\S|\\s|\[A-Z\])[*+]\??)*")
_STATUS: Final = re.compile(
    r"(?:\\s\+?|\\?\s|\[\s?\]\+?)?\(?(?:\?:)?((?:[1-5]\d\d|[1-5]\\d\\d|[1-5]\\d\{2\}|[1-5]\.\.)(?:\|(?:[1-5]\d\d|[1-5]\\d\\d))*)\)?"
)
_METHOD: Final = re.compile(
    r"\^?\(?(?:\?:)?([A-Z]{3,7}(?:\|[A-Z]{3,7})*)\)?(?:\\s\+?|\\?\s|\.\*)|(?:\\S\+|\[A-Z\]\+|\\w\+|\[\^\s?\"?\]\+)(?:\\s\+?|\\?\s)"
)


_HOSTS: Final = frozenset({"HOST", "ADDR", "IP4", "IP6", "SUBNET"})
_TAG: Final = re.compile(r"(?<!\?P)(?<!\?)<([\w-]+)>")
"""What fail2ban fills in; `(?P<name>…)` names a group, and `<F-…>` a part of the line."""

MAX_INCLUDES: Final = 10
"""Files that include each other."""


class _Failure(NamedTuple):
    """What a line of the log must have: `statuses` empty for any."""

    when: Condition
    statuses: tuple[str, ...]


def read_jails(sources: Sources, name: str) -> Draft:
    """A draft of the rules. Raises ImportFault."""
    draft = Draft(name, "What fail2ban's jails ban for in the access log.")
    files = [source for source in sources.named if "definition" not in _read(source).sections() or _jails(_read(source))]
    filters = {source.name.rpartition("/")[2].removesuffix(".conf").removesuffix(".local"): source for source in sources.named}
    found = False
    for source in files or sources.named:
        config = _read(source)
        for section in _jails(config):
            found = True
            _jail(draft, sources, filters, config, section)
    if not found:
        for label, source in filters.items():
            config = _read(source)
            if config.has_option("Definition", "failregex"):
                found = True
                _add(draft, label, _filter(source, sources), _Terms(5, 600, 600, grows=False), _line(source, "failregex"))
                draft.note(
                    0,
                    f"the filter {label[:60]} came without its jail: 5 failures in 10 minutes and a ban of 10 minutes were taken",
                )
    if not found:
        raise ImportFault("there is no jail in this file, such as [nginx-botsearch] with enabled = true")
    if not draft.rules and not draft.notes:
        raise ImportFault("none of the jails in this file is enabled; jail.local says which are: name it too")
    return draft


class _Terms(NamedTuple):
    maxretry: int
    findtime: int
    bantime: int
    grows: bool
    """Whether a ban that comes again lasts longer."""


def _read(source: Source) -> configparser.ConfigParser:
    """The file, with values as they stand. Raises ImportFault."""
    config = configparser.ConfigParser(interpolation=None, strict=False, comment_prefixes=("#", ";"), allow_no_value=True)
    config.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way to keep the case of names
    try:
        config.read_string(source.text.removeprefix("\ufeff"), source.name)
    except configparser.Error as error:
        raise ImportFault(f"it is not a file of fail2ban: {_fault_of(error)}", source.name) from error
    return config


def _fault_of(error: configparser.Error) -> str:
    match error:
        case configparser.MissingSectionHeaderError():
            return f"line {error.lineno}: there is no section before it, such as [nginx-botsearch]"
        case configparser.ParsingError(errors=[(line, _), *_]):
            return f"line {line}: it is neither a section nor NAME = VALUE"
        case _:
            return str(error).splitlines()[0]


def _filter(source: Source, sources: Sources, depth: int = 0) -> configparser.ConfigParser:
    """A filter with what it includes of the files beside it, which it overrides. Raises ImportFault."""
    own = _read(source)
    whole = configparser.ConfigParser(interpolation=None, strict=False)
    whole.optionxform = str  # type: ignore[assignment,method-assign]  # as in _read
    for part in (*_included(own, "before", sources, depth), own, *_included(own, "after", sources, depth)):
        for name in (configparser.DEFAULTSECT, *part.sections()):
            whole.read_dict({name: {key: value or "" for key, value in part.items(name)}})
    return whole


def _included(own: configparser.ConfigParser, key: str, sources: Sources, depth: int) -> list[configparser.ConfigParser]:
    found: list[configparser.ConfigParser] = []
    for name in _value(own, "INCLUDES", key).split() if depth < MAX_INCLUDES else ():
        beside = sources.beside(f"filter.d/{name}") or sources.beside(name)
        found += [_filter(source, sources, depth + 1) for source in beside[:1]]
    return found


def _jails(config: configparser.ConfigParser) -> list[str]:
    return [each for each in config.sections() if each not in {"INCLUDES", "Definition", "Init"}]


def _jail(draft: Draft, sources: Sources, filters: dict[str, Source], config: configparser.ConfigParser, section: str) -> None:
    enabled = _value(config, section, "enabled").lower()
    if enabled and enabled not in _TRUE:
        return
    if not enabled:
        draft.note(0, f"the jail {section[:60]} is not enabled in this file: it was read all the same")
    wanted = (_value(config, section, "filter") or section).partition("[")[0].strip()
    source = filters.get(wanted) or next(
        iter(sources.beside(f"filter.d/{wanted}.conf") or sources.beside(f"{wanted}.conf")), None
    )
    try:
        terms = _Terms(
            int(_value(config, section, "maxretry") or 5),
            _seconds(_value(config, section, "findtime") or "600"),
            _seconds(_value(config, section, "bantime") or "600"),
            _value(config, section, "bantime.increment").lower() in _TRUE,
        )
    except (ValueError, NotCarried):
        draft.note(0, f"the jail {section[:60]} was left out: maxretry, findtime or bantime is no number")
        return
    if _value(config, section, "ignorecommand"):
        draft.note(0, f"the jail {section[:60]} was left out: its ignorecommand decides whom it spares, and rules cannot ask it")
        return
    spared = negated(_ignored(draft, config, section))
    if terms.bantime == FOREVER:
        draft.note(0, f"the jail {section[:60]}: a ban for ever became one for a year")
    elif terms.grows:
        draft.note(0, f"the jail {section[:60]}: bantime.increment became an escalation of 2")
    if _value(config, section, "failregex"):
        _add(draft, section, config, terms, 0, section, spared=spared)
        return
    if source is None:
        draft.note(0, f"the jail {section[:60]} was left out: its filter does not lie beside it (filter.d/{wanted[:60]}.conf)")
        return
    _add(draft, section, _filter(source, sources), terms, 0, spared=spared)


def _ignored(draft: Draft, config: configparser.ConfigParser, section: str) -> Condition | None:
    """Whom `ignoreip` spares."""
    words = re.split(r"[\s,]+", _value(config, section, "ignoreip"))
    found = {word: network_of(word) for word in words if word}
    for word in (word for word, network in found.items() if network is None):
        draft.note(0, f"the jail {section[:60]}: ignoreip {word[:60]} was left out: it is no address, and rules look no names up")
    return clients([network for network in found.values() if network is not None])


def _value(config: configparser.ConfigParser, section: str, key: str) -> str:
    """A value with what it refers to by `%(name)s` filled in."""
    text = config.get(section, key, fallback="") or ""
    for _ in range(10):
        filled = re.sub(r"%\(([\w.-]+)\)s", lambda found: config.get(section, found[1], fallback="") or found[0], text)
        if filled == text or len(filled) > 100_000:
            break
        text = filled
    return text.strip()


def _with_tags(pattern: str, config: configparser.ConfigParser, section: str) -> str:
    """A failregex with the values of its tags, such as `<block>`; HOST and its like stay. Raises NotCarried."""
    for _ in range(10):
        tags = [tag for tag in _TAG.findall(pattern) if tag not in _HOSTS and not tag.startswith("F-")]
        if not tags or len(pattern) > 100_000:
            break
        for tag in tags:
            value = next((found for each in (section, "Init") if (found := _value(config, each, tag))), "")
            if not value:
                raise NotCarried("it is made of parts that are defined elsewhere")
            pattern = pattern.replace(f"<{tag}>", value)
    return pattern


def _seconds(text: str) -> int:
    """A duration of fail2ban; negative: for ever. Raises NotCarried."""
    if text.lstrip().startswith("-"):
        return FOREVER
    parts = _DURATION.findall(text.replace(" ", ""))
    if not parts:
        raise NotCarried(text)
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def _line(source: Source, key: str) -> int:
    return next((number for number, line in enumerate(source.text.splitlines(), 1) if line.startswith(key)), 0)


def _add(
    draft: Draft, label: str, config: configparser.ConfigParser, terms: _Terms, line: int, section: str = "Definition", *,
    spared: Condition | None = ALWAYS,
) -> None:  # fmt: skip
    """Rules for the patterns of a filter: those with the same statuses are one."""
    patterns = [each.strip() for each in _value(config, section, "failregex").splitlines() if each.strip()]
    by_status: dict[tuple[str, ...], list[Condition]] = {}
    for pattern in patterns:
        try:
            failure = _failure(_with_tags(pattern, config, section))
        except NotCarried as error:
            draft.note(line, f"the jail {label[:60]}: '{pattern[:70]}' was left out: {error}")
            continue
        by_status.setdefault(failure.statuses, []).append(failure.when)
    if not patterns:
        draft.note(line, f"the jail {label[:60]} was left out: its filter has no failregex")
    if _value(config, section, "ignoreregex"):
        draft.note(line, f"the jail {label[:60]}: its ignoreregex was left out")
    for statuses, conditions in by_status.items():
        for when in (every([each, spared]) for each in _unique(conditions)):
            if when is None:
                continue
            limit: dict[str, Any] = {"rate": f"{max(terms.maxretry, 1)}/{min(terms.findtime, MAX_PERIOD)}s", "per": ["client"]}
            limit |= {"count": {"status": one_or_list(list(statuses))}} if statuses else {}
            why = f"fail2ban's jail {label} bans after {terms.maxretry} such lines in {terms.findtime} s."[:200]
            ban: dict[str, Plain] = {"for": f"{min(terms.bantime, FOREVER)}s"}
            if terms.grows:
                ban["escalation"] = "2"
            draft.add(slug(label), why, when, {"ban": ban}, line, limit=limit)


def _unique(conditions: list[Condition]) -> Iterator[Condition]:
    merged: dict[str, Condition] = {}
    for each in conditions:
        merged.setdefault(repr(each), each)
    yield from merged.values()


def _failure(pattern: str) -> _Failure:
    """A failregex. Raises NotCarried."""
    text = re.sub(r"<(?:HOST|ADDR|IP4|IP6|SUBNET)>", "<HOST>", pattern).removeprefix("^").replace('\\"', '"')
    if not text.startswith(("<HOST>", "\\s*<HOST>")) or '"' not in text:
        raise NotCarried("it is not about a line of an access log")
    if "%(" in text or "<F-" in text:
        raise NotCarried("it is made of parts that are defined elsewhere")
    if "(?!" in text or "(?=" in text or "(?<" in text.replace("(?P<", ""):
        raise NotCarried("it looks around, which rules cannot")
    request, *rest = _quoted(text)[1:]
    if request.count("(") - request.count(r"\(") != request.count(")") - request.count(r"\)"):
        raise NotCarried("a group of it spans the quotes")
    if not rest:
        ending = re.search(r"(?:\\s\+?|\.\*|\\? )\(?(?:\?:)?([1-5]\d\d(?:\|[1-5]\d\d)*)\)?[^()|]*$", request)
        request, rest = (request[: ending.start()], [f" {ending[1]}"]) if ending else (request, [])
    agent, referer = "", ""
    if len(rest) == 1 and re.fullmatch(r"(?:\\s[*+]?)?\$", rest[0]):
        request, agent, rest = "", request, []  # the only thing in quotes, and the line ends with it
    elif rest and rest[0] and not re.match(r"\\s|\s|\\ |\.|\[|\$|\(?(?:\?:)?[1-5]", rest[0]):
        agent, rest = rest[0], []  # .*"NAME"$: what stands last in quotes
    elif len(rest) >= 4:
        referer, agent = rest[1], rest[3]
    elif len(rest) > 1 and not _ANY.fullmatch(rest[1]):
        raise NotCarried("it does not say which of the quotes it is about")
    statuses = _statuses(rest[0]) if rest else ()
    named = [_request(request), _agent(agent), _referer(referer)]
    when = every(named)
    if when is None or (not statuses and not when.keys() - {"method"}):
        raise NotCarried("it would find every request")
    return _Failure(when, statuses)


def _quoted(text: str) -> list[str]:
    """What stands before, between and after the quotes; those in [ ] do not count."""
    parts, in_class, at = [""], False, 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            parts[-1] += text[at : at + 2]
            at += 2
            continue
        if char == '"' and not in_class:
            parts.append("")
        else:
            in_class = char == "[" if not in_class else char != "]"
            parts[-1] += char
        at += 1
    return parts


def _referer(text: str) -> Condition | None:
    body = text.removesuffix("$")
    return {} if not body or body == "-" or _ANY.fullmatch(body) else pattern_condition("header.referer", f"^{body}$")


def _statuses(text: str) -> tuple[str, ...]:
    found = _STATUS.match(text)
    if found is None:
        return ()
    return tuple(each.replace(r"\d\d", "xx").replace(r"\d{2}", "xx").replace("..", "xx") for each in found[1].split("|"))


def _request(text: str) -> Condition | None:
    """The request line in quotes."""
    method = _METHOD.match(text)
    parts: list[Condition | None] = []
    target = text
    if method:
        target = text[method.end() :]
        parts += [equal("method", method[1].split("|"))] if method[1] else []
    target = re.sub(r"(?:\\s\+?|\\?\s|\.\*|\[\^\"\]\*)*HTTP.*$", "", target)
    target = re.sub(r"(?:\\s\+?|\\? )(?:\\S|\.|\[\^\s?\\?\"\s?\])[+*]\??$", "", target)
    if _ANY.fullmatch(target) or not target:
        return every(parts)
    body = re.sub(r"(?:\.\*|\[\^\"\]\*|\.\*\?|\\S\*)+$", "", target)
    anchored = method is not None and not body.startswith((".*", "[^"))
    body = re.sub(r"^(?:\.\*\??|\[\^\"\]\*)+", "", body)
    if not body:
        return every(parts)
    parts.append(target_condition(f"^{body.removeprefix('^')}" if anchored else body, ignore_case=False))
    return every(parts)


def _agent(text: str) -> Condition | None:
    body = text.removesuffix("$")
    if not body or _ANY.fullmatch(body):
        return {}
    is_whole = len(alternatives(body)) == 1
    return pattern_condition("user_agent", f"^{body}$" if is_whole and not body.startswith((".*", "[^")) else body)
