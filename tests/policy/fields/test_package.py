"""A package that adds a field, really installed: rules can ask about it and count by it, and every tool knows it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

EXAMPLE = Path(__file__).parents[2] / "example_field"
ROOT = Path(__file__).parents[3]

RULES = """\
name: few-headers
rules:
  - name: few-headers
    why: Browsers send more.
    when: {field_count: {at_most: 3}}
    action: reject
  - name: never
    when: {field_count: 2, path: /x}
    action: reject
  - name: crowd
    when: {path: /count}
    limit: {rate: 1/minute, per: field_count}
    action: tarpit
tests:
  - request: {user_agent: curl/8, path: /}
    expect: reject by few-headers
  - request: {headers: {a: b, c: d, e: f, g: h}, path: /count}
    repeat: 2
    expect: tarpit by crowd
  - request: {headers: {a: b, c: d, e: f, g: h}}
    expect: pass by default
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the example package in it, built and installed by pip without a network."""
    target = tmp_path_factory.mktemp("packages")
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", target, EXAMPLE], check=True)
    return target


def run(packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{packages}", "COLUMNS": "200"}
    command = [sys.executable, "-m", "proxyguard", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    (tmp_path / "few.yaml").write_text(RULES)
    return tmp_path


def test_rules_with_it_are_checked_tested_and_linted(packages: Path, rules: Path) -> None:
    done = run(packages, "check", "--format", "json", str(rules))
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert [(each["code"], each["line"]) for each in found["findings"]] == []
    bad = RULES.replace("{at_most: 3}", "few")
    (rules / "few.yaml").write_text(bad)
    done = run(packages, "check", str(rules))
    assert done.returncode == 1
    assert "'few' is not a number of headers" in done.stdout + done.stderr


def test_it_is_explained(packages: Path, rules: Path) -> None:
    done = run(packages, "explain", "--rules", str(rules), "-H", "A: b")
    assert "field_count is '2', at most 3" in done.stdout, done.stdout + done.stderr


def test_it_is_in_the_schema(packages: Path) -> None:
    definitions = json.loads(run(packages, "schema").stdout)["definitions"]
    described = definitions["condition"]["properties"]["field_count"]["description"]
    assert described == "How many header fields the request has, repeated ones counted each time."
    assert "field_count" in definitions["key_part"]["anyOf"][0]["enum"]


def test_without_the_package_the_word_is_unknown(tmp_path: Path, rules: Path) -> None:
    done = run(tmp_path, "check", str(rules))
    assert done.returncode == 1
    assert "unknown field 'field_count'" in done.stdout + done.stderr


def test_a_package_that_does_not_load_is_named(tmp_path: Path, rules: Path) -> None:
    """In every command that reads rules."""
    info = tmp_path / "site" / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[proxyguard.fields]\nmood = no_such_module:MOOD\n")
    for arguments in (["check", str(rules)], ["explain", "--rules", str(rules)], ["schema"]):
        done = run(tmp_path / "site", *arguments)
        assert done.returncode == 1, arguments
        said = done.stdout + done.stderr
        assert "the field plug-in 'mood' of the package broken cannot be loaded: ModuleNotFoundError" in said, arguments
        assert "Traceback" not in said
