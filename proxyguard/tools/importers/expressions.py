"""The simplest expressions of an Anubis policy (CEL) as conditions: comparisons of one field, joined by and, or, not.

Everything else raises NotCarried. The parser knows only the few forms that people write.
"""

from __future__ import annotations

import re
from typing import Any, Final

from proxyguard.core.yaml.nodes import Mapping, Node, Scalar, Sequence
from proxyguard.tools.importers.draft import combined
from proxyguard.tools.importers.samples import MISSING_OR_EMPTY

MAX_DEPTH: Final = 20

_FIELDS: Final = {"userAgent": "user_agent", "path": "path", "method": "method", "host": "host"}
_ALWAYS_THERE: Final = frozenset({"path", "method", "host"})
_METHODS: Final = {"contains": "contains", "startsWith": "prefix", "endsWith": "suffix", "matches": "regex"}
_STRING: Final = r'(?:"((?:[^"\\]|\\.)*)"|' + r"'((?:[^'\\]|\\.)*)')"

_OPERAND: Final = r"(userAgent|path|method|host|headers\[\s*" + _STRING + r"\s*\])"
_EQUAL: Final = re.compile(_OPERAND + r"\s*(==|!=)\s*" + _STRING)
_CALL: Final = re.compile(_OPERAND + r"\.(contains|startsWith|endsWith|matches)\(\s*" + _STRING + r"\s*\)")
_IN_HEADERS: Final = re.compile(_STRING + r"\s+in\s+headers")
_WEIGHT: Final = re.compile(r"weight\s*(<=|>=|<|>|==)\s*(-?\d{1,6}(?:\.\d{1,3})?)")


class NotCarried(Exception):
    """A part that the rule language has no form for. The message names it."""


def condition_of(node: Node) -> dict[str, Any]:
    """An expression, or a mapping of `all` or `any` to expressions, as a condition. Raises NotCarried."""
    if isinstance(node, Mapping):
        for key in ("all", "any"):
            texts = _listed(node, key)
            if texts and len(node.entries) == 1:
                return combined(key, [_Reader(text).read() for text in texts])
        raise NotCarried("its expression is neither a text nor one list of all or any")
    return _Reader(_expression(node)).read()


def score_of(node: Node) -> dict[str, Any]:
    """An expression on the weight as a condition on the score. Raises NotCarried."""
    texts = _listed(node, "all") or [_expression(node)]
    bounds: dict[str, str] = {}
    for text in " && ".join(texts).split("&&"):
        found = _WEIGHT.fullmatch(text.strip().strip("()").strip())
        if found is None:
            raise NotCarried(f"the expression '{text.strip()[:60]}' is not a comparison of the weight with a number")
        sign, number = found[1], float(found[2])
        step = 0.001 if sign in {"<", ">"} else 0.0
        if sign in {">=", ">", "=="}:
            bounds["at_least"] = f"{number + step:g}"
        if sign in {"<=", "<", "=="}:
            bounds["at_most"] = f"{number - step:g}"
    return {"score": bounds}


def _listed(node: Node, key: str) -> list[str]:
    if not isinstance(node, Mapping):
        return []
    value = next((entry.value for entry in node.entries if entry.key.text == key), None)
    return [_expression(item) for item in value.items] if isinstance(value, Sequence) else []


def _expression(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise NotCarried("its expression is not a text")
    return node.text


class _Reader:
    """Reads one expression from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text.strip()
        self._at = 0
        self._depth = 0

    def read(self) -> dict[str, Any]:
        found = self._either()
        if self._at < len(self._text):
            raise self._fault()
        return found

    def _fault(self) -> NotCarried:
        return NotCarried(f"its expression '{self._text[:80]}' is more than rules can say")

    def _take(self, token: str) -> bool:
        """Skip white space and, if it follows, the token."""
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        if self._text.startswith(token, self._at):
            self._at += len(token)
            return True
        return False

    def _either(self) -> dict[str, Any]:
        parts = [self._both()]
        while self._take("||"):
            parts.append(self._both())
        return combined("any", parts)

    def _both(self) -> dict[str, Any]:
        parts = [self._one()]
        while self._take("&&"):
            parts.append(self._one())
        return combined("all", parts)

    def _one(self) -> dict[str, Any]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._fault()
        try:
            if self._take("!"):
                return {"not": self._one()}
            if self._take("("):
                found = self._either()
                if not self._take(")"):
                    raise self._fault()
                return found
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> dict[str, Any]:
        self._take("")
        for pattern, make in ((_EQUAL, _equal), (_CALL, _call), (_IN_HEADERS, _in_headers)):
            found = pattern.match(self._text, self._at)
            if found is not None:
                self._at = found.end()
                self._take("")
                return make(found)
        raise self._fault()


def _equal(found: re.Match[str]) -> dict[str, Any]:
    value = _string(found, 5)
    field = _field(found)
    condition = {field: value if value or field in _ALWAYS_THERE else list(MISSING_OR_EMPTY)}
    return condition if found[4] == "==" else {"not": condition}


def _call(found: re.Match[str]) -> dict[str, Any]:
    return {_field(found): {_METHODS[found[4]]: _string(found, 5)}}


def _in_headers(found: re.Match[str]) -> dict[str, Any]:
    return {f"header.{_string(found, 1).lower()}": "present"}


def _field(found: re.Match[str]) -> str:
    name = found[1]
    return _FIELDS[name] if name in _FIELDS else f"header.{_string(found, 2).lower()}"


def _string(found: re.Match[str], first: int) -> str:
    text = found[first] if found[first] is not None else found[first + 1]
    return re.sub(r"\\(.)", r"\1", text)
