"""What the mutation run is made of is there: its modules, its tests, and a reason for each mutant that is let live."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import AREAS, EQUIVALENT, LEFT_OUT, Change, function_of, read_equivalent
from tests.paths import ROOT


@pytest.mark.parametrize("name", AREAS)
def test_the_modules_and_tests_of_an_area_exist(name: str) -> None:
    modules, tests = AREAS[name]
    paths = [*(f"proxyguard/{each}" for each in modules), *(f"tests/{each}" for each in (*tests, *LEFT_OUT))]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_each_mutant_that_is_let_live_names_its_function_and_a_reason() -> None:
    for change in read_equivalent(EQUIVALENT.read_text()):
        path, function = change.place.split()
        assert f"def {function.rpartition('.')[2]}" in (ROOT / path).read_text(), change


def test_the_list_is_read_in_blocks() -> None:
    text = "# A heading.\n\n# Costs nothing,\n# changes nothing.\na.py f\n- x = 1\n+ x = 2\n"
    assert read_equivalent(text) == {Change("a.py f", ("x = 1",), ("x = 2",)): "Costs nothing, changes nothing."}
    with pytest.raises(ValueError, match=r"^equivalent\.txt: a reason, a place and a change are wanted:\na\.py f\n- x$"):
        read_equivalent("a.py f\n- x")


@pytest.mark.parametrize(
    ("mutant", "function"),
    [
        ("proxyguard.limits.gcra.x_charge__mutmut_3", "charge"),
        ("proxyguard.core.address.x__prefix_text__mutmut_12", "_prefix_text"),
        ("proxyguard.limits.stores.bans.xǁEndingTableǁ_gives_way__mutmut_1", "EndingTable._gives_way"),
        ("proxyguard.core.address.xǁAddressǁ__init____mutmut_1", "Address.__init__"),
    ],
)
def test_mutants_are_named_by_their_function(mutant: str, function: str) -> None:
    assert function_of(mutant) == function
