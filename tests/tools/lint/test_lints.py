"""Each lint by cases: what is found, where, and in which words; and the near misses that are not found.

A case is a rule file in `cases/` and, beside it, the report that must be given. To write the reports again after a change of
words, and then to read them: `python -m tests.tools.lint.test_lints`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from proxyguard.core.reading import PRESETS
from proxyguard.policy.load import load_policy
from proxyguard.tools.data import USER_AGENT_FILES
from proxyguard.tools.lint.browsers import browsers
from proxyguard.tools.lint.codes import LINTS
from proxyguard.tools.lint.report import as_text, entries
from proxyguard.tools.lint.run import findings_of
from tests.tools.lint.writing import NOW, findings_in, said

CASES = Path(__file__).parent / "cases"
NAMES = sorted(path.stem for path in CASES.glob("*.yaml"))


def report(name: str, folder: Path) -> str:
    """What is said of a case, as `check` writes it."""
    found = findings_in(folder, {"rules.yaml": (CASES / f"{name}.yaml").read_text()})
    return as_text(entries((), found)).replace(f"{folder}/", "")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said(name: str, tmp_path: Path) -> None:
    assert report(name, tmp_path) == (CASES / f"{name}.report").read_text()


def test_every_lint_is_in_a_case() -> None:
    text = " ".join((CASES / f"{name}.report").read_text() for name in NAMES)
    assert [code for code in LINTS if f"[{code} " not in text] == [
        "PG024",
        "PG052",
        "PG055",
    ]  # with a preset, and of files: below


def test_host_bits_are_told_once_for_a_file(tmp_path: Path) -> None:
    rules = "name: a\nlists: {n: {file: n.txt}}\nrules: [{name: a-rule, when: {client: $n}, action: reject}]\n"
    [found] = findings_in(
        tmp_path, {"a.yaml": rules, "n.txt": "; a list\n192.0.2.0/24 ; A\n198.51.100.7/24 ; B\n2001:db8::1/64\n"}
    )
    assert (found.code, found.place.line) == ("PG055", 3)
    assert found.message == (
        "'198.51.100.7/24' (and 1 more like it) has bits set beyond its prefix length, and is read as 198.51.100.0/24"
    )


def test_blanks_at_line_ends_are_told_once_for_a_file(tmp_path: Path) -> None:
    rules = "name: {0}\nlists: {{n: {{file: l/n.txt}}}}\nrules: [{{name: {0}-rule, when: {{client: $n}}, action: reject}}]\n"
    files = {"a.yaml": rules.format("a"), "b.yaml": rules.format("b"), "l/n.txt": "192.0.2.1  \n192.0.2.2\t\r\n192.0.2.3\n"}
    [found] = [finding for finding in findings_in(tmp_path, files) if finding.code == "PG052"]
    assert found.message == "the line ends with blanks, and 1 more"
    assert found.place == (str(tmp_path / "l/n.txt"), 1, 10)
    assert [(edit.line, edit.text) for edit in found.edits] == [(1, "192.0.2.1"), (2, "192.0.2.2")]


def test_what_stands_twice_in_json_is_told_and_its_line_not_deleted(tmp_path: Path) -> None:
    rules = "name: a\nlists: {n: {file: n.json}}\nrules: [{name: a-rule, when: {client: $n}, action: reject}]\n"
    [found] = findings_in(tmp_path, {"a.yaml": rules, "n.json": '["192.0.2.1", "192.0.2.1/32"]\n'})
    assert (found.code, found.edits, found.hint) == ("PG050", (), "delete one of them")


@pytest.mark.parametrize("entry", ["Bad\n    Bot", "&again Bad Bot", "Bad Bot # why"])
def test_an_entry_that_is_not_all_of_its_line_or_more_is_not_deleted(entry: str, tmp_path: Path) -> None:
    rules = "rules: [{name: a-rule, when: {user_agent: {word: $n}}, action: reject}]\n"
    found = findings_in(tmp_path, {"a.yaml": f"name: a\nlists:\n  n:\n  - Bad Bot\n  - {entry}\n{rules}"})
    assert [finding.edits for finding in found if finding.code == "PG050"] == [()]


def test_a_comment_for_the_whole_file_covers_it(tmp_path: Path) -> None:
    rules = "  - {name: c1, when: {user_agent: curl}, action: reject}\n  - {name: c2, when: {user_agent: perl}, action: reject}\n"
    assert said(tmp_path, rules, lists="# proxyguard: ignore-file PG023\n") == []


def test_a_comment_in_a_list_file_counts_there(tmp_path: Path) -> None:
    rules = "name: a\nlists: {n: {file: n.txt}}\nrules: [{name: a-rule, when: {client: $n}, action: reject}]\n"
    entries = "192.0.2.0/24\n192.0.2.1  # by contract; proxyguard: ignore PG051\n192.0.2.2\n"
    found = findings_in(tmp_path, {"a.yaml": rules, "n.txt": entries})
    assert [(finding.code, finding.place.line) for finding in found] == [("PG051", 3)]


def test_the_findings_of_one_rule_are_given_by_its_name(tmp_path: Path) -> None:
    rules = "name: a\nrules:\n" + "".join(
        f"  - {{name: {name}, when: {{user_agent: {name}}}, action: reject}}\n" for name in ("curl", "perl", "a-long-name")
    )
    (tmp_path / "a.yaml").write_text(rules)
    policy = load_policy(tmp_path).policy
    assert policy is not None
    assert [(each.code, each.place.line, each.rule) for each in findings_of("perl", policy, NOW)] == [("PG023", 4, "perl")]
    assert findings_of("unheard-of", policy, NOW) == []


def test_a_long_list_is_summed_up_and_mended_whole(tmp_path: Path) -> None:
    rules = "name: a\nlists: {n: {file: n.txt}}\nrules: [{name: a-rule, when: {client: $n}, action: reject}]\n"
    found = findings_in(tmp_path, {"a.yaml": rules, "n.txt": "192.0.2.1\n" * 100})
    assert len(found) == 21
    assert found[-1].message == "79 more entries that stand twice"
    assert sum(len(finding.edits) for finding in found) == 99


def test_the_browsers_are_many_and_different() -> None:
    every = browsers()
    agents = [browser.user_agent for browser in every if not browser.is_whole]
    assert len(agents) == len(set(agents)) >= 350
    assert sum(browser.is_whole for browser in every) >= 200
    assert all(agent and agent == agent.strip() for agent in agents)
    assert len(USER_AGENT_FILES) == 2


@pytest.mark.long
def test_a_policy_of_ten_thousand_rules_is_linted_in_seconds(tmp_path: Path) -> None:
    rules = "".join(
        f"  - {{name: r-{at}, when: {{user_agent: {{word: bad-bot-{at}}}, path: {{prefix: /p{at % 100}/}}}}, action: reject}}\n"
        for at in range(10_000)
    )
    rules += "  - {name: last, when: {user_agent: {word: bad-bot-4711}, path: /p11/x}, action: reject}\n"
    [found] = said(tmp_path, rules)
    assert "'r-4711'" in found


@pytest.mark.long
def test_a_long_list_of_networks_is_read_once_not_for_each_rule(tmp_path: Path) -> None:
    nets = "".join(f"10.{at >> 8}.{at & 255}.0/25\n" for at in range(50_000))
    rules = "name: x\nlists: {n: {file: n.txt}}\nrules:\n  - {name: big, when: {client: $n}, action: reject}\n"
    rules += "".join(f"  - {{name: r-{at}, when: {{client: 192.0.{at >> 8}.{at & 255}}}, action: drop}}\n" for at in range(500))
    rules += "  - {name: inside, when: {client: 10.7.7.7}, action: drop}\n"
    [found] = findings_in(tmp_path, {"x.yaml": rules, "n.txt": nets})
    assert "'inside' can never apply: 'big'" in found.message


if __name__ == "__main__":
    for each in NAMES:
        with tempfile.TemporaryDirectory() as made:
            (CASES / f"{each}.report").write_text(report(each, Path(made)))


def test_a_path_that_the_site_reads_otherwise_is_told_with_its_preset_only(tmp_path: Path) -> None:
    files = {"a.yaml": "name: a\nrules:\n  - {name: a-rule, when: {path: [/Signup/, /join]}, action: reject}\n"}
    assert findings_in(tmp_path, files) == []
    [found] = findings_in(tmp_path, files, reading=PRESETS["express"])
    assert (found.code, found.message) == ("PG024", "the rule 'a-rule' is for '/Signup/', which the site reads as '/signup'")
