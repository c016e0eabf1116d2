"""Expressions of CEL (Anubis) and of expr (CrowdSec): one grammar for both, read into a tree.

Operators: `||`/`or`, `&&`/`and`, `!`/`not`, comparisons, `in`, and `contains`, `matches`, `startsWith`, `endsWith` between two
operands; calls, indexes, members, lists, texts, numbers. Knows nothing of what names mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from proxyguard.tools.importers.draft import NotCarried

MAX_DEPTH: Final = 40
MAX_CHARACTERS: Final = 20_000


@dataclass(frozen=True, slots=True)
class TextLiteral:
    value: str


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    value: float


@dataclass(frozen=True, slots=True)
class Name:
    """A name with its members: `evt.Meta.http_path`."""

    path: str


@dataclass(frozen=True, slots=True)
class Many:
    items: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Index:
    of: Tree
    key: Tree


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """`name(args)`; a method of something has that as `of`."""

    name: str
    args: tuple[Tree, ...]
    of: Tree | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """`sign` with one operand (`!`) or two."""

    sign: str
    operands: tuple[Tree, ...]


Tree = TextLiteral | NumberLiteral | Name | Many | Index | FunctionCall | Operation

_TOKEN: Final = re.compile(
    r"""\s+|//[^\n]*|(r?"(?:[^"\\]|\\.)*"|r?'(?:[^'\\]|\\.)*'|`[^`]*`)|(-?\d+(?:\.\d+)?)|([A-Za-z_]\w*)|(&&|\|\||==|!=|<=|>=|[-!<>()\[\],.{}#?:+*/%])""",
    re.DOTALL,
)
_COMPARISONS: Final = frozenset({"==", "!=", "<", ">", "<=", ">=", "in", "contains", "matches", "startsWith", "endsWith"})
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r"}


def parse_expression(text: str) -> Tree:
    """The tree of an expression. Raises NotCarried."""
    if len(text) > MAX_CHARACTERS:
        raise NotCarried(f"its expression is longer than {MAX_CHARACTERS} characters")
    reader = _Reader(text)
    tree = reader.either()
    reader.expect("")
    return tree


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text.strip()
        self._tokens = list(self._read())
        self._at = 0
        self._depth = 0

    def _fault(self) -> NotCarried:
        shown = re.sub(r"\s+", " ", self._text)[:80]
        return NotCarried(f"its expression '{shown}' is more than rules can say")

    def _read(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        at = 0
        while at < len(self._text):
            token = _TOKEN.match(self._text, at)
            if token is None or token.end() == at:
                raise self._fault()
            at = token.end()
            for kind, value in zip(("text", "number", "name", "sign"), token.groups(), strict=True):
                if value is not None:
                    found.append((kind, value))
        return [*found, ("end", "")]

    @property
    def _next(self) -> str:
        kind, value = self._tokens[self._at]
        return value if kind in {"name", "sign"} else ""

    def _take(self, *values: str) -> bool:
        if self._next and self._next in values:
            self._at += 1
            return True
        return False

    def expect(self, value: str) -> None:
        if not value:
            if self._tokens[self._at][0] != "end":
                raise self._fault()
        elif not self._take(value):
            raise self._fault()

    def either(self) -> Tree:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._fault()
        tree = self._both()
        while self._take("||", "or"):
            tree = Operation("||", (tree, self._both()))
        self._depth -= 1
        return tree

    def _both(self) -> Tree:
        tree = self._compared()
        while self._take("&&", "and"):
            tree = Operation("&&", (tree, self._compared()))
        return tree

    def _compared(self) -> Tree:
        left = self._unary()
        is_not = self._next == "not" and self._tokens[self._at + 1][1] in _COMPARISONS
        if is_not:
            self._at += 1
        sign = self._next
        if sign in _COMPARISONS:
            self._at += 1
            tree: Tree = Operation(sign, (left, self._unary()))
            return Operation("!", (tree,)) if is_not else tree
        return left

    def _unary(self) -> Tree:
        if self._take("!", "not"):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise self._fault()
            tree = Operation("!", (self._compared() if self._tokens[self._at - 1][1] == "not" else self._unary(),))
            self._depth -= 1
            return tree
        return self._postfix(self._primary())

    def _primary(self) -> Tree:
        kind, value = self._tokens[self._at]
        self._at += 1
        if kind == "text":
            return TextLiteral(_unquoted(value))
        if kind == "number":
            return NumberLiteral(float(value))
        if kind == "name":
            return Name(value)
        if value == "(":
            tree = self.either()
            self.expect(")")
            return tree
        if value == "[":
            return Many(self._until("]"))
        if value == "{":  # what is done with each item of a list, which it calls #
            tree = self.either()
            self.expect("}")
            return tree
        if value == "#":
            return Name("#")
        raise self._fault()

    def _postfix(self, tree: Tree) -> Tree:
        while True:
            if self._take("."):
                kind, name = self._tokens[self._at]
                if kind != "name":
                    raise self._fault()
                self._at += 1
                if self._take("("):
                    tree = FunctionCall(name, self._until(")"), tree)
                else:
                    tree = Name(f"{tree.path}.{name}") if isinstance(tree, Name) else Index(tree, TextLiteral(name))
            elif isinstance(tree, Name) and self._take("("):
                tree = FunctionCall(tree.path, self._until(")"))
            elif self._take("["):
                tree = Index(tree, self.either())
                self.expect("]")
            else:
                return tree

    def _until(self, end: str) -> tuple[Tree, ...]:
        items: list[Tree] = []
        while not self._take(end):
            items.append(self.either())
            if not self._take(",") and self._next != end:
                raise self._fault()
        return tuple(items)


def _unquoted(text: str) -> str:
    if text.startswith("`"):
        return text[1:-1]
    if text.startswith("r"):
        return text[2:-1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1], flags=re.DOTALL)
