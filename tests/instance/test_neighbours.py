"""The state of upstreams and store: of several workers the worst, and what readiness asks for."""

from __future__ import annotations

from typing import Any

from proxyguard.core.settings import Neighbour
from proxyguard.instance.neighbours import certificate_state, missing, store_state, worst_audit, worst_store, worst_upstreams
from proxyguard.telemetry.metrics import Metrics


def up(address: str = "192.0.2.1") -> dict[str, Any]:
    return {"upstream": "http://site:80", "address": address, "state": "up"}


def down(since: float, hurt: int, address: str = "192.0.2.1") -> dict[str, Any]:
    return {**up(address), "state": "unreachable", "since": since, "why": "Connection refused", "hurt": hurt}


def test_an_address_is_down_if_it_is_for_one_worker_since_the_first_noticed() -> None:
    assert worst_upstreams([[up()], [down(20.0, 3)], [down(10.0, 4)]]) == [down(10.0, 7)]
    assert worst_upstreams([[down(20.0, 3)], [up()]]) == [down(20.0, 3)]
    assert worst_upstreams([[up()], [up()]]) == [up()]
    assert worst_upstreams([]) == []


def test_the_store_is_down_if_it_is_for_one_worker() -> None:
    well, ill = {"up": True, "since": 5.0}, {"up": False, "since": 9.0}
    assert worst_store([well, ill, {"up": False, "since": 8.0}]) == {"up": False, "since": 8.0}
    assert worst_store([well]) == well
    again = {"up": True, "since": 8.0}
    assert worst_store([well, again]) == worst_store([again, well]) == again
    assert worst_store([{}, {}]) == worst_store([]) == {}


def test_a_certificate_that_has_ended_says_so() -> None:
    assert certificate_state(2.0, 1.0) == "ends 1970-01-01 00:00:02 UTC"
    assert certificate_state(2.0, 2.0) == "ENDED 1970-01-01 00:00:02 UTC"


def test_records_of_all_workers_are_added_up_and_the_first_trouble_is_told() -> None:
    well, full = {"waiting": 1, "lost": 0}, {"waiting": 300, "lost": 20, "trouble": "No space left on device"}
    assert worst_audit([well, well]) == {"waiting": 2, "lost": 0}
    assert worst_audit([well, full, {**well, "trouble": "another"}]) == {
        "waiting": 302,
        "lost": 20,
        "trouble": "No space left on device",
    }
    assert worst_audit([]) == {"waiting": 0, "lost": 0}


def test_the_state_of_the_store_is_read_from_its_gauges() -> None:
    counts = Metrics()
    assert store_state(counts) == {}
    counts.gauge("store_up", "", lambda: 0.0)
    counts.gauge("store_changed_timestamp_seconds", "", lambda: 7.0)
    assert store_state(counts) == {"up": False, "since": 7.0}


def test_readiness_lacks_an_upstream_only_when_all_its_addresses_are_down() -> None:
    every = tuple(Neighbour)
    half = {"store": {}, "upstreams": [up(), down(1.0, 1, "192.0.2.2")]}
    none = {"store": {"up": False, "since": 1.0}, "upstreams": [down(1.0, 1)]}
    assert missing(every, half) == []
    assert missing(every, none) == ["the upstream http://site:80 is down", "the store is down"]
    assert missing((Neighbour.STORE,), none) == ["the store is down"]
    assert missing((), none) == []
