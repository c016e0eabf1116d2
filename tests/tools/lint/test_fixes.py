"""What is mended: exactly the lines that were found, in one step, and nothing else in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.policy.model import Place
from proxyguard.tools.lint.findings import Edit, Finding
from proxyguard.tools.lint.fixes import apply_fixes, replace_file
from tests.tools.lint.writing import findings_in

RULES = """\
name: a   # the name
lists:
  names:
    - BadBot
    - Worse  # a comment that someone wrote
    - BadBot
    - Worse  # and another
  nets: {file: lists/nets.txt}
rules:
  - {name: a-rule, when: {client: $nets, user_agent: {word: $names}}, action: reject}
"""
NETS = "# ours \n192.0.2.1  # monitoring\t\n\n192.0.2.1\n198.51.100.0/24\r\n::ffff:192.0.2.1  \n192.0.2.1"


def test_mended_files_keep_comments_line_ends_and_order(tmp_path: Path) -> None:
    found = findings_in(tmp_path, {"a.yaml": RULES, "lists/nets.txt": NETS})
    changed = apply_fixes(found)
    assert changed == {str(tmp_path / "a.yaml"): 1, str(tmp_path / "lists/nets.txt"): 5}
    assert (tmp_path / "a.yaml").read_text() == RULES.replace("    - BadBot\n    - Worse  # and", "    - Worse  # and")
    mended = (tmp_path / "lists/nets.txt").read_bytes()
    assert mended == b"# ours\n192.0.2.1  # monitoring\n\n198.51.100.0/24\r"


def test_mending_twice_changes_nothing_more(tmp_path: Path) -> None:
    apply_fixes(findings_in(tmp_path, {"a.yaml": RULES, "lists/nets.txt": NETS}))
    texts = {name: (tmp_path / name).read_text() for name in ("a.yaml", "lists/nets.txt")}
    assert apply_fixes(findings_in(tmp_path, texts)) == {}


def test_a_file_is_replaced_in_one_step_through_its_link_with_its_mode(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("a\n")
    real.chmod(0o640)
    link.symlink_to(real)
    before = real.stat().st_ino
    replace_file(link, b"b\n")
    assert link.is_symlink()
    assert (real.read_text(), real.stat().st_mode & 0o777) == ("b\n", 0o640)
    assert real.stat().st_ino != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.txt", "real.txt"]


def test_what_cannot_be_written_is_left_whole(tmp_path: Path) -> None:
    finding = Finding(Place(str(tmp_path / "gone/a.txt"), 1, 1), "PG052", "", edits=(Edit(str(tmp_path / "gone/a.txt"), 1, ""),))
    with pytest.raises(FileNotFoundError):
        apply_fixes([finding])
