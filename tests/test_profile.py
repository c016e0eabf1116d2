"""`make profile`: what it makes of callgrind's words, and when it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.profile import _LINE, KINDS, OTHER, Counted, as_data, compare, components, total_of
from tests.paths import ROOT


def counted(instructions: float) -> dict[str, Counted]:
    return {"forwarded": Counted([instructions * 1.02, instructions], {}, [])}


@pytest.mark.parametrize(("now", "worse"), [(100_000, []), (104_900, []), (105_100, ["forwarded"]), (50_000, [])])
def test_it_fails_beyond_five_per_cent(now: float, worse: list[str], tmp_path: Path) -> None:
    stored = tmp_path / "stored.json"
    stored.write_text(json.dumps(as_data(counted(100_000))))
    assert compare(counted(now), stored) == worse


def test_figures_of_another_python_are_held_against_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = tmp_path / "stored.json"
    stored.write_text(json.dumps({**as_data(counted(100_000)), "python": "3.0.0"}))
    assert compare(counted(200_000), stored) == []
    assert "python was 3.0.0 then" in capsys.readouterr().out


def test_a_kind_that_was_not_counted_then_is_not_compared(tmp_path: Path) -> None:
    stored = tmp_path / "stored.json"
    stored.write_text(json.dumps({**as_data({}), "instructions_per_request": {}}))
    assert compare(counted(1), stored) == []


def test_functions_are_told_apart_by_what_they_do() -> None:
    said = """
--------------------------------------------------------------------------------
Ir
--------------------------------------------------------------------------------
1,234,567 (100.0%)  PROGRAM TOTALS

  400,000 (32.40%)  ???:_PyEval_EvalFrameDefault [/usr/lib/libpython3.13.so.1.0]
  200,000 (16.20%)  ./malloc/malloc.c:malloc [/usr/lib/libc.so.6]
   90,000 ( 7.29%)  ???:CPyDef_guard___Guard___check [/x/proxyguard__mypyc.cpython-313-x86_64-linux-gnu.so]
      100 ( 0.00%)  ???:something [/x/y.so]
"""
    lines = [(line[2], int(line[1].replace(",", ""))) for line in _LINE.finditer(said) if "PROGRAM" not in line[2]]
    assert components(lines, 100) == {"interpreter loop": 4000, "memory, objects": 2000, "ours, compiled": 900, OTHER: 1}


def test_the_sum_of_a_dump_is_read(tmp_path: Path) -> None:
    dump = tmp_path / "dump"
    dump.write_text("version: 1\nevents: Ir\nfn=(1) a\n1 2\n\ntotals: 4711\n")
    assert total_of(dump) == 4711


def test_what_is_stored_has_every_kind_that_is_counted_by_default() -> None:
    stored = json.loads((ROOT / "bench/results/instructions.json").read_text())
    assert {kind.name for kind in KINDS if not kind.tls} <= stored["instructions_per_request"].keys()
