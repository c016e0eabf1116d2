"""Refusals are counted for the client that caused them alone, and grow into longer ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyguard.core.decision import Decision
from proxyguard.core.request import Request
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.load import load_policy
from proxyguard.policy.refusals import refusals
from tests.build import request

GROWS = """
  - name: banned
    when: {refused: {at_least: 40, within: 1h}}
    action: {ban: {for: 1h, escalation: 2}}
  - name: slowed
    when: {refused: {at_least: 20, within: 10m}}
    action: {tarpit: {hold: 10s}}
"""
PAGES = "  - {name: pages, limit: {rate: 10/minute, per: PER}, action: reject}\n"
COUNTS = "  - {name: banned, limit: {rate: 20/10m, count: refusals}, action: {ban: {for: 10m}}}\n"


class Site:
    """Rules and the store that they are counted in."""

    def __init__(self, folder: Path, rules: str, more: str = "") -> None:
        (folder / "a.yaml").write_text(f"name: a\n{more}rules:\n{rules}")
        loaded = load_policy(folder)
        assert loaded.policy is not None, loaded.problems
        self.policy = compile_policy(loaded.policy, secret=b"secret")
        self.store = MemoryStore()

    def ask(self, now: float, asked: Request | None = None) -> Decision:
        found = match(self.policy, asked or request(), now)
        outcome = self.store.charge(found.charges, found.ban_keys, now)
        ruling = decide(found, outcome)
        if ruling.ban is not None:
            self.store.ban(ruling.ban.key, ruling.ban.rule, ruling.ban.reason, ruling.ban.terms, now)
        charges = refusals(found, outcome, ruling.decision)
        if charges:
            self.store.charge(charges, (), now)
        return ruling.decision

    def rules(self, times: int, now: float = 0.0, asked: Request | None = None) -> list[str]:
        return [self.ask(now, asked).rule for _ in range(times)]


def test_a_limit_grows_into_a_tarpit_and_a_ban(tmp_path: Path) -> None:
    site = Site(tmp_path, GROWS + PAGES.replace("PER", "[client]"))
    found = site.rules(10) + site.rules(20) + site.rules(20) + site.rules(2)
    assert found == ["default"] * 10 + ["pages"] * 20 + ["slowed"] * 20 + ["banned"] * 2
    assert site.ask(0.0, request(client="192.0.2.2")).rule == "default"


def test_who_stops_asking_is_forgiven(tmp_path: Path) -> None:
    site = Site(tmp_path, GROWS + PAGES.replace("PER", "[client]"))
    site.rules(31)
    assert site.ask(1.0).rule == "slowed"
    assert site.ask(602.0).rule == "default"


def test_a_limit_of_refusals_bans_once_until_there_are_new_ones(tmp_path: Path) -> None:
    site = Site(tmp_path, COUNTS + PAGES.replace("PER", "[client]"))
    assert site.rules(32) == ["default"] * 10 + ["pages"] * 20 + ["banned"] * 2
    assert site.ask(660.0).rule == "default"


@pytest.mark.parametrize(
    ("per", "counted"),
    [
        ("[client]", True),
        ("[client, path]", True),
        ("[site]", False),
        ("[network]", False),
        ("[network, user_agent]", False),
        ("[header_order]", False),
        ("[path]", False),
        ("[header.x-api-key]", False),
        ("[cookie.lang]", False),
    ],
)
def test_only_what_a_client_used_up_alone_counts(tmp_path: Path, per: str, counted: bool) -> None:
    """Whoever else has the same key, or can make it up, must not get another one banned."""
    site = Site(tmp_path, COUNTS + PAGES.replace("PER", per))
    key = (("Cookie", "lang=de"), ("X-Api-Key", "k"))
    attacker, victim = request(client="192.0.2.66", headers=key), request(client="192.0.2.7", headers=key)
    for minute in range(10):
        site.rules(12, minute * 60.0, attacker)
    found = site.rules(60, 570.0, victim)
    assert ("banned" in found) is counted
    if not counted:
        assert found[-1] == "pages"


def test_an_account_counts_and_the_shared_counter_of_those_without_does_not(tmp_path: Path) -> None:
    more = "account: {key: cookie.session, class_header: x-account}\n"
    site = Site(tmp_path, COUNTS + PAGES.replace("PER", "[account]"), more)
    assert "banned" not in site.rules(60)
    signed_in = request(client="192.0.2.9")
    signed_in.account, signed_in.account_key = b"member", "0123"
    assert site.rules(32, asked=signed_in)[-1] == "banned"


def test_rules_without_a_limit_count_only_when_named(tmp_path: Path) -> None:
    scans = "  - {name: scans, when: {path: /.env}, action: reject}\n"
    asked = request("/.env")
    assert set(Site(tmp_path, COUNTS + scans).rules(60, asked=asked)) == {"scans"}
    named = COUNTS.replace("count: refusals", "count: {refusals: [scans]}")
    assert Site(tmp_path, named + scans).rules(22, asked=asked) == ["scans"] * 20 + ["banned"] * 2
    asks = "  - {name: banned, when: {refused: {at_least: 20, within: 10m, rules: [scans]}}, action: {ban: {for: 10m}}}\n"
    assert Site(tmp_path, asks + scans).rules(22, asked=asked) == ["scans"] * 20 + ["banned"] * 2


def test_a_rule_in_shadow_and_a_restriction_count_nothing(tmp_path: Path) -> None:
    shadow = PAGES.replace("PER", "[client]").replace("action: reject", "mode: shadow, action: reject")
    assert set(Site(tmp_path, COUNTS + shadow).rules(60)) == {"default"}


def test_a_ban_in_force_counts_nothing(tmp_path: Path) -> None:
    site = Site(tmp_path, COUNTS + PAGES.replace("PER", "[client]"))
    site.rules(32)
    before = [site.store.lasting(shard, 0.0) for shard in range(site.store.shard_count)]
    assert set(site.rules(500)) == {"banned"}
    assert [site.store.lasting(shard, 0.0) for shard in range(site.store.shard_count)] == before


def test_only_the_refused_take_room(tmp_path: Path) -> None:
    site = Site(tmp_path, GROWS + PAGES.replace("PER", "[client]"))
    for number in range(200):
        site.ask(0.0, request(client=f"198.51.100.{number}"))
    assert sum("refused" in key for shard in range(site.store.shard_count) for key in site.store.lasting(shard, 0.0)) == 0


def test_the_number_survives_a_restart(tmp_path: Path) -> None:
    site = Site(tmp_path, GROWS + PAGES.replace("PER", "[client]"))
    site.rules(31)
    kept = {key: state for shard in range(site.store.shard_count) for key, state in site.store.lasting(shard, 0.0).items()}
    site.store = MemoryStore()
    site.store.restore(kept.items(), 0.0)
    assert site.ask(5.0).rule == "slowed"


def test_a_clock_that_is_set_back_holds_nobody_longer_than_twice(tmp_path: Path) -> None:
    site = Site(tmp_path, GROWS + PAGES.replace("PER", "[client]"))
    site.rules(31, 1_000_000.0)
    assert site.ask(1_000_000.0 - 86_400.0).rule == "slowed"
    assert site.ask(1_000_000.0 - 86_400.0 + 1300.0).rule != "slowed"
