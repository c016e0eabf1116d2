"""The reference of formats is what the registries say."""

from __future__ import annotations

import subprocess
import sys

from tests.paths import ROOT

REFERENCE = (ROOT / "docs" / "reference" / "log-formats.md").read_text()


def test_it_is_as_the_script_writes_it() -> None:
    command = [sys.executable, "scripts/log-formats-reference"]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert written == REFERENCE, "run: .venv/bin/python scripts/log-formats-reference > docs/reference/log-formats.md"
