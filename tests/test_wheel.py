"""What the wheel of this checkout holds, built as an installer builds it."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import hatch_build
from proxyguard.core.build_info import BUILD_KIND
from tests.paths import BUNDLED_RULES, ROOT

pytestmark = pytest.mark.skipif(
    BUILD_KIND == "compiled", reason="the compiled tree holds what was installed, not what a wheel is made of"
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pure wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    environment = {name: value for name, value in os.environ.items() if name != hatch_build.VARIABLE}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
    [wheel] = folder.iterdir()
    return wheel


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """Every path in it."""
    return set(zipfile.ZipFile(wheel).namelist())


def test_it_says_that_it_has_types(names: set[str]) -> None:
    assert "proxyguard/py.typed" in names


def test_it_holds_every_file_of_the_package(names: set[str]) -> None:
    package = ROOT / "proxyguard"
    ours = {str(path.relative_to(ROOT)) for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert ours - names == set()


def test_it_holds_a_page_for_every_lint(names: set[str]) -> None:
    pages = {f"proxyguard/tools/lint/pages/{page.name}" for page in (ROOT / "docs/lints").glob("PG*.md")}
    assert pages
    assert pages <= names


def test_it_holds_the_bundled_rules(names: set[str]) -> None:
    files = {path.relative_to(BUNDLED_RULES).as_posix() for path in BUNDLED_RULES.rglob("*") if path.suffix in {".yaml", ".txt"}}
    assert len(files) > 15
    assert {f"proxyguard/policy/bundled/{name}" for name in files} <= names


@pytest.mark.long
def test_installed_without_the_repository_it_has_rules(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, whose libraries are those of this one, and from a folder that is no checkout."""
    venv.create(tmp_path / "venv", with_pip=False)
    [packages] = (tmp_path / "venv/lib").glob("python3*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    libraries = next(path for path in sys.path if path.endswith("site-packages"))
    command = f"import sys; sys.path.append({libraries!r}); from proxyguard.cli import main; main()"

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = (str(tmp_path / "venv/bin/python"), "-I", "-c", command)
        return subprocess.run([*program, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    where = run("check", "--rules", "bundled")
    assert (where.returncode, where.stderr) == (0, "")
    assert where.stdout.startswith("bundled: 11 rule sets, 96 rules")
    assert run("init", "--bundled", "pg").returncode == 0
    checked = run("check", "pg/rules")
    assert checked.stdout.startswith("pg/rules: 11 rule sets, 96 rules")
    assert run("rules", "diff", "pg/rules").returncode == 0
