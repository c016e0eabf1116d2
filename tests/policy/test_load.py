"""Which files make a policy, in which order, and what names it."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proxyguard.core.problems import format_report
from proxyguard.policy.load import WHERE_HINT, LoadResult, load_policy
from proxyguard.policy.parse.lists import MAX_ENTRIES
from proxyguard.policy.parse.tests import MAX_REPEAT


def rule_file(name: str, action: str = "reject") -> str:
    return f"name: {name}\nrules:\n  - {{name: {name}-rule, when: {{path: /{name}}}, action: {action}}}\n"


LISTED = "name: {0}\nlists: {{a: {{file: lists/a.txt}}}}\nrules:\n  - {{name: {0}-rule, when: {{client: $a}}, action: allow}}\n"


def written(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def names(result: LoadResult) -> list[str]:
    assert format_report(result.problems) == ""
    assert result.policy is not None
    return [rule_set.name for rule_set in result.policy.rule_sets]


def test_rule_sets_are_in_path_order(tmp_path: Path) -> None:
    for place, name in {"20-b.yaml": "b", "10-a.yml": "a", "15-x/30.yaml": "x", "9-c.yaml": "c", "Z.YAML": "z"}.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_text(rule_file(name))
    assert names(load_policy(tmp_path)) == ["a", "x", "b", "c", "z"]


@pytest.mark.parametrize(
    "place", [".hidden.yaml", ".git/x.yaml", "lists/x.yaml", "sub/lists/x.yaml", "x.yaml.bak", "x.yaml~", "README.md"]
)
def test_what_is_no_rule_file_is_not_read(tmp_path: Path, place: str) -> None:
    (tmp_path / "a.yaml").write_text(rule_file("a"))
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("not: a rule file\n")
    result = load_policy(tmp_path)
    assert names(result) == ["a"]
    assert result.files == (tmp_path / "a.yaml",)


def test_the_files_read_are_named_with_list_files_and_missing_ones(tmp_path: Path) -> None:
    written(tmp_path, a_dot_yaml=LISTED.format("a"), lists__a_dot_txt="192.0.2.1\n")
    assert load_policy(tmp_path).files == (tmp_path / "a.yaml", tmp_path / "lists/a.txt")
    (tmp_path / "lists/a.txt").unlink()
    missing = load_policy(tmp_path)
    assert missing.policy is None
    assert missing.files == (tmp_path / "a.yaml", tmp_path / "lists/a.txt")


def test_list_files_are_relative_to_their_rule_file(tmp_path: Path) -> None:
    written(tmp_path, shop__a_dot_yaml=LISTED.format("a"), shop__lists__a_dot_txt="192.0.2.1\n")
    assert load_policy(tmp_path).files == (tmp_path / "shop/a.yaml", tmp_path / "shop/lists/a.txt")
    (tmp_path / "shop/b.yaml").write_text(LISTED.format("b").replace("lists/a.txt", "../common.txt"))
    (tmp_path / "common.txt").write_text("192.0.2.2\n")
    assert names(load_policy(tmp_path)) == ["a", "b"]


def test_the_digest_changes_with_any_byte_and_with_any_name(tmp_path: Path) -> None:
    digests = set()
    written(tmp_path, a_dot_yaml=LISTED.format("a"), lists__a_dot_txt="192.0.2.1\n")
    for _ in range(2):
        digests.add(_digest(tmp_path))
    assert len(digests) == 1
    (tmp_path / "lists/a.txt").write_text("192.0.2.1\n# comment\n")
    digests.add(_digest(tmp_path))
    (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")
    digests.add(_digest(tmp_path))
    (tmp_path / "b.yaml").write_text(LISTED.format("a") + "\n")
    digests.add(_digest(tmp_path))
    assert len(digests) == 4
    assert all(len(digest) == 64 for digest in digests)


def _digest(directory: Path) -> str:
    policy = load_policy(directory).policy
    assert policy is not None
    return policy.digest


def test_a_config_map_mount_loads(tmp_path: Path) -> None:
    """Kubernetes mounts files as links to `..data/FILE`, and `..data` as a link to a dated directory."""
    written(tmp_path / "..2026_01_01", a_dot_yaml=LISTED.format("a").replace("lists/", ""), a_dot_txt="192.0.2.1\n")
    (tmp_path / "..data").symlink_to("..2026_01_01")
    for name in ("a.yaml", "a.txt"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    result = load_policy(tmp_path)
    assert names(result) == ["a"]
    assert result.files == (tmp_path / "a.yaml", tmp_path / "a.txt")


def test_links_out_of_the_directory_are_refused(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    written(rules, a_dot_yaml=LISTED.format("a"))
    (rules / "lists").mkdir()
    (tmp_path / "secret.txt").write_text("192.0.2.1\n")
    (rules / "lists/a.txt").symlink_to("../../secret.txt")
    (tmp_path / "other").mkdir()
    (rules / "more").symlink_to("../other")
    (rules / "z.yaml").symlink_to("/etc/passwd")
    assert format_report(load_policy(rules).problems).replace(str(tmp_path), "") == (
        "/rules/a.yaml:2:19: error: the list file '/rules/lists/a.txt' is a link that leaves the rules directory\n"
        "  hint: copy or mount the file into it\n"
        "/rules/more: error: links to directories are not followed\n"
        "  hint: mount or copy the directory, or link each file\n"
        "/rules/z.yaml:1:1: error: the rule file is a link that leaves the rules directory\n"
        "  hint: copy or mount the file into it\n"
        "3 problems\n"
    )


def test_pipes_and_devices_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").symlink_to("b.yaml")
    (tmp_path / "c.yaml").symlink_to("nowhere")
    assert [problem.message for problem in load_policy(tmp_path).problems] == [
        "the rule file is not a file",
        "the rule file cannot be read: too many levels of symbolic links",
        "the rule file cannot be read: no such file or directory",
    ]


NAME_IT = f"  hint: {WHERE_HINT}\n"
NO_DIRECTORY: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, f"rules: error: the rules directory does not exist\n{NAME_IT}"),
    "a file": (lambda path: path.write_text(""), f"rules: error: the rules directory is not a directory\n{NAME_IT}"),
    "a loop": (
        lambda path: path.symlink_to("rules"),
        f"rules: error: the rules directory cannot be read: too many levels of symbolic links\n{NAME_IT}",
    ),
    "empty": (
        lambda path: path.mkdir(),
        ("rules: error: no rule file in this directory\n  hint: rule files end in .yaml or .yml; is this the right directory?\n"),
    ),
}


@pytest.mark.parametrize(("make", "report"), NO_DIRECTORY.values(), ids=NO_DIRECTORY)
def test_a_directory_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object], report: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("rules"))
    assert format_report(load_policy(Path("rules")).problems) == report + "1 problem\n"


def test_a_directory_with_a_name_that_no_system_takes_is_reported() -> None:
    [problem] = load_policy(Path("x" * 300)).problems
    assert problem.message == "the rules directory cannot be read: file name too long"


def test_a_list_file_used_by_many_files_is_read_and_reported_once(tmp_path: Path) -> None:
    written(tmp_path, a_dot_yaml=LISTED.format("a"), b_dot_yaml=LISTED.format("b"), lists__a_dot_txt="x\n")
    assert [problem.file for problem in load_policy(tmp_path).problems] == [str(tmp_path / "lists/a.txt")]


@pytest.mark.long
def test_a_list_file_of_a_hundred_thousand_networks_loads_in_time(tmp_path: Path) -> None:
    lines = "".join(f"10.{number >> 8 & 255}.{number & 255}.0/24\n2001:db8:{number:x}::/48\n" for number in range(50_000))
    written(tmp_path, a_dot_yaml=LISTED.format("a"), lists__a_dot_txt=lines)
    started = time.process_time()
    result = load_policy(tmp_path)
    assert names(result) == ["a"]
    assert time.process_time() - started < 20.0


def test_a_list_file_with_too_many_lines_is_refused(tmp_path: Path) -> None:
    written(tmp_path, a_dot_yaml=LISTED.format("a"), lists__a_dot_txt="a\n" * (MAX_ENTRIES + 1))
    (problem,) = load_policy(tmp_path).problems
    assert problem.message.endswith(f"has {MAX_ENTRIES + 2} lines")


ASKING = """\
name: {0}
rules:
  - {{name: {0}, when: {{path: /{0}}}, action: reject}}
