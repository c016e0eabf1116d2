"""The shape of the package: few rooms, small modules, imports without cycles, one meaning for each public name.

Each bound is a ceiling that may be lowered and is not to be raised.
"""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

from tests.paths import ROOT

PACKAGE = ROOT / "proxyguard"

MAX_ENTRIES = 14
"""Twelve rooms, `__init__.py` and `__main__.py`."""
MAX_LAYERS = 10
MAX_MODULE_LINES = 400
MAX_LINES = 92_440


@cache
def sources() -> Mapping[Path, str]:
    return {path.relative_to(ROOT): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def trees() -> Mapping[Path, ast.Module]:
    return {path: ast.parse(text) for path, text in sources().items()}


def public_types(module: ast.Module) -> Iterator[str]:
    """The public classes and `type` aliases that a module defines at its top."""
    for node in module.body:
        match node:
            case ast.ClassDef(name=name) | ast.TypeAlias(name=ast.Name(id=name)) if not name.startswith("_"):
                yield name


def test_the_package_has_few_rooms() -> None:
    """Markers such as `py.typed`, which a build adds, are no rooms."""
    entries = {path.name for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"} - {"__pycache__"}
    assert len(entries) <= MAX_ENTRIES, sorted(entries)


def test_no_module_is_too_long_to_read() -> None:
    lengths = {str(path): text.count("\n") for path, text in sources().items()}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_MODULE_LINES} == {}


def test_the_package_does_not_grow() -> None:
    assert sum(text.count("\n") for text in sources().values()) <= MAX_LINES


def test_the_layers_are_few() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [top] = [each for each in contracts if each["type"] == "layers" and each.get("containers") == ["proxyguard"]]
    assert len(top["layers"]) <= MAX_LAYERS


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports for annotations alone (`TYPE_CHECKING`) count: whoever reads the one module must know the other."""
    graph = grimp.build_graph("proxyguard", cache_dir=None, exclude_type_checking_imports=False)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        pytest.fail(f"a circle of imports: {circle}", pytrace=False)


@pytest.mark.long
def test_a_public_name_of_a_type_means_one_thing() -> None:
    places = defaultdict(list)
    for path, module in trees().items():
        for name in public_types(module):
            places[name].append(str(path))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_docstrings_say_something() -> None:
    kinds = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    empty = [
        f"{path}:{node.lineno if not isinstance(node, ast.Module) else 1}"
        for path, module in trees().items()
        for node in ast.walk(module)
        if isinstance(node, kinds) and (ast.get_docstring(node) or "").lower().startswith("see the module")
    ]
    assert empty == []
