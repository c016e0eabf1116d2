"""CrowdSec's scenarios: buckets that leak, and triggers, as limits and rules that ban.

A leaky bucket of capacity C with a leak every L is a limit of one in L with a burst of C: it overflows at the same request.
A trigger bans at once. How long a ban lasts is in CrowdSec's profiles, four hours when nobody changed them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from proxyguard.core.problems import Report
from proxyguard.core.yaml.nodes import Mapping, Node, Scalar, read_yaml
from proxyguard.tools.importers.cel import FunctionCall, Index, Many, Name, Operation, TextLiteral, Tree, parse_expression
from proxyguard.tools.importers.conditions import ALWAYS, Condition, every, negated, some
from proxyguard.tools.importers.draft import Draft, ImportFault, NotCarried, not_carried, one_or_list
from proxyguard.tools.importers.patterns import pattern_condition, text_condition
from proxyguard.tools.importers.request_line import target_condition
from proxyguard.tools.importers.sources import Sources

BAN: Final = "4h"
"""The duration of CrowdSec's default profile."""

_STATIC: Final = "(?i)\\.(?:jpe?g|png|gif|svg|webp|ico|css|js|mjs|woff2?|ttf|otf|eot|map|mp4|webm|mp3|pdf)$"
_FIELDS: Final = {
    "http_path": "path", "request": "target", "http_user_agent": "user_agent", "http_verb": "method", "verb": "method",
    "target_fqdn": "host", "target_uri": "path", "http_args": "query_string", "source_ip": "client",
    "http_referer": "header.referer",
    "http_host": "host", "fqdn": "host", "uri": "path", "file_name": "file", "file_ext": "ending", "file_frag": "file",
}  # fmt: skip
_PER: Final = {
    "source_ip": "client",
    "target_fqdn": "host",
    "http_path": "path",
    "http_user_agent": "user_agent",
    "request": "path",
}
_LOG: Final = frozenset({"service", "log_type", "program", "type", "http_version"})
_OPERATORS: Final = {"==": "equal", "contains": "contains", "startsWith": "prefix", "endsWith": "suffix"}
_DURATION: Final = re.compile(r"\d+(?:\.\d+)?(?:ms|s|m|h)")


def read_crowdsec(sources: Sources, name: str) -> Draft:
    """A draft of the rules. Raises ImportFault."""
    draft = Draft(name, "CrowdSec scenarios for the access log.")
    found = False
    for source in sources.named:
        for text, first in _documents(source.text):
            report = Report("")
            root = read_yaml(text, report)
            if root is None:
                problem = report.finished()[0]
                raise ImportFault(f"line {problem.line + first}: {problem.message}", source.name)
            if isinstance(root, Mapping):
                found = True
                file = "" if len(sources.named) == 1 else source.name
                _scenario(draft, sources, root, first, file)
    if not found:
        raise ImportFault("it is no scenario of CrowdSec: it has no type: and filter:")
    if draft.rules:
        draft.note(0, f"the bans last {BAN}, as in CrowdSec's default profile; yours may say something else")
    return draft


def _documents(text: str) -> Iterator[tuple[str, int]]:
    """The documents of a file, with how many lines come before each."""
    lines: list[str] = []
    first = 0
    for number, line in enumerate(text.splitlines()):
        if line.rstrip() == "---":
            if any(each.strip() and not each.startswith("#") for each in lines):
                yield "\n".join(lines), first
            lines, first = [], number + 1
        else:
            lines.append(line)
    if any(each.strip() and not each.startswith("#") for each in lines):
        yield "\n".join(lines), first


def _get(node: Node, key: str) -> str:
    if isinstance(node, Mapping):
        for entry in node.entries:
            if entry.key.text == key and isinstance(entry.value, Scalar):
                return entry.value.text.strip()
    return ""


def _has(root: Mapping, key: str) -> bool:
    return any(entry.key.text == key for entry in root.entries)


