"""The workflows of the hosting platform: what actionlint and zizmor (`make lint`) do not know of this project."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.paths import ROOT

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def workflow(name: str) -> Any:
    return yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())


def test_there_are_three() -> None:
    assert [path.stem for path in FILES] == ["image", "release", "test"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_action_is_pinned_to_a_commit_with_its_version_beside_it(path: Any) -> None:
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used
    for each in used:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)


def test_one_commit_for_each_action() -> None:
    used = {each for path in FILES for each in re.findall(r"uses: (.+)", path.read_text())}
    assert len(used) == len({each.partition("@")[0] for each in used})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_job_has_no_right_that_it_does_not_name(path: Any) -> None:
    assert workflow(path.stem)["permissions"] == {}
    for job in workflow(path.stem)["jobs"].values():
        written = [right for right, how in job.get("permissions", {}).items() if how == "write"]
        assert len(written) <= 1
        assert not written or "refs/tags/v" in job["if"]


def test_the_supported_pythons_are_tried_and_get_wheels() -> None:
    tried = workflow("test")["jobs"]["unit"]["strategy"]["matrix"]["python"]
    wheels = PROJECT["tool"]["cibuildwheel"]["build"]
    assert wheels == [f"cp{version.replace('.', '')}-manylinux_*" for version in tried]
    assert PROJECT["project"]["requires-python"] == f">={tried[0]}"
    assert f"(3, {tried[-1].removeprefix('3.')})" in (ROOT / "scripts/find-python").read_text()
