"""The metrics of several workers: they cross a socket as JSON, are added up, and no counter of the sum ever falls."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from proxyguard.core.settings import Settings
from proxyguard.instance.worker_pool import WorkerPool
from proxyguard.instance.worker_process import families
from proxyguard.telemetry.metric_families import Family, exposition, merge
from proxyguard.telemetry.metrics import Metrics


def test_metrics_that_crossed_a_socket_are_added_up_like_those_of_this_process() -> None:
    counts = Metrics()
    counts.rules.update(enforce=24, shadow=8, off=2)
    counts.decided("no-curl", "reject", "enforce")
    crossed = families(json.loads(json.dumps({"families": counts.snapshot()})))
    assert crossed == counts.snapshot()
    assert exposition(merge([crossed, crossed])) == exposition(merge([counts.snapshot(), counts.snapshot()]))


class FakeWorker:
    """A worker process with `requests` requests and one connection, that answers while `answers` holds."""

    def __init__(self, requests: int) -> None:
        self.requests = requests
        self.families: list[Family] = []
        self.is_running = self.answers = True

    async def snapshot(self, _seconds: float) -> dict[str, Any] | None:
        if not self.answers:
            return None
        counts = Metrics()
        counts.requests = self.requests
        counts.connection_opened()
        self.families = counts.snapshot()
        return {"status": {}}


def scrape(pool: WorkerPool) -> tuple[float, float, int]:
    """Requests and connections in the sum, and how many workers answered."""
    answered = asyncio.run(pool.snapshots())
    values = {name: samples[0][2] for name, _, _, samples in pool.families() if samples}
    return values["requests_total"], values["connections"], len(answered)


def test_no_counter_falls_when_a_worker_does_not_answer_crashes_or_is_replaced(tmp_path: Path) -> None:
    pool = WorkerPool(Settings(), b"x", tmp_path, [], Metrics())
    first, second, third = FakeWorker(100), FakeWorker(20), FakeWorker(3)
    for slot, worker in enumerate((first, second)):
        pool._fill(slot, worker)  # type: ignore[arg-type]  # a fake
    assert scrape(pool) == (120, 2, 2)
    first.answers, second.requests = False, 25
    assert scrape(pool) == (125, 2, 1)
    first.is_running = False
    assert scrape(pool) == (125, 1, 1)
    pool._fill(0, third)  # type: ignore[arg-type]  # a fake
    assert scrape(pool) == (128, 2, 2)
    pool._fill(0, FakeWorker(7))  # type: ignore[arg-type]  # a fake
    assert scrape(pool) == (135, 2, 2)
