"""Changing one rule's mode in its file: only those bytes change, whatever the style, and what cannot be done safely is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.core.decision import Mode
from proxyguard.instance.control.mode_edit import EditError, rewrite, with_mode, write_back

SHADOWED = """\
# Scripts, seen since March.   <- two blanks kept
name: scripts
rules:
  - name: other
    when: {path: /other}
    action: reject
    mode: shadow
  - name: no-scripts
    why: "Scripts have the API: ünïcode — kept."
    when:
      user_agent: {word: [curl, wget]}    # the two
    action: {reject: {status: 403}}
    mode:   shadow   # until Tuesday
    expires: 2099-01-01
tests:
  - request: {user_agent: curl/8.5}
    expect: reject by no-scripts
"""

LONG_TEXT = """\
name: a
rules:
- why: |
    two
    lines
  name: no-scripts
  when: {path: /}
  action: drop
""".replace("\n", "\r\n")

BEFORE_OTHERS = """\
name: a
rules:
  - name: no-scripts
    when: {path: /}
    action: drop
  - name: other
    when: {path: /other}
    action: reject
account: {key: cookie.session, class_header: x-account-class}
classes:
  - name: member
    when: {account: member}
items:
  people: {path: /people/*, id: path_segment.2}
form_guard:
  sign-up: {read: /signup}
restrictions:
  - name: slow
    why: Busy.
    classes: {member: 5/day}
    until: 2090-01-01
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (SHADOWED, SHADOWED.replace("mode:   shadow   # until", "mode:   enforce   # until")),
        (SHADOWED.replace("\n", "\r\n"), SHADOWED.replace("\n", "\r\n").replace("mode:   shadow", "mode:   enforce")),
        ("\ufeff" + SHADOWED, "\ufeff" + SHADOWED.replace("mode:   shadow", "mode:   enforce")),
        (SHADOWED.replace("  shadow ", '"shadow"'), SHADOWED.replace("  shadow ", '"enforce"')),
        (SHADOWED.replace("  shadow ", "'shadow'"), SHADOWED.replace("  shadow ", "'enforce'")),
        (
            "{name: a, rules: [{name: no-scripts, mode: shadow, when: {path: /ä}, action: reject}]}",
            "{name: a, rules: [{name: no-scripts, mode: enforce, when: {path: /ä}, action: reject}]}",
        ),
        (
            "name: a\nrules:\n- {mode: shadow, name: no-scripts, action: reject, when: {path: /}}",
            "name: a\nrules:\n- {mode: enforce, name: no-scripts, action: reject, when: {path: /}}",
        ),
    ],
    ids=["block", "CRLF", "byte order mark", "double quotes", "single quotes", "all in one line", "flow, mode first"],
)
def test_the_mode_changes_and_every_other_byte_stays(before: str, after: str) -> None:
    changed, line = with_mode(before.encode(), "no-scripts", Mode.ENFORCE, "a.yaml", None)
    assert changed == after.encode()
    assert "enforce" in changed.decode().splitlines()[line - 1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "name: a\nrules:\n  - name: no-scripts # here\n    when: {path: /}\n    action: reject\n",
            "name: a\nrules:\n  - name: no-scripts # here\n    mode: shadow\n    when: {path: /}\n    action: reject\n",
        ),
        (LONG_TEXT, LONG_TEXT.replace("  name:", "  mode: shadow\r\n  name:")),
        (
            "name: a\nrules: [{name: no-scripts,\n   when: {path: /}, action: reject}]",
            "name: a\nrules: [{name: no-scripts,\n   mode: shadow, when: {path: /}, action: reject}]",
        ),
        (BEFORE_OTHERS, BEFORE_OTHERS.replace("    when: {path: /}\n", "    mode: shadow\n    when: {path: /}\n")),
    ],
    ids=["block", "after a long text, CRLF", "flow over two lines", "whatever follows it"],
)
def test_a_rule_without_a_mode_gets_one(before: str, after: str) -> None:
    assert with_mode(before.encode(), "no-scripts", Mode.SHADOW, "a.yaml", None)[0] == after.encode()


def test_a_rule_without_a_mode_is_left_as_it_is_where_it_is_to_act() -> None:
    assert with_mode(BEFORE_OTHERS.encode(), "no-scripts", Mode.ENFORCE, "a.yaml", None) == (BEFORE_OTHERS.encode(), 3)


def test_there_and_back_is_the_same_file() -> None:
    there, _ = with_mode(SHADOWED.encode(), "no-scripts", Mode.ENFORCE, "a.yaml", None)
    assert with_mode(there, "no-scripts", Mode.SHADOW, "a.yaml", None)[0] == SHADOWED.encode()


def test_a_mode_that_two_rules_share_by_an_alias_is_left_to_a_person() -> None:
    shared = (
        "name: a\nrules:\n  - {name: no-scripts, mode: &m shadow, when: {path: /}, action: reject}\n"
        "  - {name: b, mode: *m, when: {path: /b}, action: reject}\n"
    )
    with pytest.raises(EditError, match=r"a\.yaml:3: .*only a person|unusual way"):
        with_mode(shared.encode(), "no-scripts", Mode.ENFORCE, "a.yaml", None)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "10.yaml").write_text("name: ten\nrules: [{name: ten, when: {path: /no-scripts}, action: drop}]\n")
    (tmp_path / "20.yaml").write_text(SHADOWED)
    return tmp_path


def test_the_right_file_is_found_and_keeps_its_rights(rules: Path) -> None:
    (rules / "20.yaml").chmod(0o640)
    edited = rewrite(rules, "no-scripts", Mode.ENFORCE)
    assert (edited.file, edited.line, edited.before) == (str(rules / "20.yaml"), 13, SHADOWED.encode())
    assert edited.after == (rules / "20.yaml").read_bytes()
    assert (rules / "20.yaml").read_text() == SHADOWED.replace("mode:   shadow", "mode:   enforce")
    assert (rules / "20.yaml").stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in rules.iterdir()) == ["10.yaml", "20.yaml"]


def test_a_link_stays_a_link(rules: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "real.yaml"
    (rules / "20.yaml").rename(elsewhere)
    (rules / "20.yaml").symlink_to(elsewhere)
    rewrite(rules, "no-scripts", Mode.ENFORCE)
    assert (rules / "20.yaml").is_symlink()
    assert "mode:   enforce" in elsewhere.read_text()


def test_an_unknown_rule_is_said(rules: Path) -> None:
    with pytest.raises(EditError, match="the rule 'nobody' is in no file of"):
        rewrite(rules, "nobody", Mode.ENFORCE)


def test_a_file_that_somebody_else_just_saved_is_not_overwritten(rules: Path) -> None:
    with pytest.raises(EditError, match="was changed meanwhile"):
        write_back(rules / "20.yaml", b"older", b"newer", "20.yaml:13", "by hand")
    assert (rules / "20.yaml").read_text() == SHADOWED


def test_a_faulty_file_is_not_touched(rules: Path) -> None:
    broken = SHADOWED.replace("word:", "wrod:")
    (rules / "20.yaml").write_text(broken)
    with pytest.raises(EditError, match="hint: change it by hand: mode: enforce"):
        rewrite(rules, "no-scripts", Mode.ENFORCE)
    assert (rules / "20.yaml").read_text() == broken
