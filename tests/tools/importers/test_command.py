"""`proxyguard import` from outside: files, exit codes, notes, and the folder that a file is made for."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxyguard.cli.importing import import_rules
from proxyguard.policy.load import load_policy
from proxyguard.policy.testing.runner import run_tests
from tests.paths import BUNDLED_RULES

pytestmark = pytest.mark.long

SAMPLES = Path(__file__).parent / "samples"

NEIGHBOUR = """\
name: neighbour
rules:
  - {name: no-gptbot, when: {user_agent: {word: GPTBot}}, action: reject}
"""

WHOLE_SITE = """\
name: whole-site
tests:
  - {request: {user_agent: PhotoSpider/1.0, path: /gallery/private}, expect: pass by default}
"""


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(import_rules, arguments, input=stdin)


def test_rules_go_to_standard_output_and_notes_to_standard_error() -> None:
    result = run("robots", "-", stdin="User-agent: SomeBot\nDisallow: /x\nDisallow: y")
    assert result.exit_code == 0
    assert result.stdout.startswith("# yaml-language-server: $schema=.schema.json\n# Made by `proxyguard import robots -` from ")
    assert result.stderr == "note: line 3: the pattern 'y' does not begin with /, and so crawlers do not heed it\n"


def test_a_file_is_written_once_and_only_replaced_when_forced(tmp_path: Path) -> None:
    target = tmp_path / "70-robots.yaml"
    source = str(SAMPLES / "robots.txt")
    assert run("robots", source, "-o", str(target)).exit_code == 0
    before = target.read_text()
    again = run("robots", source, "-o", str(target), "--mode", "enforce")
    assert (again.exit_code, target.read_text()) == (1, before)
    assert again.stderr == f"{target}: the file is there already\n  hint: choose another name, or --force to write over it\n"
    assert run("robots", source, "-o", str(target), "--mode", "enforce", "--force").exit_code == 0
    assert "mode: shadow" not in target.read_text()


def test_every_import_fits_into_a_folder_with_the_bundled_rules_and_the_others(tmp_path: Path) -> None:
    for path in BUNDLED_RULES.rglob("*"):
        if path.is_file():
            copy = tmp_path / path.relative_to(BUNDLED_RULES)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())
    imports = {
        "robots": "robots.txt", "nginx-map": "map.conf", "ai-robots": "robots.json", "fail2ban": "status.txt",
        "anubis": "policy.yaml",
    }  # fmt: skip
    for kind, sample in imports.items():
        result = run(kind, str(SAMPLES / sample), "-o", str(tmp_path / f"70-{kind}.yaml"))
        assert result.exit_code == 0, result.stderr
    loaded = load_policy(tmp_path)
    assert loaded.policy is not None, loaded.problems
    assert run_tests(loaded.policy) == ()


def test_what_would_refuse_browsers_is_in_shadow_by_itself_with_a_warning(tmp_path: Path) -> None:
    source = "map $http_upgrade $plain { default 0; '' 1; }\nserver { if ($plain) { return 403; } }"
    result = run("nginx", "-", "--mode", "enforce", stdin=source)
    assert result.exit_code == 0
    assert "    action: reject\n    mode: shadow\n" in result.stdout
    assert result.stderr.startswith("WARNING: line 2: nginx-plain would refuse ordinary requests of 533 of 533 real browsers, ")


def test_a_map_that_refuses_nobody_is_named_and_can_be_named(tmp_path: Path) -> None:
    source = tmp_path / "maps.conf"
    source.write_text("map $http_user_agent $bad { ~*thief 1; }")
    left_out = run("nginx", str(source))
    assert left_out.exit_code == 1
    assert "If another file does: --reject bad" in left_out.stderr
    named = run("nginx", str(source), "--reject", "bad")
    assert named.exit_code == 0
    assert "when: {user_agent: {regex: '(?i)thief'}}" in named.stdout
    assert "# Made by `proxyguard import nginx maps.conf --reject bad` from maps.conf." in named.stdout
    assert run("nginx", str(source), "--reject", "good").stderr == (
        "maps.conf: there is no map or geo of $good in these files; --reject names one\n"
    )
    assert run("robots", str(source), "--reject", "bad").exit_code == 2


def test_a_file_that_includes_itself_is_read_once(tmp_path: Path) -> None:
    text = "include /usr/share/modules/*.conf; include nginx.conf; include ./*.conf; if ($arg_x = 1) { return 403; }"
    (tmp_path / "nginx.conf").write_text(text)
    result = run("nginx", str(tmp_path / "nginx.conf"))
    assert (result.exit_code, result.stdout.count("action: reject")) == (0, 1)


def test_included_files_are_read_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("http { include /etc/nginx/conf.d/*.conf; server { include bots.d/block.conf; } }")
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "maps.conf").write_text("map $http_user_agent $bad { ~*thief 1; }")
    (tmp_path / "elsewhere").mkdir()
    result = run("nginx", str(tmp_path / "nginx.conf"))
    assert "not followed: include bots.d/block.conf: there is no such file beside this one" in result.stderr
    (tmp_path / "bots.d").mkdir()
    (tmp_path / "bots.d" / "block.conf").write_text("if ($bad) { return 444; }")
    result = run("nginx", str(tmp_path / "nginx.conf"))
    assert (result.exit_code, "action: drop" in result.stdout) == (0, True)
    moved = run("nginx", str(tmp_path / "nginx.conf"), "--folder", str(tmp_path / "elsewhere"))
    assert "not followed: include /etc/nginx/conf.d/*.conf" in moved.stderr


def test_rules_that_break_the_tests_of_others_are_not_written(tmp_path: Path) -> None:
    (tmp_path / "10-neighbour.yaml").write_text(NEIGHBOUR)
    (tmp_path / "99-whole-site.yaml").write_text(WHOLE_SITE)
    target = tmp_path / "70-robots.yaml"
    result = run("robots", str(SAMPLES / "robots.txt"), "-o", str(target), "--mode", "enforce")
    assert (result.exit_code, target.exists()) == (1, False)
    assert "99-whole-site.yaml:3:5: error: the test expected pass by default, got reject by robots-photospider" in result.stderr


def test_names_that_are_taken_are_refused_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "10-neighbour.yaml").write_text(NEIGHBOUR)
    result = run("robots", str(SAMPLES / "robots.txt"), "-o", str(tmp_path / "70.yaml"), "--name", "Neighbour")
    assert result.exit_code == 1
    assert result.stderr == f"robots.txt: the name 'neighbour' is taken in {tmp_path}\n  hint: choose another with --name\n"


def test_a_folder_that_does_not_load_is_said_first(tmp_path: Path) -> None:
    (tmp_path / "10-neighbour.yaml").write_text("name: x\nrulez: []\n")
    result = run("robots", str(SAMPLES / "robots.txt"), "-o", str(tmp_path / "70.yaml"))
    assert result.exit_code == 1
    assert "does not load" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [(("robots",), 2), (("sitemap", "-"), 2), (("robots", "/no/such/file"), 2), (("robots", "-"), 1), (("anubis", "-"), 1)],
)
def test_exit_codes_tell_a_wrong_command_line_from_a_file_that_cannot_be_used(arguments: tuple[str, ...], exit_code: int) -> None:
    assert run(*arguments).exit_code == exit_code
