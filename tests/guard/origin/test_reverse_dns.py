"""Reverse names confirmed forward, against real servers on loopback: honest, lying, slow, dead and hostile ones."""

from __future__ import annotations

import asyncio
import struct
import tracemalloc
from collections.abc import Callable
from time import monotonic, sleep

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from proxyguard.core.address import Address
from proxyguard.core.origin_settings import Nameserver
from proxyguard.guard.origin import reverse_dns
from proxyguard.guard.origin.background import Background
from proxyguard.guard.origin.bots import KnownBot, bundled_bots
from proxyguard.guard.origin.reverse_dns import (
    FAILED_SECONDS,
    MAX_KNOWN,
    MAX_PER_NETWORK,
    SLOW_SECONDS,
    DnsVerdict,
    LookUp,
    Reach,
    ReverseDns,
    known_key,
    look_up,
)
from tests.guard.origin.dns_servers import Reply, Zone, answer_from, serving

BOT = KnownBot("googlebot", "search", suffixes=("googlebot.com", "google.com"))
ADDRESS = "66.249.66.1"
PTR = ("1.66.249.66.in-addr.arpa.", "PTR")
NAME = "crawl-66-249-66-1.googlebot.com."
HONEST: Zone = {PTR: [NAME], (NAME, "A"): [ADDRESS]}
V6 = "2001:4860:4801:10::1"
V6_PTR = ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.1.0.8.4.0.6.8.4.1.0.0.2.ip6.arpa.", "PTR")


def verdict(reply: Reply, *, address: str = ADDRESS, seconds: float = 3.0, tcp: Reply | None = None) -> DnsVerdict:
    with serving(reply, tcp) as server:
        return asyncio.run(look_up(address, BOT.suffixes, (server.address,), seconds, Reach())).verdict


def test_a_name_that_leads_back_is_confirmed() -> None:
    assert verdict(answer_from(HONEST)) is DnsVerdict.CONFIRMED
    assert (
        verdict(answer_from({V6_PTR: ["crawl.google.com."], ("crawl.google.com.", "AAAA"): [V6]}), address=V6)
        is DnsVerdict.CONFIRMED
    )


def test_a_name_of_a_cloud_from_which_the_bot_comes_too_leaves_it_unknown() -> None:
    name, own = "1-66-249-66.gae.googleusercontent.com.", (NAME, "A")
    for zone, wanted in (
        ({PTR: [name], (name, "A"): [ADDRESS]}, DnsVerdict.FAILED),
        ({PTR: [name], (name, "A"): ["192.0.2.1"]}, DnsVerdict.REFUTED),
        ({PTR: [f"{name}evil.example."]}, DnsVerdict.REFUTED),
        ({PTR: [name, NAME], (name, "A"): [ADDRESS], own: [ADDRESS]}, DnsVerdict.CONFIRMED),
    ):
        with serving(answer_from(zone)) as server:
            shared = ("gae.googleusercontent.com",)
            found = asyncio.run(look_up(ADDRESS, BOT.suffixes, (server.address,), 3.0, Reach(), shared))
        assert found.verdict is wanted, zone


def test_case_a_delegated_zone_and_one_name_of_several_make_no_difference() -> None:
    delegated = "1.0-63.66.249.66.in-addr.arpa."
    for zone in (
        {PTR: ["CRAWL.GoogleBot.COM."], ("crawl.googlebot.com.", "A"): [ADDRESS]},
        {(PTR[0], "CNAME"): [delegated], (delegated, "PTR"): [NAME], (NAME, "A"): [ADDRESS]},
        {PTR: ["host.example.net.", NAME], (NAME, "A"): ["192.0.2.1", ADDRESS]},
        {PTR: [NAME], (NAME, "CNAME"): ["c.google.com."], ("c.google.com.", "A"): [ADDRESS]},
    ):
        assert verdict(answer_from(zone)) is DnsVerdict.CONFIRMED, zone


@pytest.mark.parametrize(
    "name",
    [
        "evilgooglebot.com.",
        "crawl.evilgooglebot.com.",
        "crawl.googlebot.com.evil.org.",
        "googlebot.com.evil.org.",
        r"crawl.googlebot\.com.",
        r"x\.googlebot.com.evil.org.",
        "googlebot.com.com.",
        "googlebot.co.",
        "crawl.xn--googlebt-p3a.com.",
        "com.",
        ".",
        "66-249-66-1.bc.googleusercontent.com.",
        "crawl-googlebot.com.",
    ],
)
def test_a_name_outside_the_domains_is_refuted_though_it_leads_back(name: str) -> None:
    zone = {PTR: [name], (name, "A"): [ADDRESS], ("crawl.googlebot.com.", "A"): [ADDRESS]}
    assert verdict(answer_from(zone)) is DnsVerdict.REFUTED


