"""Bundled rules that were imported: what is found in them is the operator's only where the operator changed or hid them."""

from __future__ import annotations

from pathlib import Path

from tests.tools.lint.writing import findings_in

IMPORT = "import: bundled\n"
HINT = "make it narrower, or {0}; what is meant to be off is said so: override: {{NAME: {{mode: off}}}}"


def found(folder: Path, files: dict[str, str]) -> list[str]:
    each = findings_in(folder, files)
    return [
        f"{Path(one.place.file).name}:{one.place.line}:{one.place.column} {one.code} {one.message} | {one.hint}" for one in each
    ]


def test_imported_rules_alone_are_clean(tmp_path: Path) -> None:
    assert found(tmp_path, {"10.yaml": IMPORT}) == []


def test_a_rule_that_decides_before_all_imported_ones_is_found_where_it_stands(tmp_path: Path) -> None:
    mine = "name: mine\nrules:\n  - {name: all-pages, action: pass}\n"
    [one] = found(tmp_path, {"05-mine.yaml": mine, "10.yaml": IMPORT})
    start, _, rest = one.partition(" imported rules: ")
    place, _, count = start.rpartition(" ")
    assert place == "05-mine.yaml:3:5 PG001 the rule 'all-pages' decides before"
    assert int(count) > 70
    assert rest.endswith(f" and {int(count) - 16} more can never apply | {HINT.format('put it behind the import')}")


def test_a_rule_that_decides_before_one_imported_rule_names_it(tmp_path: Path) -> None:
    mine = "name: mine\nrules:\n  - {name: our-scans, when: {bot: scanner}, action: allow}\n"
    [one] = found(tmp_path, {"10.yaml": "import: bundled/30-scanners\n", "20-mine.yaml": mine})
    assert one == (
        "20-mine.yaml:3:5 PG001 the rule 'our-scans' decides before 1 imported rule: scanners can never apply | "
        + HINT.format("use pass, which keeps its place")
    )


def test_behind_the_import_it_hides_nothing(tmp_path: Path) -> None:
    mine = "name: mine\nrules:\n  - {name: all-pages, action: pass}\n"
    assert found(tmp_path, {"10.yaml": IMPORT, "20-mine.yaml": mine}) == []


def test_a_name_that_is_like_one_of_an_imported_rule_is_found_where_it_stands(tmp_path: Path) -> None:
    mine = "name: mine\nrules:\n  - {name: probe-path, when: {path: /x}, action: reject}\n"
    for name in ("05-mine.yaml", "20-mine.yaml"):
        folder = tmp_path / name
        [one] = found(folder, {"10.yaml": "import: bundled/30-scanners\n", name: mine})
        assert one.startswith(f"{name}:3:6 PG040 the name 'probe-path' is easily mistaken for 'probe-paths' (")


def test_an_override_is_looked_at_as_a_rule_is(tmp_path: Path) -> None:
    rules = (
        f"{IMPORT}override:\n"
        "  http-libraries: {expires: 2020-01-01}\n"
        "  log-in-flood:\n"
        "    limit: {rate: 10/minute, burst: 500}\n"
    )
    assert found(tmp_path, {"10.yaml": rules}) == [
        "10.yaml:3:20 PG004 the rule 'http-libraries' expired on 2020-01-01 00:00 UTC | delete it, or give it a later day",
        (
            "10.yaml:5:30 PG030 the limit of 'log-in-flood' lets 500 through at once, more than its rate allows in a whole "
            "period (10 in 1m) | burst: 10 or less, or a rate over the time that you mean"
        ),
    ]


def test_a_comment_beside_an_override_covers_it(tmp_path: Path) -> None:
    rules = f"{IMPORT}override:\n  http-libraries: {{expires: 2020-01-01}}  # kept to remember; proxyguard: ignore PG004\n"
    assert found(tmp_path, {"10.yaml": rules}) == []


def test_an_override_of_the_mode_alone_is_clean(tmp_path: Path) -> None:
    """Also where the bundled file says why a lint does not fit: `search-engines` has a burst beyond its rate."""
    rules = (
        f"{IMPORT}override: {{search-engines: {{mode: shadow}}, ancient-browser: {{mode: enforce}}, exploits: {{mode: off}}}}\n"
    )
    assert found(tmp_path, {"10.yaml": rules}) == []
