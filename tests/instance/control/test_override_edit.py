"""Promoting and demoting imported rules: the override in the operator's file changes, and nothing else, and no bundled file."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.core.decision import Mode
from proxyguard.instance.control.mode_edit import EditError, planned, rewrite
from proxyguard.policy.bundled import BUNDLED_DIRECTORY
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import rules_by_mode


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("import: bundled\n", "import: bundled\noverride:\n  scanners: {mode: shadow}\n", 3),
        ("import: bundled", "import: bundled\noverride:\n  scanners: {mode: shadow}\n", 3),
        ("import: bundled\r\n", "import: bundled\r\noverride:\r\n  scanners: {mode: shadow}\r\n", 3),
        ("{import: bundled}", "{override: {scanners: {mode: shadow}}, import: bundled}", 1),
        (
            "import: bundled\noverride:\n    # why\n    php-probes: {mode: enforce} # x\n",
            "import: bundled\noverride:\n    scanners: {mode: shadow}\n    # why\n    php-probes: {mode: enforce} # x\n",
            3,
        ),
        (
            "override: {php-probes: {mode: enforce}}\nimport: bundled\n",
            "override: {scanners: {mode: shadow}, php-probes: {mode: enforce}}\nimport: bundled\n",
            1,
        ),
        (
            "import: bundled\noverride:\n  scanners:   # slow ones\n    expires: 2090-01-01\n",
            "import: bundled\noverride:\n  scanners:   # slow ones\n    mode: shadow\n    expires: 2090-01-01\n",
            4,
        ),
        (
            "import: bundled\noverride: {scanners: {expires: 2090-01-01}}\n",
            "import: bundled\noverride: {scanners: {mode: shadow, expires: 2090-01-01}}\n",
            2,
        ),
        (
            "import: bundled\noverride:\n  scanners: {mode:  'off'}  # until Tuesday\n",
            "import: bundled\noverride:\n  scanners: {mode:  shadow}  # until Tuesday\n",
            3,
        ),
    ],
)
def test_only_the_override_changes(before: str, after: str, line: int, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(before.encode())
    bundled = {path: path.stat().st_mtime_ns for path in BUNDLED_DIRECTORY.iterdir()}
    edited = rewrite(tmp_path, "scanners", Mode.SHADOW)
    assert (edited.file, edited.line, file.read_bytes().decode()) == (str(file), line, after)
    assert {path: path.stat().st_mtime_ns for path in BUNDLED_DIRECTORY.iterdir()} == bundled
    policy = load_policy(tmp_path).policy
    assert policy is not None
    assert next(mode for rule, mode in rules_by_mode(policy, Mode.ENFORCE) if rule.name == "scanners") is Mode.SHADOW


def test_the_file_that_overrides_the_rule_comes_before_the_one_that_imports_it(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("import: bundled/30-scanners\n")
    (tmp_path / "b.yaml").write_text("override: {scanners: {mode: 'off'}}\n")
    assert rewrite(tmp_path, "scanners", Mode.ENFORCE).file == str(tmp_path / "b.yaml")
    assert rewrite(tmp_path, "php-probes", Mode.ENFORCE).file == str(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "rule", "said"),
    [
        ("import: bundled\noverride: {scanners: &y {mode: shadow}, php-probes: *y}\n", "php-probes", "only a person can"),
        ("import: bundled/30-scanners\n", "http-libraries", "'http-libraries' is in no file"),
        ("import: bundled\noverride: 3\n", "scanners", "the file has faults of its own; see proxyguard check"),
    ],
)  # fmt: skip
def test_what_cannot_be_changed_safely_is_said(text: str, rule: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(EditError, match=said):
        planned(tmp_path, rule, Mode.ENFORCE)
    assert (tmp_path / "a.yaml").read_text() == text


def test_the_bundled_rules_themselves_are_never_changed() -> None:
    with pytest.raises(EditError) as raised:
        planned(BUNDLED_DIRECTORY, "scanners", Mode.SHADOW)
    assert "scanners is in the bundled rules, which the next version replaces" in str(raised.value)
    assert "import: bundled, override: {scanners: {mode: shadow}}" in str(raised.value)