@pytest.mark.parametrize(
    "zone",
    [
        {},
        {(PTR[0], "TXT"): ["x"]},
        {PTR: [NAME]},
        {PTR: [NAME], (NAME, "A"): ["66.249.66.2"]},
        {PTR: [NAME], (NAME, "AAAA"): ["2001:db8::1"]},
        {PTR: [NAME], (NAME, "CNAME"): ["other.googlebot.com."]},
    ],
    ids=["no name", "no reverse name", "no address", "another address", "another family", "an alias of nothing"],
)  # fmt: skip
def test_a_name_that_does_not_lead_back_is_refuted(zone: Zone) -> None:
    assert verdict(answer_from(zone)) is DnsVerdict.REFUTED


def _changed(change: Callable[[dns.message.Message], None], zone: Zone = HONEST) -> Reply:
    honest = answer_from(zone)

    def reply(query: bytes) -> bytes | None:
        wire = honest(query)
        if wire is None:
            return None
        answer = dns.message.from_wire(wire)
        change(answer)
        return answer.to_wire(max_size=65535)

    return reply


def _refuse(answer: dns.message.Message) -> None:
    answer.set_rcode(dns.rcode.SERVFAIL)


def _rename(answer: dns.message.Message) -> None:
    answer.id ^= 0x5555


def _truncate(answer: dns.message.Message) -> None:
    answer.answer.clear()
    answer.flags |= dns.flags.TC


def _loop(query: bytes) -> bytes:
    names = ("a.googlebot.com.", "b.googlebot.com.")
    asked = dns.message.from_wire(query)
    answer = dns.message.make_response(asked)
    start = asked.question[0].name.to_text()
    for name, target in ((start, names[0]), names, names[::-1]):
        answer.answer.append(dns.rrset.from_text_list(name, 60, "IN", "CNAME", [target]))
    return answer.to_wire()


def _short(query: bytes) -> bytes:
    return query[:12]


