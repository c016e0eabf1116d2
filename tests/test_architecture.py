"""docs/architecture.md is true: its map lists what there is, its layers are those that are held, its diagrams name modules."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.paths import DOCS, ROOT

PAGE = (DOCS / "architecture.md").read_text()
PACKAGE = ROOT / "proxyguard"
TABLE = re.compile(r"^### `([a-z0-9_/]+)/`\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `([a-z0-9_]+/?)` \| (.+) \|$", re.MULTILINE)
TABLES = {name: dict(ROW.findall(text)) for name, text in TABLE.findall(PAGE)}
DIAGRAMS = re.findall(r"^```mermaid\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PATH = re.compile(r"(?<![\w/.*])((?:[a-z0-9_]+/)+[a-z0-9_]*)(?![\w/.*])")


def rooms() -> set[str]:
    return {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


def children(package: str) -> set[str]:
    """Modules by their names, packages with a slash."""
    names = set()
    for path in (PACKAGE / package).iterdir():
        if (path / "__init__.py").exists():
            names.add(f"{path.name}/")
        elif path.suffix == ".py" and not path.stem.startswith("__"):
            names.add(path.stem)
    return names


def is_there(path: str) -> bool:
    """Whether a path below the package, or below the top of the repository, is a module or a folder."""
    bare = path.rstrip("/")
    places = (PACKAGE / f"{bare}.py", PACKAGE / bare, ROOT / bare)
    return any(place.exists() for place in places)


def first_line(package: str, name: str) -> str:
    path = PACKAGE / package / (f"{name}__init__.py" if name.endswith("/") else f"{name}.py")
    return (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n", 1)[0]


def test_every_room_has_a_table() -> None:
    assert rooms() <= set(TABLES)
    assert len(TABLES) > len(rooms())


@pytest.mark.parametrize("package", TABLES)
def test_a_table_lists_its_package_whole(package: str) -> None:
    there, listed = children(package), set(TABLES[package])
    missing = [f"| `{name}` | {first_line(package, name)} |" for name in sorted(there - listed)]
    assert missing == [], "docs/architecture.md, add to the table"
    assert listed - there == set(), "docs/architecture.md, take out of the table"


@pytest.mark.parametrize("package", TABLES)
def test_a_row_has_one_sentence(package: str) -> None:
    for name, text in TABLES[package].items():
        assert text.endswith("."), f"{package}/{name}"
        assert len(text) <= 120, f"{package}/{name}"


def test_the_layers_are_those_that_are_held() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [held] = [contract["layers"] for contract in contracts if contract["name"] == "Imports only go down"]
    rows = re.findall(r"^\| \d \| (.+?) \|", PAGE, re.MULTILINE)
    shown = [set(re.findall(r"`([a-z]+)`", row)) for row in rows]
    assert shown == [set(re.findall(r"\w+", layer)) for layer in held if layer != "__main__"]


def test_there_are_five_journeys() -> None:
    assert len(DIAGRAMS) == 5
    assert PAGE.count("\n### ", PAGE.index("## Five journeys"), PAGE.index("## The map")) == 5


def test_the_page_names_modules_that_there_are() -> None:
    text = PAGE[: PAGE.index("## The map")]
    prose = " ".join(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)))
    named = PATH.findall(" ".join((*DIAGRAMS, prose)).replace("/<br>", "/"))
    assert len(named) > 60
    assert [path for path in named if not is_there(path)] == []


def indexed() -> dict[str, tuple[str, str, str]]:
    """The rows of the index of decision records: number to file, date and status."""
    page = (DOCS / "adr/README.md").read_text()
    rows = re.findall(r"^\| (\d{4}) \| \[.+\]\((.+\.md)\) \| (\d{4}-\d\d-\d\d) \| (.+) \|$", page, re.MULTILINE)
    return {number: (file, date, status) for number, file, date, status in rows}


def test_the_index_lists_every_decision_record() -> None:
    files = {path.name for path in (DOCS / "adr").glob("[0-9]*.md")}
    assert {file for file, _, _ in indexed().values()} == files
    for number, (file, _, status) in indexed().items():
        assert file.startswith(f"{number}-")
        assert re.match(r"(accepted|replaced by \d{4}|withdrawn)(, .+)?$", status), f"{file}: {status}"


def test_a_decision_record_has_its_three_parts() -> None:
    template = (DOCS / "adr/template.md").read_text()
    parts = re.findall(r"^\*\*(\w+)", template, re.MULTILINE)
    assert parts == ["Decision", "Why", "Price"]
    for file, _, _ in indexed().values():
        text = (DOCS / "adr" / file).read_text()
        assert re.match(r"# .+\n\n\*\*Decision", text), f"{file} begins with its decision"
        assert "**Why" in text, f"{file} says why"


def test_the_glossary_is_in_order_and_without_repetition() -> None:
    page = (DOCS / "glossary.md").read_text()
    for section in page.split("\n## ")[1:]:
        terms = re.findall(r"^\| \*\*(.+?)\*\*", section, re.MULTILINE)
        assert len(terms) >= 10
        assert terms == sorted(terms, key=str.lower)
        assert len(terms) == len(set(terms))


def paths_of(page: Path) -> set[str]:
    return set(re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()))


def test_a_newcomer_finds_every_page_from_the_first() -> None:
    """README or the pages it links to link to every page, lints and decision records through their indexes."""
    start = ROOT / "README.md"
    first = {(start.parent / link).resolve() for link in paths_of(start)}
    second = {(page.parent / link).resolve() for page in first if page.suffix == ".md" for link in paths_of(page)}
    reached = {path / "README.md" if path.is_dir() else path for path in first | second}
    pages = {path.resolve() for path in DOCS.rglob("*.md") if path.name != "template.md"}
    pages |= {ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"}
    assert sorted(str(page.relative_to(ROOT)) for page in pages - reached) == []
