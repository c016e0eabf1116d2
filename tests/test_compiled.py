"""The compiled build: what is in it, and that all of it or nothing of it runs here."""

from __future__ import annotations

import ast
import pickle
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

import hatch_build
from proxyguard import __version__
from proxyguard.cli import main
from proxyguard.core.build_info import BUILD_KIND
from proxyguard.core.settings import Settings
from tests.paths import ROOT

pytestmark = pytest.mark.long

MODULES = hatch_build.compiled_modules(ROOT)


@pytest.mark.parametrize("path", MODULES)
def test_a_module_of_the_list_is_compiled_or_none_is(path: str) -> None:
    spec = find_spec(path.removesuffix(".py").replace("/", "."))
    assert spec
    assert spec.origin
    found = "compiled" if spec.origin.endswith(tuple(EXTENSION_SUFFIXES)) else "interpreted"
    assert found == BUILD_KIND
    assert Path(spec.origin).is_relative_to(ROOT)  # the tree of these tests, not another one's


def test_the_version_says_which_build_it_is() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"proxyguard {__version__} ({BUILD_KIND})\n"


def test_settings_reach_workers() -> None:
    """By pickle, which a frozen class that is compiled does not survive."""
    assert pickle.loads(pickle.dumps(Settings())) == Settings()


@pytest.mark.parametrize("path", MODULES)
def test_no_compiled_class_has_keywords_for_the_compiler_drops_them(path: str) -> None:
    classes = [node for node in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(node, ast.ClassDef)]
    dropped = [node.name for node in classes if any(keyword.arg != "metaclass" for keyword in node.keywords)]
    assert dropped == []