def _pointers(query: bytes) -> bytes:
    """A name that points at itself."""
    return query[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + query[12:] + b"\xc0" + bytes([len(query)]) + b"\0" * 10


@pytest.mark.parametrize(
    "reply",
    [
        lambda _query: None,
        _changed(_refuse),
        _changed(_rename),
        _short,
        _pointers,
        lambda _query: b"\xff" * 500,
        lambda _query: b"",
    ],
    ids=["dead", "servfail", "wrong id", "cut", "pointer loop", "noise", "nothing"],
)
def test_no_answer_leaves_it_unknown(reply: Reply) -> None:
    assert verdict(reply, seconds=0.1) is DnsVerdict.FAILED


def test_aliases_in_a_circle_prove_nothing() -> None:
    assert verdict(_loop, seconds=0.1) in (DnsVerdict.FAILED, DnsVerdict.REFUTED)


def test_a_truncated_answer_is_asked_for_again_over_tcp() -> None:
    assert verdict(_changed(_truncate), tcp=answer_from(HONEST)) is DnsVerdict.CONFIRMED
    assert verdict(_changed(_truncate), tcp=lambda _query: None, seconds=0.2) is DnsVerdict.FAILED


def test_an_answer_as_long_as_can_be_is_read_and_only_some_of_its_names_are_followed() -> None:
    names = [f"n{number}.googlebot.com." for number in range(1500)]
    with serving(_changed(_truncate), answer_from({PTR: names})) as server:
        found = asyncio.run(look_up(ADDRESS, BOT.suffixes, (server.address,), 10.0, Reach())).verdict
        assert found is DnsVerdict.REFUTED
        assert sum(server.asked.values()) <= 12


class Bench:
    """Verdicts with a clock of their own."""

    def __init__(self, nameserver: Nameserver, *, seconds: float = 3.0, room: int = 64) -> None:
        self.now = 0.0
        self.background = Background()
        self.dns = ReverseDns(self.background, (nameserver,), timeout_seconds=seconds, max_under_way=room, clock=lambda: self.now)

    def settled(self, address: str = ADDRESS, bot: KnownBot = BOT) -> bool | None:
        """The verdict once nothing is under way any more."""
        self.dns.find(Address.parse(address), bot)
        ends = monotonic() + 30
        while self.dns.under_way and monotonic() < ends:
            sleep(0.002)
        return self.dns.find(Address.parse(address), bot)


def test_a_resolver_that_knows_only_its_own_network_refutes_nobody() -> None:
    def of_the_office(query: bytes) -> bytes:
        answer = dns.message.make_response(dns.message.from_wire(query))
        answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer.to_wire()

    assert verdict(of_the_office) is DnsVerdict.FAILED
    assert verdict(answer_from({})) is DnsVerdict.REFUTED


def test_pending_is_unknown_and_then_it_is_remembered() -> None:
    with serving(answer_from(HONEST)) as server:
        bench = Bench(server.address)
        assert bench.dns.find(Address.parse(ADDRESS), BOT) is None
        assert bench.settled() is True
        asked = sum(server.asked.values())
        for _ in range(50):
            assert bench.dns.find(Address.parse(ADDRESS), BOT) is True
        assert sum(server.asked.values()) == asked == 2
        bench.now += 86_401
        assert bench.dns.find(Address.parse(ADDRESS), BOT) is None
        bench.background.close()


def test_a_bot_that_comes_from_a_cloud_too_is_not_refuted_there() -> None:
    name = "1-66-249-66.gae.googleusercontent.com."
    bot = next(bot for bot in bundled_bots() if bot.name == "google-user-triggered")
    with serving(answer_from({PTR: [name], (name, "A"): [ADDRESS]})) as server:
        bench = Bench(server.address)
        assert bench.settled(bot=bot) is None
        assert bench.dns.counts["failed"] == 1
        bench.background.close()


def test_what_is_refuted_is_remembered_for_an_hour_and_a_failure_for_a_minute() -> None:
    with serving(answer_from({})) as server:
        bench = Bench(server.address)
        assert bench.settled() is False
        bench.now += 3599
        assert bench.dns.find(Address.parse(ADDRESS), BOT) is False
        bench.now += 2
        assert bench.dns.find(Address.parse(ADDRESS), BOT) is None
        bench.background.close()
    with serving(lambda _query: None) as server:
        bench = Bench(server.address, seconds=0.05)
        assert bench.settled() is None
        assert bench.dns.counts == {"failed": 1, "cached": 1}
        bench.now += 61
        bench.dns.find(Address.parse(ADDRESS), BOT)
        assert bench.dns.under_way == 1
        bench.background.close()


def test_look_ups_under_way_are_bounded_for_all_and_for_each_network() -> None:
    with serving(lambda _query: None) as server:
        bench = Bench(server.address, seconds=60.0, room=10)
        for host in range(1, 100):
            assert bench.dns.find(Address.parse(f"203.0.113.{host}"), BOT) is None
        assert bench.dns.under_way == MAX_PER_NETWORK
        for network in range(100):
            bench.dns.find(Address.parse(f"198.51.{network}.1"), BOT)
        assert bench.dns.under_way == 10
        assert bench.dns.counts["crowded"] == 189
        bench.background.close()
        assert bench.dns.find(Address.parse(ADDRESS), BOT) is None


def test_networks_whose_zones_are_slow_share_a_part_of_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """From as many networks as they like: an honest crawler is looked up beside them."""
    silent = Nameserver("127.0.0.1", 9)

    async def slow(address: str, *_: object) -> LookUp:
        await asyncio.sleep(60.0 if address == "203.0.113.1" else 0.06)
        return LookUp(DnsVerdict.FAILED)

    monkeypatch.setattr(reverse_dns, "look_up", slow)
    bench = Bench(silent, seconds=0.1, room=16)
    networks = [*(f"198.51.{each}.1" for each in range(8)), *(f"2001:db8:{each:x}::1" for each in range(8))]
    for address in networks:
        assert bench.dns.find(Address.parse(address), BOT) is None
    assert bench.dns.under_way == 16
    ends = monotonic() + 20
    while bench.dns.under_way and monotonic() < ends:
        sleep(0.002)
    bench.now += FAILED_SECONDS + 1
    for address in [*networks, "2001:db8:ffff::1"]:
        bench.dns.find(Address.parse(address), BOT)
    assert bench.dns.under_way == 4
    for host in range(4):
        bench.dns.find(Address.parse(f"203.0.113.{host}"), BOT)
    assert bench.dns.under_way == 8
    bench.background.close()


def test_a_zone_that_was_slow_once_is_like_others_after_a_while() -> None:
    with serving(lambda _query: None) as server:
        bench = Bench(server.address, seconds=0.05, room=3)
        for seconds, places in ((61, 0), (SLOW_SECONDS, 1)):
            assert bench.settled() is None
            bench.now += seconds
            bench.dns.counts.clear()
            bench.dns._slow_under_way = 1  # another's
            bench.dns.find(Address.parse(ADDRESS), BOT)
            assert bench.dns.under_way == places
            bench.dns._slow_under_way = 0
        bench.background.close()


def test_a_hundred_thousand_cached_verdicts_take_less_than_30_mib() -> None:
    bot = KnownBot("a-crawler-with-a-long-name", "search", suffixes=("example.org",))
    background = Background()
    dns_ = ReverseDns(background, (), timeout_seconds=1, max_under_way=1, clock=monotonic)
    known = dns_._known[DnsVerdict.CONFIRMED]
    addresses = [Address.parse(f"2001:db8:{number >> 8:x}:{number & 0xFF:x}::1") for number in range(MAX_KNOWN)]
    tracemalloc.start()
    for address in addresses:
        known[known_key(address, bot)] = True
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(known) == MAX_KNOWN
    assert used / MAX_KNOWN * 100_000 < 30 * 1024 * 1024