tests:
"""


@pytest.mark.parametrize(("files", "more", "problems"), [(25, 0, 0), (25, 1, 1), (26, 0, 1)])
def test_the_tests_of_a_folder_together_ask_for_a_bounded_number_of_requests(
    tmp_path: Path, files: int, more: int, problems: int
) -> None:
    test = "  - {{request: {{path: /}}, repeat: {}, within: 1h, expect: pass by default}}\n"
    for number in range(files):
        (tmp_path / f"{number:02}.yaml").write_text(ASKING.format(f"set-{number}") + test.format(MAX_REPEAT))
    if more:
        (tmp_path / "99.yaml").write_text(ASKING.format("last") + test.format(more))
    found = load_policy(tmp_path).problems
    name, asked = ("99.yaml", more) if more else ("25.yaml", MAX_REPEAT)
    message = f"the test asks for {asked:,} requests, and all tests up to it for {500_000 + asked:,}"
    told = f"{tmp_path}/{name}:5:5: error: {message}\n  hint: at most 500,000 in a folder; lower `repeat` and `under_way`"
    assert [str(problem) for problem in found] == [told] * problems


def test_requests_under_way_are_requests_of_a_test(tmp_path: Path) -> None:
    step = f"{{request: {{path: /}}, under_way: {MAX_REPEAT}, expect: pass by default}}"
    (tmp_path / "a.yaml").write_text(ASKING.format("a") + f"  - steps: [{', '.join([step] * 25)}]\n")
    assert [problem.hint for problem in load_policy(tmp_path).problems] == [
        "at most 500,000 in a folder; lower `repeat` and `under_way`"
    ]


@pytest.mark.slow
@pytest.mark.long
def test_ten_thousand_rules_load_in_time(tmp_path: Path) -> None:
    rules = "".join(
        f"  - name: rule-{number}\n    when:\n      user_agent: {{word: [tool-{number}, curl]}}\n"
        f"      path: {{not: {{prefix: [/api/{number}/, /feeds/]}}}}\n"
        f"    limit: {{rate: 10/minute, burst: 5, per: [client]}}\n    action: {{reject: {{status: 403}}}}\n"
        for number in range(10_000)
    )
    (tmp_path / "a.yaml").write_text(f"name: a\nrules:\n{rules}")
    started = time.process_time()
    result = load_policy(tmp_path)
    assert names(result) == ["a"]
    assert time.process_time() - started < 30.0  # 0.9 s on a quiet machine


@pytest.mark.parametrize("target", ["nowhere.txt", "a.txt"])
def test_a_list_file_that_is_a_link_to_nothing_or_itself_is_not_proposed_for_itself(target: str, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/a.txt").symlink_to(target)
    (tmp_path / "a.yaml").write_text(
        "name: a\nlists: {a: {file: lists/a.txt}}\nrules: [{name: x, when: {path: $a}, action: reject}]\n"
    )
    [problem] = load_policy(tmp_path).problems
    assert (
        problem.message.partition(" cannot be read: ")[2] in ("no such file or directory", "too many levels of symbolic links"),
        problem.hint,
    ) == (True, "")