def _scenario(draft: Draft, sources: Sources, root: Mapping, first: int, file: str) -> None:
    label, kind = _get(root, "name") or "scenario", _get(root, "type")
    line = root.line + first
    reader = _Filter(sources)
    try:
        if not kind:
            whose = "a whitelist, which an allow rule would say" if _has(root, "whitelist") else "no scenario: it has no type"
            not_carried(f"it is {whose}")
        if kind not in {"leaky", "trigger"}:
            not_carried(f"a bucket of the type '{kind[:30]}' is not one that rules have")
        when = reader.condition(parse_expression(_get(root, "filter")))
        if when is None:
            not_carried("its filter is about another log than the web server's")
        limit = _limit(root, reader) if kind == "leaky" else None
        if limit is None and reader.statuses:
            limit = {"rate": "1/1h", "burst": "1", "count": {"status": one_or_list(reader.statuses)}, "per": ["client"]}
        if limit is None and not when:
            not_carried("its filter holds for every request")
    except NotCarried as error:
        draft.note(line, f"{label[:60]} was left out: {error}", file)
        return
    for key in ("blackhole", "cancel_on", "condition", "overflow_filter", "scope", "reprocess"):
        if any(entry.key.text == key for entry in root.entries) and key != "blackhole" and _get(root, key) not in {"false", ""}:
            draft.note(line, f"{label[:60]}: {key} was left out: rules have nothing like it", file)
    why = f"CrowdSec's {label}: {_get(root, 'description')}"[:199].rstrip(": .") + "."
    draft.add(label.rpartition("/")[2], why, when, {"ban": {"for": BAN}}, line, limit=limit)


def _limit(root: Mapping, reader: _Filter) -> dict[str, Any]:
    """The bucket as a limit. Raises NotCarried."""
    capacity, leak = _get(root, "capacity"), _get(root, "leakspeed")
    if not capacity.isdigit() or not int(capacity) or not _DURATION.fullmatch(leak) or not float(leak.rstrip("msh") or 0):
        raise NotCarried(f"its capacity '{capacity[:20]}' and leakspeed '{leak[:20]}' are not a limit that rules have")
    limit: dict[str, Any] = {"per": _per(_get(root, "groupby"))}
    distinct = _get(root, "distinct")
    if distinct:
        if reader.statuses:
            raise NotCarried("it counts different values among answers of some statuses; rules count one or the other")
        period = _seconds(leak) * int(capacity)
        part = _FIELDS.get(distinct.rpartition(".")[2], "")
        part = {"target": "path", "file": "path"}.get(part, part)
        if part not in {"path", "user_agent", "host"}:
            raise NotCarried(f"rules do not count different values of {distinct[:40]}")
        return {"rate": f"{capacity}/{period:g}s", "count": {"distinct": part}, **limit}
    limit = {"rate": f"1/{leak}", "burst": capacity, **limit}
    return limit | ({"count": {"status": one_or_list(reader.statuses)}} if reader.statuses else {})


def _seconds(text: str) -> float:
    number = float(text.rstrip("msh"))
    return number * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[text.lstrip("0123456789.")]


def _per(text: str) -> list[str]:
    names = re.findall(r"evt\.\w+\.(\w+)", text)
    if not names or any(name not in _PER for name in names):
        raise NotCarried(f"limits do not count per {text[:50] or 'nothing'}")
    return list(dict.fromkeys(_PER[name] for name in names))


