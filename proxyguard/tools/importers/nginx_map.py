"""An nginx `map` of user agents (or of another field) as rules: one rule for each value that is not the default.

nginx looks at exact texts first, ignoring case, then at regular expressions in order; the first that matches decides. What
maps to the default, to 0 or to nothing is an exception from the patterns after it. PCRE that RE2 does
not have is left out with a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from proxyguard.core.problems import Fault
from proxyguard.policy.model import TextKind
from proxyguard.policy.parse.patterns import check_regex
from proxyguard.tools.importers.draft import Draft, DraftTest, ImportFault, combined, one_or_list, slug
from proxyguard.tools.importers.samples import BROWSER, MISSING_OR_EMPTY, browser_hit, example_of

MAX_TOKENS: Final = 500_000
HARMLESS: Final = frozenset({"", "0", "off", "no", "false", "ok", "good", "allow", "allowed"})
"""Values that nobody gives to a client that should be refused."""

_SOURCES: Final = {
    "$http_user_agent": "user_agent", "$host": "host", "$http_host": "host", "$uri": "path", "$request_method": "method",
    "$remote_addr": "client",
}  # fmt: skip
_EMPTY: Final = frozenset({"~^$", "~*^$"})
ALWAYS_THERE: Final = frozenset(_SOURCES.values()) - {"user_agent"}
_SPECIAL: Final = ("hostnames", "volatile", "include")
_NOT_FOLLOWED: Final = {"include": "include {}: import that file too", "hostnames": "hostnames: names with a star"}
_SHORT: Final = 4
"""Characters of a name below which it is likely to be part of others."""

_BARE_NAME: Final = re.compile(r"[A-Za-z0-9 _/-]+")


class MapLine(NamedTuple):
    line: int
    source: str
    value: str


class Map(NamedTuple):
    """`map SOURCE TARGET { … }`."""

    line: int
    source: str
    target: str
    entries: list[MapLine]


def read_nginx_map(text: str, name: str) -> Draft:
    """A draft of the rules. Raises ImportFault when there is no map."""
    draft = Draft(name, "What an nginx map singled out.")
    maps = list(_maps(text, draft))
    if not maps:
        raise ImportFault("there is no map in this file, such as: map $http_user_agent $bad { default 0; ~*scrapy 1; }")
    for found in maps:
        field = _field(found.source)
        if field is None:
            draft.note(found.line, f"the map of {found.source} was left out: rules have no such field")
        else:
            _add(draft, found, field)
    if draft.rules:
        draft.tests.append(DraftTest({"user_agent": BROWSER}, "pass by default"))
    return draft


def _field(source: str) -> str | None:
    known = _SOURCES.get(source)
    if known is not None:
        return known
    for prefix, field in (("$http_", "header."), ("$cookie_", "cookie."), ("$arg_", "query.")):
        if source.startswith(prefix):
            rest = source.removeprefix(prefix)
            return field + (rest.replace("_", "-") if field == "header." else rest)
    return None


def _add(draft: Draft, found: Map, field: str) -> None:
    """Rules for one map: one for each value, with the exceptions that stand before its patterns."""
    # A pattern for the empty text is the empty text, which stands for a missing field too.
    lines = [line._replace(source="") if line.source in _EMPTY else line for line in found.entries]
    default = next((line.value for line in lines if line.source == "default"), "")
    for line in lines:
        if line.source in _NOT_FOLLOWED:
            draft.note(line.line, f"not followed: {_NOT_FOLLOWED[line.source].format(line.value)}")
    entries = [line for line in lines if line.source not in {"default", *_SPECIAL}]
    exceptions: list[Any] = []
    # By value and by how many exceptions come first. nginx looks at exact texts before any pattern.
    groups: dict[tuple[str, int], list[MapLine]] = {}
    for line in sorted(entries, key=_is_pattern):
        if line.value == default or line.value.lower() in HARMLESS:
            condition = _condition(draft, line, field)
            exceptions += [] if condition is None else [condition]
        else:
            groups.setdefault((line.value, len(exceptions) if _is_pattern(line) else 0), []).append(line)
    for (value, count), members in groups.items():
        _add_rule(draft, found.target, field, value, members, exceptions[:count])


def _is_pattern(line: MapLine) -> bool:
    return line.source.startswith("~")


def _add_rule(draft: Draft, target: str, field: str, value: str, members: Sequence[MapLine], exceptions: Sequence[Any]) -> None:
    found = [condition for line in members if (condition := _condition(draft, line, field)) is not None]
    if not found:
        return
    conditions = [condition for condition in found if not isinstance(condition, dict)]
    patterns = [condition["regex"] for condition in found if isinstance(condition, dict)]
    when = combined("any", [{field: each} for each in (*conditions, *[{"regex": one_or_list(patterns)}] * bool(patterns))])
    if exceptions:
        when["not"] = combined("any", [{field: each} for each in exceptions])
    label = f"{slug(target)}-{slug(value)}" if value != "1" else slug(target)
    why = f"The nginx map {target} gave them the value {value}."[:200]
    rule = draft.add(label, why, when, "reject", members[0].line)
    if field != "user_agent":
        return
    examples = [example for example in map(example_of, patterns) if example is not None][:3]
    examples += [""] if list(MISSING_OR_EMPTY) in conditions else []
    draft.tests += [DraftTest({field: example}, f"reject by {rule.name}") for example in examples]


def _condition(draft: Draft, line: MapLine, field: str) -> Any:
    """What a line of the map compares with the field; None with a note when rules cannot."""
    return _regex(draft, line, field) if _is_pattern(line) else _exact(draft, line, field)


def _exact(draft: Draft, entry: MapLine, field: str) -> Any:
    """A text that is compared whole: as it is, or as a regex where nginx ignores case and rules do not."""
    text = entry.source.removeprefix("\\")
    if field == "client":
        return text
    if not text and field not in ALWAYS_THERE:
        return list(MISSING_OR_EMPTY)
    if not text or field in {"host", "method"} or not any(char.isalpha() for char in text):
        return text
    return _checked(draft, entry, f"(?i)^{re.escape(text)}$".replace(r"\ ", " ").replace(r"\-", "-"), field)


def _regex(draft: Draft, entry: MapLine, field: str) -> dict[str, str] | None:
    """The pattern in RE2."""
    ignores_case = entry.source.startswith("~*")
    pattern = entry.source[2:] if ignores_case else entry.source[1:]
    if field in {"client", "method"}:
        draft.note(entry.line, f"'{pattern[:60]}' was left out: {field} is compared with values, not with patterns")
        return None
    return _checked(draft, entry, pattern, field, ignores_case=ignores_case)


def _checked(draft: Draft, entry: MapLine, pattern: str, field: str, *, ignores_case: bool = False) -> dict[str, str] | None:
    whole = f"(?i){pattern}" if ignores_case else pattern
    try:
        check_regex(whole)
    except Fault as fault:
        draft.note(entry.line, f"'{pattern[:60]}' was left out: {fault.message}; {fault.hint}")
        return None
    if field == "user_agent" and entry.value.lower() not in HARMLESS:
        _warn(draft, entry, pattern, whole)
    return {"regex": whole}


def _warn(draft: Draft, entry: MapLine, pattern: str, whole: str) -> None:
    hit = browser_hit(TextKind.REGEX, whole)
    if hit is not None:
        draft.note(entry.line, f"'{pattern[:60]}' is in the user agents of real browsers, such as {hit}")
    elif _BARE_NAME.fullmatch(pattern) and len(pattern) < _SHORT:
        draft.note(entry.line, f"'{pattern}' is so short that it is part of other names; word: finds it only as a whole word")


def _maps(text: str, draft: Draft) -> Iterator[Map]:
    tokens = list(_tokens(text))
    at = 0
    while at < len(tokens):
        if tokens[at][1] == "map" and at + 3 < len(tokens) and tokens[at + 3][1] == "{" and not tokens[at + 3][2]:
            line, source, target = tokens[at][0], tokens[at + 1][1], tokens[at + 2][1]
            entries, at = _entries(tokens, at + 4, draft)
            yield Map(line, source, target, entries)
        else:
            at += 1


Token = tuple[int, str, bool]
"""Line, text, and whether it was quoted: a quoted brace is no brace."""


def _entries(tokens: Sequence[Token], at: int, draft: Draft) -> tuple[list[MapLine], int]:
    entries: list[MapLine] = []
    statement: list[Token] = []
    while at < len(tokens):
        line, text, quoted = tokens[at]
        at += 1
        if not quoted and text == "}":
            break
        if quoted or text != ";":
            statement.append(tokens[at - 1])
            continue
        if len(statement) == 2:
            entries.append(MapLine(statement[0][0], statement[0][1], statement[1][1]))
        elif len(statement) == 1 and statement[0][1] in _SPECIAL:
            entries.append(MapLine(line, statement[0][1], ""))
        elif statement:
            draft.note(statement[0][0], f"'{statement[0][1][:60]}' is not a line of a map: it has {len(statement)} parts")
        statement = []
    return entries, at


_TOKEN: Final = re.compile(
    r"""\s+|\#[^\n]*|"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([;{}])|((?:[^\s;{}"'\\]|\\.|(?<=\S)["'{}](?![\s;]))+)""", re.DOTALL
)


def _tokens(text: str) -> Iterator[Token]:
    """nginx's words. Raises ImportFault for a quote that is not closed."""
    at, line, count = 0, 1, 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ImportFault(f"line {line}: a quote that is not closed, or a \\ at the end")
        whole = found[0]
        double, single, mark, bare = found.groups()
        if double is not None or single is not None:
            quote = '"' if double is not None else "'"
            yield line, (double if double is not None else single).replace("\\" + quote, quote), True
        elif mark is not None or bare is not None:
            yield line, mark or bare, False
        line += whole.count("\n")
        at = found.end()
        count += 1
        if count > MAX_TOKENS:
            raise ImportFault(f"the file has more than {MAX_TOKENS} words")
