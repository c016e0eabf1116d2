"""Names in back-ticks that docstrings of modules and classes mention exist: a renamed attribute is renamed there too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "proxyguard"

FILES = sorted(PACKAGE.rglob("*.py"))

TICKED = re.compile(r"`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)`")


def names_in(tree: ast.AST) -> Iterator[str]:
    """Every name that code mentions, and every word of its short texts, such as keys and tokens; not its docstrings."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.alias(name=name, asname=alias):
                yield from (*name.split("."), alias or "")
            case ast.Constant(value=str(text)) if len(text) < 80:
                yield from re.findall(r"\w+", text)
            case ast.Constant(value=bytes(data)) if len(data) < 80:
                yield from re.findall(r"\w+", data.decode("latin-1"))


def top_level(tree: ast.Module) -> Iterator[str]:
    """What a module defines for others."""
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.TypeAlias(name=ast.Name(id=name)):
                yield name


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def package_names() -> set[str]:
    """What modules define for others, and what they are called."""
    return {
        *(name for path in FILES for name in top_level(tree_of(path))),
        *(part for path in FILES for part in path.relative_to(PACKAGE.parent).with_suffix("").parts),
    }


@cache
def operators_words() -> set[str]:
    """Settings, commands, and the words of the rule language."""
    return {
        word
        for page in (PACKAGE.parent / "docs" / "reference").glob("*.md")
        for ticked in re.findall(r"`([^`]+)`", page.read_text())
        for word in re.findall(r"[A-Za-z_]\w*", ticked)
    }


EXAMPLES = {"GET", "NO", "X_Forwarded_For", "websocket"}
"""Values of the web and of YAML."""


@pytest.mark.long
def test_names_in_docstrings_exist() -> None:
    unknown = {str(path.relative_to(PACKAGE)): unknown_names(path) for path in FILES}
    assert {path: names for path, names in unknown.items() if names} == {}


def unknown_names(path: Path) -> list[str]:
    """Names in back-ticks that neither the file nor the package nor an operator's page has."""
    tree = tree_of(path)
    docs = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef)]
    ticked = {name for node in docs for name in TICKED.findall(ast.get_docstring(node) or "")}
    known = {*package_names(), *operators_words(), *EXAMPLES}
    if all(known.issuperset(name.split(".")) for name in ticked):
        return []
    known.update(names_in(tree))
    return [name for name in sorted(ticked) if not known.issuperset(name.split("."))]
