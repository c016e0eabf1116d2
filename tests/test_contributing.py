"""The recipes of CONTRIBUTING.md work: each is carried out in a copy of the tree, and what it adds is used for real.

A block below a path is a file to write, or a change to one (`diff`); a `console` block is run line by line, and what the
page shows below a command must be in what it prints. A recipe is a section whose heading begins with `Add`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.long

PAGE = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = dict(re.findall(r"^## (Add .+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
BLOCK = re.compile(r"^( *)(?:`([\w/.-]+)`:\n\n\1)?(`{3,4})(\w+)\n(.*?)^\1\3$", re.MULTILINE | re.DOTALL)
COPIED = ("docs", "packaging", "proxyguard", "rules", "tests")


def copy_of_the_tree(folder: Path) -> Path:
    """The sources: what is compiled would stand before the recipe's changes."""
    ignore = shutil.ignore_patterns("*.so", "__pycache__", "end_to_end")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def change(file: Path, diff: str) -> None:
    """Replace the lines of a diff, context included, which stand exactly once in the file."""
    before = "".join(f"{line[1:]}\n" for line in diff.splitlines() if not line.startswith("+"))
    after = "".join(f"{line[1:]}\n" for line in diff.splitlines() if not line.startswith("-"))
    text = file.read_text()
    assert text.count(before) == 1, f"{file} has {text.count(before)} times:\n{before}"
    file.write_text(text.replace(before, after))


def run(commands: str, folder: Path) -> None:
    """Each line after a `$`; the lines below it are in what it prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    for command, shown in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", commands, re.MULTILINE):
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0, f"{command}\n{printed}"
        for line in shown.splitlines():
            assert line in printed, f"{command}\n{printed}"


def test_there_are_the_recipes_that_are_asked_for() -> None:
    assert sorted(RECIPES) == ["Add a condition field", "Add a lint", "Add a store", "Add an action"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_works(recipe: str, tmp_path: Path) -> None:
    folder = copy_of_the_tree(tmp_path / "tree")
    consoles = 0
    for indent, title, _, language, text in BLOCK.findall(RECIPES[recipe]):
        block = textwrap.dedent(text) if indent and language != "diff" else text
        if language == "diff":
            change(folder / title, "\n".join(line.removeprefix(indent) for line in text.splitlines()))
        elif title:
            file = folder / title
            assert not file.exists(), f"{title} is there already: show the change as a diff"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block)
        else:
            assert language == "console", f"{recipe}: a block without a path"
            run(block, folder)
            consoles += 1
    assert consoles
