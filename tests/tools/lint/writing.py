"""Rule files written into a folder, and what the lints say about them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from proxyguard.core.problems import format_report
from proxyguard.core.reading import STRICT, SiteReading
from proxyguard.policy.load import load_policy
from proxyguard.tools.lint.findings import Finding
from proxyguard.tools.lint.run import lint_policy

NOW = 1_800_000_000.0
"""2027-01-15 08:00 UTC."""


def findings_in(folder: Path, files: Mapping[str, str], now: float = NOW, reading: SiteReading = STRICT) -> list[Finding]:
    """Write files and lint them; they must load."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    loaded = load_policy(folder)
    assert loaded.policy is not None, format_report(loaded.problems)
    return lint_policy(loaded.policy, now, reading)


def said(folder: Path, rules: str, lists: str = "", tests: str = "", now: float = NOW) -> list[str]:
    """`line:column code message | hint` of each finding in one file with these rules."""
    text = f"name: x\n{lists}rules:\n{rules}{tests}"
    found = findings_in(folder, {"x.yaml": text}, now)
    return [f"{each.place.line}:{each.place.column} {each.code} {each.message} | {each.hint}" for each in found]
