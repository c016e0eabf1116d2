"""The reference of commands is what the commands say of themselves."""

from __future__ import annotations

import re
import subprocess
import sys

from proxyguard.cli import COMMANDS
from tests.paths import ROOT

REFERENCE = (ROOT / "docs" / "reference" / "commands.md").read_text()


def test_it_is_as_the_script_writes_it() -> None:
    command = [sys.executable, "scripts/commands-reference"]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert written == REFERENCE, "run: .venv/bin/python scripts/commands-reference > docs/reference/commands.md"


def test_every_command_has_its_section() -> None:
    sections = re.findall(r"^## proxyguard (.+)$", REFERENCE, re.MULTILINE)
    assert {name.split()[0] for name in sections} == set(COMMANDS)
    assert {"bans add", "restrict start", "shadow report"} <= set(sections)
