"""`import: bundled/NAME` and `override:`: whole bundled rule sets by reference, and what is different about their rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.core.decision import Mode, Reject
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.bundled import BUNDLED_DIRECTORY, bundled_names
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.load import LoadResult, load_policy
from proxyguard.policy.model import Policy, Rule
from proxyguard.policy.testing.runner import run_tests
from tests.build import request
from tests.paths import BUNDLED_RULES

ALL = "import: bundled\noverride: "
OWN = "rules: [{name: mine, when: {path: /x}, action: reject}]"


def loaded(folder: Path, **files: str) -> LoadResult:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return load_policy(folder)


def policy(folder: Path, **files: str) -> Policy:
    result = loaded(folder, **files)
    assert result.problems == ()
    assert result.policy is not None
    return result.policy


def rule(found: Policy, name: str) -> Rule:
    return next(each for rule_set in found.rule_sets for each in rule_set.rules if each.name == name)


def report(folder: Path, **files: str) -> list[str]:
    return [str(problem).replace(f"{folder}/", "") for problem in loaded(folder, **files).problems]


def test_all_of_them_are_the_bundled_rules(tmp_path: Path) -> None:
    found = policy(tmp_path, a="import: bundled\n")
    there = load_policy(BUNDLED_RULES).policy
    assert there is not None
    assert [(each.name, [r.name for r in each.rules]) for each in found.rule_sets] == [
        (each.name, [r.name for r in each.rules]) for each in there.rule_sets
    ]
    assert run_tests(found) == ()


@pytest.mark.parametrize("name", bundled_names())
def test_each_can_be_imported_alone_with_or_without_its_suffix(name: str, tmp_path: Path) -> None:
    found = policy(tmp_path, a=f"import: bundled/{name}\n")
    assert [each.file for each in found.rule_sets] == [str(BUNDLED_DIRECTORY / f"{name}.yaml")]
    assert policy(tmp_path, a=f"import: bundled/{name}.yaml\n").rule_sets == found.rule_sets


def test_they_come_where_the_file_stands_and_before_its_own_rules(tmp_path: Path) -> None:
    own = "rules: [{name: x, when: {path: /x}, action: reject}]\n"
    found = policy(
        tmp_path,
        a="name: first\nrules: [{name: y, when: {path: /y}, action: reject}]\n",
        b=f"name: mine\nimport: [bundled/30-scanners, bundled/10-ai-crawlers]\n{own}",
    )
    assert [each.name for each in found.rule_sets] == ["first", "scanners", "ai-crawlers", "mine"]


def test_a_copy_in_the_folder_takes_the_place_of_the_imported_one(tmp_path: Path) -> None:
    copy = (BUNDLED_RULES / "30-scanners.yaml").read_text().split("\nlists:")[0] + f"\n{OWN}\n"
    found = policy(tmp_path, a="import: bundled\noverride: {http-libraries: {mode: shadow}}\n", z=copy)
    assert [each.name for each in found.rule_sets].count("scanners") == 1
    assert found.rule_sets[-1].file == str(tmp_path / "z.yaml")
    changed = policy(tmp_path, a="import: bundled\noverride: {mine: {mode: shadow}}\n")
    assert rule(changed, "mine").mode is Mode.SHADOW


@pytest.mark.long
@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("name", bundled_names())
def test_every_rule_in_every_mode_loads(name: str, mode: Mode, tmp_path: Path) -> None:
    rules = [each.name for each in policy(tmp_path, a=f"import: bundled/{name}\n").rule_sets[0].rules]
    overrides = "".join(f"  {each}: {{mode: {mode}}}\n" for each in rules)
    found = policy(tmp_path, a=f"import: bundled/{name}\noverride:\n{overrides}")
    assert {each.mode for each in found.rule_sets[0].rules} == {mode}
    assert found.rule_sets[0].tests
    if name != "60-page-limits":
        assert run_tests(found) == ()


def test_what_an_override_says_is_what_changes(tmp_path: Path) -> None:
    found = policy(
        tmp_path,
        a="import: bundled/50-sign-up-and-log-in\n",
        b="override:\n"
        "  sign-up-flood: {limit: {rate: 20/hour}, action: {reject: {status: 429}}, expires: 2090-01-01}\n"
        "  log-in-flood: {limit: {burst: 3}}\n",
    )
    flood, log_in = rule(found, "sign-up-flood"), rule(found, "log-in-flood")
    assert flood.limit is not None
    assert (flood.limit.amount, flood.limit.period_seconds, flood.limit.burst) == (20, 3600.0, 20)
    assert isinstance(flood.action, Reject)
    assert flood.action.status == 429
    assert flood.expires is not None
    assert log_in.limit is not None
    assert (log_in.limit.amount, log_in.limit.burst) == (20, 3)
    assert found.rule_sets[0].tests == ()


def test_an_override_changes_the_digest(tmp_path: Path) -> None:
    digests = {policy(tmp_path, a=f"import: bundled\n{more}").digest for more in ("", "override: {scanners: {mode: shadow}}\n")}
    assert len(digests) == 2
    assert policy(tmp_path, a="import: bundled/30-scanners\n").digest not in digests


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("name: x", "1:1: error: the file has neither rules nor tests"),
        ("import: bundled/10-ai-crawler", "1:9: error: there is no rule set 'bundled/10-ai-crawler' to import"),
        ("import: ../rules", "1:9: error: there is no rule set '../rules' to import"),
        ("import: bundled/../../x", "1:9: error: there is no rule set 'bundled/../../x' to import"),
        ("import: [bundled, bundled/30-scanners]", "1:19: error: 'bundled/30-scanners' is already imported in"),
        ("import: []", "1:9: error: import is empty"),
        ("override: {scanners: {mode: shadow}}", "1:12: error: there is no imported rule 'scanners'"),
        (f"{ALL}{{scaners: {{mode: shadow}}}}", "2:12: error: there is no imported rule 'scaners'"),
        (f"{ALL}{{scanners: {{mode: shdow}}}}", "2:29: error: mode cannot be 'shdow'"),
        (f"{ALL}{{scanners: {{when: {{path: /}}}}}}", "2:23: error: unknown key 'when' in the override of 'scanners'"),
        (f"{ALL}{{scanners: {{}}}}", "2:22: error: the override of 'scanners' is empty"),
        (f"{ALL}{{scanners: {{action: allow}}}}", "2:31: error: 'scanners' cannot become allow: it is tarpit"),
        (f"{ALL}{{scanners: {{limit: {{rate: 1/day}}}}}}", "2:30: error: the rule has no limit with a rate"),
        (f"{ALL}{{log-in-flood: {{limit: {{rate: 1/dy}}}}}}", "2:41: error: rate has the unknown period 'dy'"),
        (f"{ALL}{{log-in-flood: {{limit: {{per: client}}}}}}", "2:35: error: unknown key 'per' in limit"),
        (f"{ALL}{{rare-items-of-a-line: {{limit: {{rate: 30/hour}}}}}}", "2:49: error: the rule's limit learns by 1d"),
        (f"{ALL}{{sign-up-flood-on-site: {{action: {{ban: {{for: 1h}}}}}}}}", "2:44: error: the ban would be for everybody"),
        (
            f"import: bundled\nname: x\n{OWN.replace('mine', 'scanners')}",
            "1:9: error: the rule 'scanners' is already in a.yaml:3",
        ),
        (f"{ALL}{{mine: {{mode: off}}}}\nname: x\n{OWN}", "2:12: error: 'mine' is a rule of your own, in a.yaml:4"),
        (f"import: bundled\n{OWN}", "1:1: error: the rule set has no name"),
    ],
)
def test_mistakes_have_their_place_and_a_hint(more: str, said: str, tmp_path: Path) -> None:
    found = report(tmp_path, a=f"{more}\n")
    assert len(found) == 1, found
    assert found[0].startswith(f"a.yaml:{said}")
    assert "\n  hint: " in found[0]


def test_who_is_spared_by_an_action_is_spared_by_it_in_an_override_too(tmp_path: Path) -> None:
    found = policy(tmp_path, a="import: bundled/30-scanners\noverride: {scanners: {action: maze}}\n")
    compiled = compile_policy(found, secret=b"x")

    def decided(method: str) -> str:
        found = match(compiled, request("/", method=method, user_agent="sqlmap/1.8"), 0.0)
        return decide(found, MemoryStore().charge(found.charges, found.ban_keys, 0.0)).decision.rule

    assert (decided("GET"), decided("POST")) == ("scanners", "default")


def test_a_kind_of_item_that_an_imported_file_has_is_refused(tmp_path: Path) -> None:
    [problem] = loaded(tmp_path, a="import: bundled\n", b="name: mine\nitems: {people: {path: /staff/*}}\n").problems
    assert problem.place == f"{tmp_path}/b.yaml:2:9"
    assert problem.message.startswith("the kind of item 'people' is already in ")
    assert problem.hint == "choose another name; your own kinds are looked for before imported ones"


def test_own_kinds_of_items_win_over_imported_ones_wherever_they_stand(tmp_path: Path) -> None:
    own = "name: mine\nitems: {staff: {path: /profiles/*, id: path_segment.2}}\n"
    items = compile_policy(policy(tmp_path, a="import: bundled\n", b=own), secret=b"x").items
    assert items is not None
    kinds = [items.find(request(target)) for target in ("/profiles/1", "/users/1")]
    assert [kind.family for kind in kinds if kind] == [b"staff", b"people"]


@pytest.mark.parametrize(
    "files",
    [
        {"a": "import: [bundled, bundled/kits/forge]\n"},
        {"a": "import: [bundled/20-scripted-clients, bundled/kits/forge]\n"},
        {"a": "import: bundled\n", "b": "import: bundled/kits/forge\n"},
    ],
)  # fmt: skip
def test_a_kit_after_bundled_rules_is_refused(files: dict[str, str], tmp_path: Path) -> None:
    [problem] = loaded(tmp_path, **files).problems
    assert problem.message.startswith("'bundled/kits/forge' comes after the bundled rules of '")
    assert problem.hint == "import it before them: import: [bundled/kits/forge, bundled]"


@pytest.mark.parametrize("names", ["kits/forge, bundled/kits/wiki, bundled", "00-always-open, bundled/kits/forge"])
def test_a_kit_may_follow_other_kits_and_rules_that_allow(names: str, tmp_path: Path) -> None:
    own = "name: mine\nrules: [{name: x, when: {path: /x}, action: reject}]\n"
    policy(tmp_path, a=own, b=f"import: [bundled/{names}]\n")
