"""How the compiled build is made: hatch_build.py in a project of two modules, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import hatch_build
from tests.paths import ROOT

pytestmark = pytest.mark.long

PROJECT = """
[project]
name = "proxyguard"
version = "1"
requires-python = ">=3.12"
[tool.hatch.build.targets.wheel.hooks.custom]
[tool.proxyguard]
compiled = ["proxyguard/[a-e]*.py"]
[tool.mypy]
strict = true
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A package of two modules, one of them to be compiled."""
    root = tmp_path / "project"
    package = root / "proxyguard"
    package.mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "hatch_build.py").write_bytes((ROOT / "hatch_build.py").read_bytes())
    (package / "__init__.py").touch()
    (package / "engine.py").write_text("def double(number: int) -> int:\n    return number + number\n")
    (package / "tool.py").write_text("from proxyguard.engine import double\n\nprint(double(21))\n")
    return root


def built(project: Path, backend: str = "build_wheel", **variables: str) -> subprocess.CompletedProcess[str]:
    """Build its wheel into `dist` beside it."""
    code = f"from hatchling.build import {backend}; print({backend}({str(project.parent / 'dist')!r}))"
    environment = {**{name: value for name, value in os.environ.items() if name != hatch_build.VARIABLE}, **variables}
    (project.parent / "work").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", code], cwd=project,
        env={**environment, "TMPDIR": str(project.parent / "work"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def contents(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_the_wheel_has_compiled_modules_beside_their_sources_and_the_tree_stays_as_it_was(project: Path) -> None:
    before = contents(project)
    done = built(project, PROXYGUARD_COMPILE="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(project) == before
    assert list((project.parent / "work").iterdir()) == []
    [wheel] = (project.parent / "dist").iterdir()
    assert "-any" not in wheel.name
    installed = project.parent / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    suffix = EXTENSION_SUFFIXES[0]
    assert {path for path in contents(installed) if not path.startswith("proxyguard-1.dist-info")} == {
        "proxyguard", "proxyguard/__init__.py", "proxyguard/engine.py", f"proxyguard/engine{suffix}", "proxyguard/tool.py",
        f"proxyguard__mypyc{suffix}",
    }  # fmt: skip
    said = subprocess.run([sys.executable, "-m", "proxyguard.tool"], cwd=installed, capture_output=True, check=True)
    assert said.stdout == b"42\n"
    code = "from proxyguard.engine import double; double('a')"  # compiled code holds callers to its annotations
    refused = subprocess.run([sys.executable, "-c", code], cwd=installed, capture_output=True, text=True, check=False)
    assert refused.stderr.endswith("TypeError: int object expected; got str\n")


@pytest.mark.parametrize("variables", [{}, {"PROXYGUARD_COMPILE": ""}, {"PROXYGUARD_COMPILE": "0"}], ids=str)
def test_without_the_variable_the_wheel_is_pure(project: Path, variables: dict[str, str]) -> None:
    assert built(project, **variables).stdout == "proxyguard-1-py3-none-any.whl\n"


def refusal(project: Path, **variables: str) -> str:
    done = built(project, **variables)
    assert done.returncode == 1
    return (done.stdout + done.stderr).splitlines()[-1]


def test_a_value_that_is_neither_yes_nor_no_is_refused(project: Path) -> None:
    said = refusal(project, PROXYGUARD_COMPILE="yes")
    assert said == "error: PROXYGUARD_COMPILE: expected 1 or 0, not 'yes'"


def test_without_a_compiler_it_says_what_to_install(project: Path) -> None:
    said = refusal(project, PROXYGUARD_COMPILE="1", CC="no-such-compiler -O2")
    assert said == "error: PROXYGUARD_COMPILE=1 needs a C compiler, no-such-compiler: apt-get install gcc libc6-dev"


def test_without_mypyc_it_says_what_to_install(project: Path) -> None:
    (project / "mypyc.py").touch()  # stands before the real one
    said = refusal(project, PROXYGUARD_COMPILE="1", PYTHONPATH=".")
    assert said == "error: PROXYGUARD_COMPILE=1 needs mypyc.build: pip install -r requirements/build.txt"


def test_a_wrong_type_is_said_with_its_place_and_leaves_nothing(project: Path) -> None:
    (project / "proxyguard/engine.py").write_text("double: int = 'a'\n")
    said = refusal(project, PROXYGUARD_COMPILE="1")
    assert said.startswith("proxyguard/engine.py:1: error: Incompatible types in assignment")
    assert list((project.parent / "work").iterdir()) == []


def test_a_pattern_that_finds_nothing_is_refused(project: Path) -> None:
    (project / "proxyguard/engine.py").unlink()
    said = refusal(project, PROXYGUARD_COMPILE="1")
    assert said == "error: pyproject.toml: [tool.proxyguard] compiled: 'proxyguard/[a-e]*.py' finds no file"


def test_an_installation_to_edit_is_never_compiled(project: Path) -> None:
    done = built(project, "build_editable", PROXYGUARD_COMPILE="1")
    assert done.stdout == "proxyguard-1-py3-none-any.whl\n"
