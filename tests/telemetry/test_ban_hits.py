"""How often the banned came back: counted by key, bounded, added up over workers."""

from __future__ import annotations

from proxyguard.telemetry.ban_hits import MAX_BANS, BanHits, joined_hits


def test_hits_and_the_last_of_them_are_added_up() -> None:
    one, two = BanHits(), BanHits()
    one.observe("client:a", 10.0)
    one.observe_connection("client:a", 12.0)
    two.observe("client:a", 11.0)
    two.observe("client:b", 5.0)
    keys = ["client:a", "client:b", "client:c"]
    assert joined_hits([one.as_data(keys), two.as_data(keys)]) == {"client:a": (3, 12.0), "client:b": (1, 5.0)}
    assert (one.refused_connections, two.refused_connections) == (1, 0)


def test_those_met_least_recently_give_way() -> None:
    hits = BanHits()
    for number in range(MAX_BANS):
        hits.observe(f"client:{number}", 1.0)
    hits.observe("client:0", 2.0)
    hits.observe("client:new", 3.0)
    assert hits.as_data(["client:0", "client:1", "client:new"]) == {"client:0": [2.0, 2.0], "client:new": [1.0, 3.0]}
