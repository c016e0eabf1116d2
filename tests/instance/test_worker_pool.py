"""What workers say of themselves crosses a socket as JSON and means the same afterwards."""

from __future__ import annotations

import json

from proxyguard.instance.worker_pool import families
from proxyguard.telemetry.metrics import Metrics, exposition, merge


def test_metrics_that_crossed_a_socket_are_added_up_like_those_of_this_process() -> None:
    counts = Metrics()
    counts.rules.update(enforce=24, shadow=8, off=2)
    counts.decided("no-curl", "reject", "enforce")
    crossed = families(json.loads(json.dumps({"families": counts.snapshot()})))
    assert crossed == counts.snapshot()
    assert exposition(merge([crossed, crossed])) == exposition(merge([counts.snapshot(), counts.snapshot()]))