class _Filter:
    """A filter as a condition; statuses that all of it asks for are kept apart, since only limits can count them."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.statuses: list[str] = []

    def condition(self, tree: Tree) -> Condition | None:
        """The whole filter. Raises NotCarried."""
        parts: list[Condition | None] = []
        for each in _joined_by_and(tree):
            statuses = _statuses(each)
            if statuses and self.statuses:
                raise NotCarried("its filter asks for the status twice")
            if statuses:
                self.statuses = statuses
            else:
                parts.append(self._of(each))
        return every(parts)

    def _of(self, tree: Tree) -> Condition | None:
        match tree:
            case Operation("||", operands):
                return some(self._of(each) for each in operands)
            case Operation("&&", operands):
                return every(self._of(each) for each in operands)
            case Operation("!", (inner,)):
                return negated(self._of(inner))
            case Operation("!=", (left, right)):
                return negated(self._compared("==", left, right))
            case Operation(sign, (left, right)):
                return self._compared(sign, left, right)
            case FunctionCall("RegexpInFile", (subject, TextLiteral(file))):
                field, lower = _field(subject)
                return some(pattern_condition(field, line, ignore_case=lower) for line in self._lines(file))
            case FunctionCall("any", (FunctionCall("File", (TextLiteral(file),)), body)):
                return some(self._of(_with_item(body, TextLiteral(line))) for line in self._lines(file))
            case _:
                raise NotCarried("its filter is more than rules can say")

    def _compared(self, sign: str, left: Tree, right: Tree) -> Condition | None:
        if isinstance(left, Name) and left.path.rpartition(".")[2] in _LOG:
            texts = [
                each.value for each in (right.items if isinstance(right, Many) else (right,)) if isinstance(each, TextLiteral)
            ]
            return ALWAYS if any("http" in text or text in {"nginx", "apache2", "caddy", "traefik"} for text in texts) else None
        if (
            isinstance(left, Name)
            and left.path.endswith(("static_ressource", "static_resource"))
            and isinstance(right, TextLiteral)
        ):
            found: Condition = {"path": {"regex": _STATIC}}
            return found if right.value == "true" else negated(found)
        field, lower = _field(left)
        right = _with_item(right, TextLiteral(""))
        if sign == "matches" and isinstance(right, TextLiteral):
            return _matching(field, right.value, lower=lower)
        texts = _texts(right, self._lines)
        matcher = _OPERATORS.get(sign) or ("equal" if sign == "in" else "")
        if not matcher or field == "client":
            raise NotCarried(f"rules do not compare {field} with {sign}")
        if field == "target":
            anchors = {"equal": ("^", "$"), "contains": ("", ""), "prefix": ("^", ""), "suffix": ("", "$")}[matcher]
            return some(_matching(field, anchors[0] + re.escape(text) + anchors[1], lower=lower) for text in texts)
        if field in {"file", "ending"}:
            return text_condition(
                "path", "suffix", [f"/{text}" if field == "file" else text for text in texts], ignore_case=lower
            )
        if sign in {"==", "in"} and "" in texts:
            return some([{field: ["absent", ""]}, text_condition(field, matcher, texts, ignore_case=lower)])
        return text_condition(field, matcher, texts, ignore_case=lower)

    def _lines(self, name: str) -> list[str]:
        opened = self._sources.beside(name) or self._sources.beside(f"data/{name}")
        if not opened:
            raise NotCarried(f"the file {name[:60]} does not lie beside this one")
        return [
            line.strip() for source in opened for line in source.text.splitlines() if line.strip() and not line.startswith("#")
        ]


def _with_item(tree: Tree, item: TextLiteral) -> Tree:
    """The tree with an item in the place of `#`."""
    match tree:
        case Name("#"):
            return item
        case Operation(sign, operands):
            return Operation(sign, tuple(_with_item(each, item) for each in operands))
        case FunctionCall("Upper" | "Lower", (Name("#"),)):
            return item
        case FunctionCall("Upper" | "Lower", (TextLiteral() as text,)):
            return text
        case FunctionCall(name, args, of):
            return FunctionCall(name, tuple(_with_item(each, item) for each in args), of)
        case _:
            return tree


def _matching(field: str, pattern: str, *, lower: bool) -> Condition | None:
    if field == "target":
        return target_condition(pattern, ignore_case=lower)
    return pattern_condition("path" if field in {"file", "ending"} else field, pattern, ignore_case=lower)


def _joined_by_and(tree: Tree) -> Iterator[Tree]:
    if isinstance(tree, Operation) and tree.sign == "&&":
        for each in tree.operands:
            yield from _joined_by_and(each)
    else:
        yield tree


def _statuses(tree: Tree) -> list[str]:
    """The statuses that a comparison asks for; empty when it is about something else."""
    match tree:
        case Operation("==" | "in" as sign, (Name(path), right)) if path.endswith("http_status"):
            items = right.items if isinstance(right, Many) and sign == "in" else (right,)
            return [each.value for each in items if isinstance(each, TextLiteral)]
        case Operation("startsWith", (Name(path), TextLiteral(text))) if path.endswith("http_status") and len(text) == 1:
            return [f"{text}xx"]
        case Operation("||", operands):
            found = [_statuses(each) for each in operands]
            return [status for each in found for status in each] if all(found) else []
        case _:
            return []


def _field(tree: Tree) -> tuple[str, bool]:
    """The field, and whether its case is ignored. Raises NotCarried."""
    match tree:
        case FunctionCall("Lower" | "Upper", (inner,)) | FunctionCall("lower" | "upper", (inner,)):
            return _field(inner)[0], True
        case FunctionCall("PathUnescape" | "QueryUnescape" | "URLDecode", (inner,)):
            return _field(inner)
        case Index(Name(path), TextLiteral(name)):
            return _field(Name(f"{path}.{name}"))
        case Name(path):
            name = path.rpartition(".")[2]
            if name in _FIELDS and path.startswith("evt."):
                return _FIELDS[name], False
            raise NotCarried(f"rules have no field like {path[:60]}")
        case _:
            raise NotCarried("its filter is more than rules can say")


def _texts(tree: Tree, lines: Any) -> list[str]:
    match tree:
        case TextLiteral(value):
            return [value]
        case Many(items) if all(isinstance(each, TextLiteral) for each in items):
            return [each.value for each in items if isinstance(each, TextLiteral)]
        case FunctionCall("File", (TextLiteral(name),)):
            found: list[str] = lines(name)
            return found
        case _:
            raise NotCarried("its filter compares with something that is no text")
