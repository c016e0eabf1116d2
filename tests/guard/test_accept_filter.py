"""Who is refused at accept: only clients whose ban says drop, and never one that an allow rule names by address."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxyguard.core.address import Address, Network
from proxyguard.core.decision import Allow, Drop, Mode, Refusal, Reject, Tarpit
from proxyguard.core.settings import Settings
from proxyguard.guard.accept_filter import AcceptFilter
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.limits.stores.store import BanTerms
from proxyguard.policy.model import (
    AllOf,
    Condition,
    Field,
    FieldKind,
    InNetworks,
    Not,
    Policy,
    Rule,
    RuleSet,
    Test,
    Text,
    TextKind,
)
from proxyguard.restrictions.active import ActiveRestrictions

CLIENT = Address.parse("192.0.2.7")
ROBOTS = Test(Field(FieldKind.PATH), Text(TextKind.EQUAL, (b"/robots.txt",)))
OFFICE = Test(Field(FieldKind.CLIENT), InNetworks((Network.parse("192.0.2.0/24"),)))


def policy(when: Condition | None, mode: Mode = Mode.ENFORCE) -> Policy:
    rules = () if when is None else (Rule(name="open", action=Allow(), when=when, mode=mode),)
    return Policy((RuleSet(name="all", file="all.yaml", rules=rules),))


def doorman(then: Refusal, rules: Policy, mode: Mode = Mode.ENFORCE, address: str = "192.0.2.7") -> AcceptFilter:
    store = MemoryStore()
    store.ban(f"client:{Address.parse(address).client_key()}", "flood", "", BanTerms(60.0, then), 1000.0)
    return AcceptFilter(store, replace(Settings(), mode=mode), rules, clock=lambda: 1030.0)


@pytest.mark.parametrize(("then", "refused"), [(Drop(), True), (Reject(), False), (Tarpit(), False)])
def test_only_a_ban_that_drops_is_carried_out_at_accept(then: Refusal, refused: bool) -> None:
    assert doorman(then, policy(None)).refuses(CLIENT) is refused


@pytest.mark.parametrize(
    ("when", "refused"), [(OFFICE, False), (AllOf((ROBOTS, OFFICE)), False), (ROBOTS, True), (Not(OFFICE), True), (None, True)]
)
def test_allow_rules_that_name_the_address_win_those_about_paths_cannot_be_asked(when: Condition | None, refused: bool) -> None:
    assert doorman(Drop(), policy(when)).refuses(CLIENT) is refused


def test_an_allow_rule_in_shadow_does_not_act() -> None:
    assert doorman(Drop(), policy(OFFICE, Mode.SHADOW)).refuses(CLIENT)


def test_a_process_in_shadow_refuses_nobody() -> None:
    assert not doorman(Drop(), policy(None), Mode.SHADOW).refuses(CLIENT)


def test_a_ban_covers_the_whole_64_of_an_ipv6_client() -> None:
    keeper = doorman(Drop(), policy(None), address="2001:db8::1")
    assert keeper.refuses(Address.parse("2001:db8::ffff"))
    assert not keeper.refuses(Address.parse("2001:db8:0:1::1"))


def test_a_ban_of_a_network_is_carried_out_as_well() -> None:
    keeper = doorman(Reject(), policy(None))
    keeper._store.ban("network:198.51.100.0/24", "operator", "", BanTerms(60.0, Drop()), 1000.0)
    assert keeper.refuses(Address.parse("198.51.100.200"))
    assert not keeper.refuses(Address.parse("198.51.101.200"))


def test_a_reload_takes_the_allow_rules_along() -> None:
    keeper = doorman(Drop(), policy(OFFICE))
    keeper.swap(keeper.table(policy(None)))
    assert keeper.refuses(CLIENT)


def test_nobody_is_refused_at_accept_while_nothing_acts() -> None:
    store, active = MemoryStore(), ActiveRestrictions()
    store.ban(f"client:{CLIENT.client_key()}", "flood", "", BanTerms(60.0, Drop()), 1000.0)
    for until, refused in ((1031.0, False), (1030.0, True)):
        active.shadow_until = until
        accept = AcceptFilter(store, Settings(), policy(None), active=active, clock=lambda: 1030.0)
        assert accept.refuses(CLIENT) is refused
