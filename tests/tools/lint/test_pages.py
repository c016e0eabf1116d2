"""Every code has a page and every page a code; what a page shows as found is found, and what it shows as mended is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxyguard.core.reading import PRESETS, STRICT
from proxyguard.tools.lint.codes import LINTS, page_of
from proxyguard.tools.lint.pages import read_page
from tests.paths import ROOT
from tests.tools.lint.writing import findings_in

PAGES = ROOT / "docs/lints"

YAML = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATHS = re.compile(r"--paths (\w+)")
LIST = re.compile(r"^```text\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    assert {path.stem for path in PAGES.glob("PG*.md")} == set(LINTS)


@pytest.mark.parametrize("code", LINTS)
def test_a_page_begins_with_its_lint(code: str) -> None:
    lint = LINTS[code]
    page = read_page(code)
    assert page == (ROOT / page_of(code)).read_text()
    assert page.startswith(f"# {code} {lint.name}\n\n{lint.title}. ")
    word = {"error": "Error", "warning": "Warning", "info": "Remark"}[lint.severity]
    assert f"*{word}.*" in page.splitlines()[2]
    assert f"({code}.md) | {lint.name} |" in (PAGES / "README.md").read_text()


@pytest.mark.parametrize("code", LINTS)
def test_what_a_page_shows_is_true(code: str, tmp_path: Path) -> None:
    page = read_page(code)
    lists = LIST.findall(page)
    preset = PATHS.search(page)
    reading = PRESETS[preset[1]] if preset else STRICT
    for at, (rules, expected) in enumerate(zip(YAML.findall(page), (True, False), strict=True)):
        folder = tmp_path / f"{at}"
        files = {"rules.yaml": rules}
        if lists:
            name, text = lists[at]
            files[name] = text.replace("·", " ")
        found = findings_in(folder, files, reading=reading)
        assert (code in {finding.code for finding in found}) is expected
        if not expected:
            assert [finding for finding in found if finding.code != "PG041"] == []


def test_the_example_of_an_ignored_code_in_the_index_is_clean(tmp_path: Path) -> None:
    [rules] = YAML.findall((PAGES / "README.md").read_text())
    assert findings_in(tmp_path, {"rules.yaml": rules}) == []
