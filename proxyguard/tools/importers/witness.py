"""Requests for which a condition holds, as far as they are easily made up. They are guesses: `proofs` tries each of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, product
from typing import Any, Final
from urllib.parse import quote

from proxyguard.tools.importers.conditions import Condition
from proxyguard.tools.importers.draft import DraftRule, DraftTest
from proxyguard.tools.importers.samples import BROWSER, example_of

MAX_GUESSES: Final = 6
"""For each rule."""

MAX_VALUES: Final = 3
"""Of a list that are tried."""

MAX_REPEAT: Final = 2000

OTHER_CLIENT: Final = "198.18.77.9"
"""Of the network for benchmarks, which stands in no list."""

MAX_DEPTH: Final = 20

Facts = dict[str, str | None]
"""Values of fields; None: the field is missing."""

_OTHER_METHODS: Final = ("DELETE", "POST", "TRACE")
_QUOTED_SAFE: Final = "/!$&'()*+,;=:@~%?"


def guesses(rule: DraftRule, lists: Mapping[str, list[str]]) -> Iterator[DraftTest]:
    """Tests that may hold for the rule, likely ones first."""
    for facts in islice(_facts(rule.when, lists, 0), MAX_GUESSES):
        request = _request(facts)
        if request is None:
            continue
        for tried in (request, request | {"user_agent": BROWSER}):
            test = _test(rule, tried) if tried is request or "user_agent" not in facts else None
            if test is not None:
                yield test


def _test(rule: DraftRule, request: dict[str, Any]) -> DraftTest | None:
    kind = next(iter(rule.action)) if isinstance(rule.action, dict) else str(rule.action)
    if kind in {"tag", "score"}:
        return None  # they decide nothing, and a test puts in force what decides
    expect = f"{kind} by {rule.name}"
    limit = rule.limit
    if limit is None:
        return DraftTest(request, expect)
    if "concurrent" in limit:
        return DraftTest(request, expect, under_way=int(limit["concurrent"]))
    count = limit.get("count", "requests")
    amount = int(limit.get("burst") or str(limit["rate"]).partition("/")[0])
    if amount >= MAX_REPEAT or not (count == "requests" or "status" in count):
        return None
    if isinstance(count, dict):
        statuses = count["status"]
        status = str(statuses[0] if isinstance(statuses, list) else statuses).replace("xx", "00")
        return DraftTest(request, expect, repeat=amount + 1, status=status)
    return DraftTest(request, expect, repeat=amount + 1)


def _facts(condition: Condition, lists: Mapping[str, list[str]], depth: int) -> Iterator[Facts]:
    """Facts for which the condition is likely to hold."""
    if depth > MAX_DEPTH:
        return
    choices: list[Iterable[Facts]] = []
    for key, value in condition.items():
        if key == "all":
            choices += [list(islice(_facts(part, lists, depth + 1), MAX_GUESSES)) for part in value]
        elif key == "any":
            choices.append([facts for part in value[:MAX_GUESSES] for facts in islice(_facts(part, lists, depth + 1), 2)])
        elif key == "not":
            choices.append(list(_avoiding(value)))
        else:
            choices.append([{key: found} for found in islice(_values(key, value, lists), MAX_GUESSES)])
    for chosen in islice(product(*choices), 40):
        yield _merged(chosen)


def _avoiding(condition: Condition) -> Iterator[Facts]:
    """Facts that often keep a condition from holding: other values of the fields that it names."""
    named = sorted(set(fields_in(condition)))
    if "method" in named:
        for method in _OTHER_METHODS:
            yield {"method": method}
    if "http_version" in named:
        yield {"http_version": "1.0"}
    if "header.referer" in named:
        yield {"header.referer": "https://elsewhere.example/"}
    yield {}
    if "client" in named:
        yield {"client": OTHER_CLIENT}
    others = [field for field in named if field.partition(".")[0] in {"header", "user_agent", "cookie", "query"}]
    if others:
        yield dict.fromkeys(others, "other")


def fields_in(condition: Any) -> Iterator[str]:
    """The fields that a condition names, however deep."""
    if isinstance(condition, list):
        for each in condition:
            yield from fields_in(each)
    elif isinstance(condition, dict):
        for key, value in condition.items():
            if key in {"any", "all", "not"}:
                yield from fields_in(value)
            else:
                yield key


def hosts_in(condition: Condition, lists: Mapping[str, list[str]]) -> list[str]:
    """Some hosts that a condition names."""
    return values_in("host", condition, lists)


def values_in(field: str, condition: Condition, lists: Mapping[str, list[str]]) -> list[str]:
    """Some values that a condition wants a field to have."""
    found: list[str] = []
    parts: list[Any] = [condition]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts += part
        elif isinstance(part, dict):
            parts += [part[key] for key in ("any", "all") if key in part]
            if field in part:
                found += [value for value in islice(_values(field, part[field], lists), MAX_VALUES) if value]
    return found


def _merged(parts: Iterable[Facts]) -> Facts:
    """All facts; of two that differ for a path both, one after the other, else the last."""
    merged: Facts = {}
    for part in parts:
        for key, value in part.items():
            known = merged.get(key)
            merged[key] = known + value.removeprefix("/x") if key == "path" and known and value and known != value else value
    return merged


def _values(field: str, value: Any, lists: Mapping[str, list[str]]) -> Iterator[str | None]:
    if isinstance(value, list):
        for each in value[: 2 * MAX_VALUES]:
            yield from islice(_values(field, each, lists), MAX_VALUES)
    elif isinstance(value, dict):
        for matcher, texts in value.items():
            if matcher == "not":
                yield from _other(field)
            for text in (texts if isinstance(texts, list) else [texts])[: 2 * MAX_VALUES]:
                if isinstance(text, str):
                    for one in _of_list(text, lists):
                        yield from _of_matcher(field, matcher, one)
    elif value == "absent":
        yield None
    elif value == "present":
        yield "x"
    else:
        yield from (text.removeprefix("$") if text.startswith("$$") else text for text in _of_list(str(value), lists))


def _of_list(text: str, lists: Mapping[str, list[str]]) -> list[str]:
    name = text.removeprefix("$")
    return lists[name][:MAX_VALUES] if text.startswith("$") and name in lists else [text]


def _other(field: str) -> Iterator[str | None]:
    match field:
        case "method":
            yield from _OTHER_METHODS
        case "http_version":
            yield "1.0"
        case "client":
            yield "192.0.2.1"
        case "host":
            yield "other.example"
        case _:
            yield from ("/other" if field == "path" else "other", None)


def _of_matcher(field: str, matcher: str, text: str) -> Iterator[str | None]:
    made: str | None
    match matcher:
        case "regex":
            made = example_of(text)
            if made is not None and field == "path" and not made.startswith("/"):
                made = f"/{made}" if not text.removeprefix("(?i)").startswith("^") else None
        case "glob":
            made = text.replace("*", "x").replace("?", "x")
        case "suffix" | "contains" if field == "path" and not text.startswith("/"):
            made = f"/x{text}"
        case "suffix" if field == "host":
            made = f"www{text}" if text.startswith(".") else text
        case "at_least" | "at_most" | "in" | "prefix" | "suffix" | "contains" | "word":
            made = text.removeprefix("$") if text.startswith("$$") else text
        case _:
            made = None
    if made is not None:
        yield made


def _request(facts: Facts) -> dict[str, Any] | None:
    """The facts as the request of a test; None when a request cannot have them."""
    request: dict[str, Any] = {}
    query: list[str] = []
    for field, value in facts.items():
        kind, _, name = field.partition(".")
        if value is None:
            continue
        if not value.isprintable() or not value.isascii():
            return None
        match kind:
            case "client":
                request["client"] = value.partition("/")[0]
            case "path":
                request["path"] = quote(value if value.startswith("/") else f"/{value}", safe=_QUOTED_SAFE.replace("?", ""))
            case "query_string":
                query.append(quote(value, safe=_QUOTED_SAFE))
            case "query":
                query.append(f"{quote(name)}={quote(value, safe='')}")
            case "header":
                request.setdefault("headers", {})[name] = value
            case "cookie":
                request.setdefault("cookies", {})[name] = value
            case "user_agent" | "method" | "scheme" | "host" | "http_version":
                request[kind] = value
            case _:
                return None
    if query:
        request["path"] = f"{request.get('path', '/')}?{'&'.join(query)}"
    return request or {"path": "/"}
