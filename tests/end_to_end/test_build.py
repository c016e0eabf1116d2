"""The processes that these tests start run the build that the tests themselves run from: the sources, or the compiled tree."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.core.build_info import BUILD_KIND
from tests.end_to_end.processes import proxyguard, tell, told, wait_until
from tests.paths import ROOT


@pytest.mark.parametrize("workers", [1, 2])
def test_every_worker_runs_the_build_under_test(workers: int, upstream: str, folder: Path) -> None:
    with proxyguard(folder, upstream, settings=f"workers: {workers}\ncontrol: {folder / 'control.sock'}\n"):
        assert told(folder, "status")["build"] == BUILD_KIND
        assert f"\n{'build':<16} {BUILD_KIND}\n" in tell(folder, "status").stdout

        def pids() -> list[int]:
            status = told(folder, "status")
            found: list[int] = status.get("workers", [status["pid"]])
            return found

        wait_until(lambda: len(pids()) == workers, "all workers")
        for pid in pids():
            mapped = {Path(line.split()[-1]) for line in Path(f"/proc/{pid}/maps").read_text().splitlines()}
            assert [path.parent for path in mapped if path.name.startswith("proxyguard__mypyc.")] == (
                [ROOT] if BUILD_KIND == "compiled" else []
            )
