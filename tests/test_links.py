"""Links between the pages lead somewhere, to a heading that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.paths import DOCS, ROOT

PAGES = (*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")))
CODE = re.compile(r"^( *`{3,}).*?^\1$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?![a-z]+:)([^)#]*)(?:#([^)]+))?\)")


def anchors(page: Path) -> set[str]:
    """Of the headings, as the hosting platform and the site make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(CODE.sub("", page.read_text())):
        target = page.parent / path if path else page
        assert target.is_file(), f"{path}: the site needs a file, not a folder"
        assert target.suffix in {".md", ".png", ""}, f"{path}: neither a page nor a picture; name it in back-ticks"
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_there_are_links_and_anchors() -> None:
    found = [link for page in PAGES for link in LINK.findall(CODE.sub("", page.read_text()))]
    assert len(found) > 100
    assert sum(bool(anchor) for _, anchor in found) > 10
