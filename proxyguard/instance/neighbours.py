"""The state of what an instance needs, as `status` shows it: upstreams, store, certificates; of several workers the worst."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from proxyguard.core.settings import Neighbour
from proxyguard.core.units import format_time
from proxyguard.telemetry.metrics import Metrics


def store_state(counts: Metrics) -> dict[str, Any]:
    """Whether the store outside the process answers, and since when; empty when there is none."""
    up, changed = counts.gauges.get("store_up"), counts.gauges.get("store_changed_timestamp_seconds")
    return {} if up is None or changed is None else {"up": bool(up[1]()), "since": changed[1]()}


def certificate_state(ends: float, now: float) -> str:
    """When a certificate ends, or that it has; both Unix seconds."""
    return f"{'ends' if now < ends else 'ENDED'} {format_time(ends)} UTC"


def worst_store(states: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Of several workers: down if it is for one, since the first lost it; up since the last has it again."""
    known = sorted((state for state in states if state), key=lambda state: float(state["since"]))
    down = [state for state in known if not state["up"]]
    return down[0] if down else known[-1] if known else {}


def worst_audit(states: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Of several workers: records that wait and were lost are added up; the trouble is that of the first that has one."""
    known = [*states]
    trouble = next((state["trouble"] for state in known if "trouble" in state), "")
    summed = {name: sum(state[name] for state in known) for name in ("waiting", "lost")}
    return {**summed, **({"trouble": trouble} if trouble else {})}


def worst_upstreams(workers: Iterable[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Of several workers: each address once, down if it is for one, since the first noticed; requests hurt are added up."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for states in workers:
        for number, state in enumerate(states):
            key = (str(state["upstream"]), f"{number} {state['address']}")
            known = found.setdefault(key, state)
            if known is state:
                continue
            hurt = known.get("hurt", 0) + state.get("hurt", 0)
            worse = min((known, state), key=lambda each: (each["state"] == "up", each.get("since", 0.0)))
            found[key] = {**worse, "hurt": hurt} if "since" in worse else worse
    return list(found.values())


def missing(wanted: Iterable[Neighbour], status: dict[str, Any]) -> list[str]:
    """What of `ready_when` does not hold: the store is down, or all addresses of an upstream are."""
    lacks = []
    for neighbour in wanted:
        match neighbour:
            case Neighbour.STORE if not status["store"].get("up", True):
                lacks.append("the store is down")
            case Neighbour.UPSTREAM:
                names = dict.fromkeys(state["upstream"] for state in status["upstreams"])
                up = {state["upstream"] for state in status["upstreams"] if state["state"] == "up"}
                lacks += [f"the upstream {name} is down" for name in names if name not in up]
    return lacks
