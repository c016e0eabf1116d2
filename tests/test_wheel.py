"""What the wheel of this checkout holds, built as an installer builds it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest

import hatch_build
from proxyguard.core.build_info import BUILD_KIND
from tests.paths import ROOT

pytestmark = pytest.mark.skipif(
    BUILD_KIND == "compiled", reason="the compiled tree holds what was installed, not what a wheel is made of"
)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Every path in the pure wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    code = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    environment = {name: value for name, value in os.environ.items() if name != hatch_build.VARIABLE}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
    [wheel] = folder.iterdir()
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
