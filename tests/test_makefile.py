"""The documented `make` commands are those that there are."""

from __future__ import annotations

import re
import subprocess

from tests.paths import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
HELP = set(re.findall(r"^([a-z0-9-]+):.*##", MAKEFILE, re.MULTILINE))
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / ".ci/run", *sorted((ROOT / "docs").rglob("*.md")))


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_help_lists_every_command_and_nothing_else() -> None:
    listed = re.findall(r"^  make ([a-z0-9-]+) ", make("help").stdout, re.MULTILINE)
    assert set(listed) == HELP | {"run"}
    [phony] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) == HELP


def test_the_pages_name_commands_that_there_are() -> None:
    named = {name for page in PAGES for name in re.findall(r"(?:`|\$ |step .*)make ([a-z0-9-]+)", page.read_text())}
    assert {"run", "help", "held", "tracked"} <= named <= HELP
