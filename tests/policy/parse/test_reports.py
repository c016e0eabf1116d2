"""Every mistake has a file in `rulesets/bad` beside the exact report it must give; every file in `rulesets/good` loads.

To add a mistake, write the rule file (or a folder of them) and let the report be written:

    pytest tests/policy/parse/test_reports.py --update-golden

then read the report as an operator would, and look at `git diff` for reports that changed and should not have.
"""

import shutil
from pathlib import Path

import pytest

from proxyguard.core.problems import format_report
from proxyguard.policy.load import load_policy
from proxyguard.policy.parse.file import parse_rule_set
from tests.paths import RULESETS

BAD = sorted(path.stem for path in (RULESETS / "bad").iterdir() if path.suffix == ".yaml" or path.is_dir())
GOOD = sorted(path.relative_to(RULESETS / "good").as_posix() for path in (RULESETS / "good").rglob("*.y*ml"))


def test_the_corpus_is_there() -> None:
    assert len(BAD) >= 90
    assert len(GOOD) >= 20


def test_every_bad_rule_set_has_a_report() -> None:
    assert sorted(path.stem for path in (RULESETS / "bad").glob("*.report")) == BAD


@pytest.mark.parametrize("name", BAD)
def test_a_bad_rule_set_is_refused_with_its_exact_report(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    folder = RULESETS / "bad" / name
    if folder.is_dir():
        shutil.copytree(folder, tmp_path / "rules")
    else:
        (tmp_path / "rules").mkdir()
        shutil.copy(folder.with_suffix(".yaml"), tmp_path / "rules")
    monkeypatch.chdir(tmp_path)
    result = load_policy(Path("rules"))
    assert result.policy is None
    report, golden = format_report(result.problems), folder.with_suffix(".report")
    if request.config.getoption("--update-golden"):
        golden.write_text(report)
    assert report == golden.read_text()


@pytest.mark.parametrize("name", GOOD)
def test_a_good_rule_set_loads(name: str, tmp_path: Path) -> None:
    shutil.copytree(RULESETS / "good" / "lists", tmp_path / "lists")
    shutil.copy(RULESETS / "good" / name, tmp_path)
    result = load_policy(tmp_path)
    assert format_report(result.problems) == ""
    assert result.policy is not None
    assert len([each for each in result.policy.rule_sets if not each.common]) == 1


def test_all_good_rule_sets_load_together() -> None:
    result = load_policy(RULESETS / "good")
    assert format_report(result.problems) == ""
    assert result.policy is not None
    assert len([each for each in result.policy.rule_sets if not each.common]) == len(GOOD)


@pytest.mark.parametrize("name", [name for name in BAD if (RULESETS / "bad" / f"{name}.yaml").exists()])
def test_every_line_of_a_report_has_its_place_and_no_python_in_it(name: str) -> None:
    report = (RULESETS / "bad" / f"{name}.report").read_text().splitlines()
    for line in report[:-1]:
        assert line.startswith((f"rules/{name}.yaml:", "  hint: "))
        assert not any(word in line for word in ("None", "Traceback", "Exception", "<class", "object at", "Error("))
    assert report[-1].endswith(" in 1 file")


def test_a_rule_set_can_be_read_from_a_string() -> None:
    rule_set, problems = parse_rule_set("name: x\nrules:\n  - {name: y, when: {path: /y}, action: drop}\n", "x.yaml")
    assert problems == ()
    assert rule_set is not None
    assert (rule_set.name, rule_set.file, [rule.name for rule in rule_set.rules]) == ("x", "x.yaml", ["y"])


def test_a_string_cannot_name_list_files() -> None:
    _, problems = parse_rule_set("name: x\nlists: {a: {file: a.txt}}\ntests: [{request: {}, expect: pass}]\n", "x.yaml")
    assert [str(problem) for problem in problems] == [
        "x.yaml:2:19: error: list files cannot be read here\n  hint: write the entries into the rule file"
    ]


def test_a_misspelt_key_does_not_hide_the_mistakes_below_it() -> None:
    text = "name: x\nrules:\n  - {name: y, wen: {pth: /y}, action: drop}\n"
    _, problems = parse_rule_set(text, "x.yaml")
    assert [(problem.column, problem.message) for problem in problems] == [
        (15, "unknown key 'wen' in a rule"),
        (21, "unknown field 'pth'"),
    ]


def test_a_file_of_endless_mistakes_gives_a_bounded_report() -> None:
    rules = "".join(f"  - {{name: r{number}, when: {{pth: /}}, action: drop}}\n" for number in range(2000))
    _, problems = parse_rule_set(f"name: x\nrules:\n{rules}", "x.yaml")
    assert len(problems) == 1001
    assert problems[-1].message == "1000 more problems in this file"
