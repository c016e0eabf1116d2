"""The tally of shadow rules: who counts, for how long, within which bounds, and over several workers."""

from __future__ import annotations

import asyncio
import json

import pytest

from proxyguard.core.address import DEFAULT_PREFIXES, Address
from proxyguard.core.decision import PASS, Decision, Mode, Prove, Reject, ShadowHit
from proxyguard.telemetry.shadow import MAX_RULES, TOP, WINDOW_SECONDS, Tally, TallyWindow

SECRET = b"s" * 32


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def tally(clock: Clock | None = None) -> Tally:
    return Tally(SECRET, DEFAULT_PREFIXES, clock or Clock())


def whole(made: Tally) -> TallyWindow:
    return asyncio.run(made.window())


def would(*hits: str) -> Decision:
    """A pass with shadow hits: `reject by a`."""
    shadow = tuple(ShadowHit(rule, action) for action, rule in (hit.split(" by ") for hit in hits))
    return Decision(action=PASS, shadow=shadow)


def client(number: int) -> Address:
    return Address.parse(f"198.51.{number // 256}.{number % 256}")


def test_requests_clients_networks_and_protected_ones_are_told_apart() -> None:
    made = tally()
    for number in range(30):
        made.observe(client(number), "signed-in" if number < 3 else "anonymous", would("reject by a"))
        made.observe(client(number), "anonymous", would("reject by a"))
    made.observe(client(300), "", would("tarpit by a"))
    hits = whole(made).shadow["a"]
    assert (hits.requests, hits.clients.count(), hits.networks.count()) == (61, 31, 2)
    assert (hits.protected_requests, hits.protected.count()) == (3, 3)
    assert hits.top_networks.counts == {"198.51.0.0/24": [60, 3, 0], "198.51.1.0/24": [1, 0, 0]}
    assert whole(made).seen.count() == 3


@pytest.mark.parametrize(
    "decision",
    [would("score by a"), would("allow by a"), Decision(action=Reject(), rule="b", shadow=(ShadowHit("a", "reject"),))],
    ids=["only points", "an allow", "stopped by another rule"],
)
def test_what_would_not_newly_stop_anyone_is_no_hit(decision: Decision) -> None:
    made = tally()
    made.observe(client(1), "", decision)
    assert whole(made).shadow == {}


def test_enforced_rules_are_tallied_for_protected_clients_only() -> None:
    made = tally()
    refused = Decision(action=Reject(), rule="a")
    made.observe(client(1), "signed-in", refused)
    made.observe(client(2), "anonymous", refused)
    assert whole(made).enforce["a"].protected.count() == 1
    made.forget("a", Mode.ENFORCE)
    assert whole(made).enforce == {}


def test_a_protected_client_that_is_sent_for_a_jar_is_not_hurt() -> None:
    made = tally()
    made.observe(client(1), "signed-in", Decision(action=Prove(), rule="a"))
    assert whole(made).enforce == {}


def test_what_is_older_than_a_day_is_forgotten_and_the_last_hour_is_known() -> None:
    clock = Clock()
    made = tally(clock)
    made.observe(client(1), "signed-in", would("reject by a"))
    clock.now += 7300
    made.observe(client(2), "signed-in", would("reject by a"))
    window = whole(made)
    assert (window.shadow["a"].requests, window.seen.count(), window.seen_recently.count()) == (2, 2, 1)
    clock.now += WINDOW_SECONDS
    made.observe(client(3), "signed-in", Decision(action=PASS))
    window = whole(made)
    assert (window.shadow, window.seen.count()) == ({}, 1)
    assert window.since == clock.now - WINDOW_SECONDS


def test_names_and_rules_are_bounded_and_the_busiest_network_is_kept() -> None:
    made = tally()
    for number in range(3000):
        made.observe(client(7), "", would("reject by a"))
        made.observe(Address.parse(f"203.{number % 256}.{number // 256}.1"), "", would("reject by a"))
    for number in range(MAX_RULES + 10):
        made.observe(client(1), "", would(f"reject by rule-{number}"))
    window = whole(made)
    top = window.shadow["a"].top_networks.counts
    assert len(top) == TOP
    assert max(top, key=lambda network: top[network][0]) == "198.51.0.0/24"
    assert (len(window.shadow), window.left_out) == (MAX_RULES, 11)


def test_no_network_is_said_to_have_made_more_requests_than_it_did() -> None:
    one, two = tally(), tally()
    for network in range(2 * TOP):
        for number in range(20):
            (one if number % 2 else two).observe(client(256 * network), "", would("reject by a"))
    top = TallyWindow.joined([whole(each).as_data() for each in (one, two)]).shadow["a"].top_networks.counts
    assert all(0 < requests <= 20 for requests, _, _ in top.values())
    assert all(requests + unseen >= 20 for requests, _, unseen in top.values())


def test_the_windows_of_workers_join() -> None:
    clock = Clock()
    one, two = tally(clock), tally(clock)
    for number in range(100):
        (one if number % 2 else two).observe(client(number), "signed-in", would("reject by a"))
        one.observe(client(number), "signed-in", would("reject by b"))
    sent = [json.loads(json.dumps(whole(each).as_data())) for each in (one, two)]
    joined = TallyWindow.joined(sent)
    assert joined.shadow["a"].requests == 100
    assert joined.shadow["a"].clients.count() == joined.shadow["b"].clients.count()
    assert joined.seen.count() == joined.shadow["b"].clients.count()


def test_clients_have_the_names_of_the_time_of_the_report_and_networks_those_that_are_shown() -> None:
    names = ["c-monday"]
    made = Tally(SECRET, DEFAULT_PREFIXES, Clock(), lambda _key: names[0], lambda _address: "(any)")
    for day in ("c-monday", "c-tuesday"):
        names[0] = day
        for number in (1, 300):
            made.observe(client(number), "", would("reject by a"))
        hits = whole(made).shadow["a"]
        assert list(hits.top_clients.counts) == [day]
    assert (hits.networks.count(), hits.top_networks.counts) == (2, {"(any)": [4, 0, 0]})
