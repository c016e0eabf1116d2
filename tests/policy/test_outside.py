"""What no request carries: the time of day by the clock of a zone, and a sample of the clients that is always the same."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import pytest

from proxyguard.core.build_info import BUILD_KIND
from proxyguard.limits.stores.store import Outcome
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.explain.trace import trace
from proxyguard.policy.model import Policy
from proxyguard.policy.parse.file import parse_rule_set
from tests.build import request


def policy_of(when: str) -> Policy:
    rule_set, problems = parse_rule_set(f"name: a\nrules: [{{name: b, when: {when}, action: reject}}]\n", "a.yaml")
    assert problems == ()
    assert rule_set is not None
    return Policy((rule_set,))


def compiled(when: str, secret: bytes = b"secret") -> CompiledPolicy:
    return compile_policy(policy_of(when), secret=secret)


def applies(policy: CompiledPolicy, client: str = "192.0.2.1", now: float = 0.0) -> bool:
    return decide(match(policy, request(client=client), now), Outcome(None, ())).decision.rule == "b"


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "night"),
    [
        ("2026-07-01T19:59:59", False),
        ("2026-07-01T20:00:00", True),
        ("2026-07-02T03:59:59", True),
        ("2026-07-02T04:00:00", False),
        ("2026-01-01T20:59:00", False),  # an hour later in winter
        ("2026-01-01T21:00:00", True),
        ("2026-10-25T00:30:00", True),  # 02:30 comes twice
        ("2026-10-25T01:30:00", True),
    ],
)
def test_over_midnight_by_the_clock_of_a_zone(now: str, night: bool) -> None:
    when = "{time_of_day: {from: 22:00, until: 06:00, time_zone: Europe/Berlin}}"
    assert applies(compiled(when), now=at(now)) is night
    assert applies(compiled(f"{{not: {when}}}"), now=at(now)) is not night
    assert (trace(policy_of(when), request(), at(now)).decision.rule == "b") is night


def test_a_clock_that_is_set_back_is_followed() -> None:
    policy = compiled("{time_of_day: {from: 09:00, until: 17:00}}")
    hours = ["08:59", "09:00", "16:59", "08:30", "17:00", "12:00"]
    assert [applies(policy, now=at(f"2026-03-01T{hour}:30")) for hour in hours] == [False, True, True, False, False, True]


def test_a_sample_is_a_share_of_the_clients_and_always_the_same() -> None:
    clients = [f"198.51.{number >> 8}.{number & 255}" for number in range(2000)]
    tenth, fifth = compiled("{sample: 10%}"), compiled("{sample: 20%}")
    chosen = {client for client in clients if applies(tenth, client)}
    assert 140 < len(chosen) < 260
    assert chosen == {client for client in clients if applies(tenth, client, 86_400.0)}
    assert chosen < {client for client in clients if applies(fifth, client)}
    others = {client for client in clients if applies(compiled("{sample: 10%}", b"another"), client)}
    assert len(chosen & others) < len(chosen) / 2


def test_a_person_keeps_the_place_within_a_64() -> None:
    policy = compiled("{sample: 50%}")
    for number in range(20):
        answers = {applies(policy, f"2001:db8:0:{number:x}::{host:x}") for host in range(1, 9)}
        assert len(answers) == 1


def test_explain_says_what_it_cannot_know() -> None:
    found = trace(policy_of("{sample: 10%}"), request(), 0.0)
    assert found.looked[0].reasons == ("the sample of 10% is known to the running instance only",)
    said = {trace(policy_of("{sample: 10%}"), request(), 0.0, secret=b"secret").looked[0].reasons[0]}
    assert said <= {"the client is in the sample of 10%", "the client is not in the sample of 10%"}


@pytest.mark.skipif(BUILD_KIND == "compiled", reason="compiled code runs no lines")
def test_rules_without_it_pay_nothing() -> None:
    plain = compiled("{path: /x}")
    assert plain.outside is None
    assert plain.counting_refusals == ()
    assert not {"add", "position", "refusals"} & set(calls(plain))
    assert "add" in calls(compiled("{sample: 10%}"))


def calls(policy: CompiledPolicy) -> list[str]:
    """The names of the functions that one decision calls."""
    names: list[str] = []

    def observe(frame: object, event: str, _argument: object) -> None:
        if event == "call":
            names.append(frame.f_code.co_name)  # type: ignore[attr-defined]  # a frame, which has no public type of its own

    asked = request()
    sys.setprofile(observe)
    try:
        found = match(policy, asked, 0.0)
    finally:
        sys.setprofile(None)
    assert found.decision is None
    return names
