"""The origin of a request: what lists, tables and names prove, what they refute, and what stays unknown."""

from __future__ import annotations

import os
import tracemalloc
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from time import monotonic, sleep

import pytest

from proxyguard.core.address import Address
from proxyguard.core.origin import NOTHING_KNOWN, NetworkKind, Origin, Proof
from proxyguard.core.origin_settings import Identity, OriginTables
from proxyguard.core.request import Request
from proxyguard.guard.origin import origins
from proxyguard.guard.origin.bots import DATA, Claims, KnownBot, bundled_bots, read_bots
from proxyguard.guard.origin.network_kinds import bundled_kinds
from proxyguard.guard.origin.origins import Origins
from proxyguard.guard.origin.range_lists import read_lists
from proxyguard.guard.origin.unvouched import SAMPLE, WINDOW
from tests.guard.origin.dns_servers import answer_from, serving
from tests.guard.origin.tables import asn_table, country_table
from tests.paths import ROOT

NOW = datetime(2026, 9, 20, tzinfo=UTC).timestamp()
GOOGLEBOT = b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
GPTBOT = b"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)"
CHROME = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36"


def request(address: str, user_agent: bytes = CHROME) -> Request:
    return Request(Address.parse(address), b"GET", b"https", b"example.org", b"/", ((b"User-Agent", user_agent),))


class Bench:
    """Origins on a clock, without DNS unless it is given."""

    def __init__(self, tables: OriginTables | None = None, identity: Identity | None = None, now: float = NOW) -> None:
        self.now = now
        self.origins = Origins(
            tables or OriginTables(), identity or Identity(reverse_dns=False), clock=lambda: self.now, wall=lambda: self.now
        )
        self.origins.prepare()

    def find(self, address: str, user_agent: bytes = CHROME) -> Origin:
        return self.origins.find(request(address, user_agent))

    def verdict(self, address: str, user_agent: bytes) -> tuple[str | None, str | None, bool | None, Proof]:
        found = self.find(address, user_agent)
        return found.identity, found.claim, found.verified, found.proof


def test_nothing_is_known_before_lists_were_read() -> None:
    unread = Origins(OriginTables(), Identity(), clock=lambda: 0.0, wall=lambda: NOW)
    assert unread.find(request("66.249.66.1", GOOGLEBOT)) is NOTHING_KNOWN


def test_an_address_in_the_published_ranges_is_proven_and_another_is_forged() -> None:
    bench = Bench()
    assert bench.verdict("66.249.66.1", GOOGLEBOT) == ("googlebot", "googlebot", True, Proof.RANGES)
    assert bench.verdict("2001:4860:4801:10::1", GOOGLEBOT) == ("googlebot", "googlebot", True, Proof.RANGES)
    assert bench.verdict("81.2.69.142", GOOGLEBOT) == (None, "googlebot", False, Proof.RANGES)
    assert bench.verdict("66.249.66.1", GPTBOT) == (None, "gptbot", False, Proof.RANGES)
    assert bench.find("66.249.66.1").claim is None
    assert bench.origins.verdicts == {True: 2, False: 2, None: 0}


def test_a_stale_list_neither_refutes_nor_in_the_end_proves() -> None:
    days = 86_400.0
    for age, inside, outside in ((89, True, False), (91, True, None), (364, True, None), (366, None, None)):
        bench = Bench(now=datetime(2026, 9, 2, tzinfo=UTC).timestamp() + age * days)
        assert bench.find("66.249.66.1", GOOGLEBOT).verified is inside, age
        assert bench.find("81.2.69.142", GOOGLEBOT).verified is outside, age


def test_a_list_that_may_be_incomplete_refutes_nobody() -> None:
    bench = Bench()
    assert bench.verdict("81.2.69.142", b"facebookexternalhit/1.1") == (None, "meta", None, Proof.NONE)
    assert bench.verdict("57.141.0.1", b"facebookexternalhit/1.1") == ("meta", "meta", True, Proof.RANGES)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1", "::1", "fd00::1", "192.0.2.1"]
)
def test_of_an_address_that_is_not_of_the_internet_nothing_is_known(address: str) -> None:
    """As behind a proxy that nobody told proxyguard to trust: everybody has its address, the real crawlers too."""
    bench = Bench(identity=Identity())
    assert bench.find(address, GOOGLEBOT) == Origin(claim="googlebot")
    assert bench.origins.dns.under_way == 0


def through(proxy: str, client: str, user_agent: bytes = CHROME, field: bytes = b"X-Forwarded-For") -> Request:
    headers = ((b"User-Agent", user_agent), (field, client.encode()))
    return Request(Address.parse(proxy), b"GET", b"https", b"example.org", b"/", headers)


@pytest.mark.parametrize("field", [b"X-Forwarded-For", b"forwarded", b"X-Real-IP"])
def test_behind_a_proxy_that_nobody_trusts_a_crawler_is_no_forger(field: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A CDN with public addresses: what comes through it is from its address, the genuine crawler too."""
    bench = Bench()
    for number in range(WINDOW):
        bench.origins.find(through("81.2.69.142", f"203.0.113.{number}", field=field))
    assert bench.origins.find(through("81.2.69.142", "66.249.66.1", GOOGLEBOT, field)) == Origin(claim="googlebot")
    assert bench.find("81.2.69.160", GOOGLEBOT).verified is False  # it names nobody else
    for number in range(WINDOW * SAMPLE * 3):
        bench.origins.find(through("81.2.69.142", f"203.0.113.{number % 9}", field=field))
    assert ["trust.proxies" in record.getMessage() for record in caplog.records] == [True]
    for _ in range(WINDOW * SAMPLE * 2):
        bench.find("81.2.69.160")
    assert bench.origins.find(through("81.2.69.142", "66.249.66.1", GOOGLEBOT, field)).verified is False


def test_one_forger_who_names_another_client_is_still_one_and_so_is_one_behind_a_trusted_proxy() -> None:
    bench = Bench()
    for number in range(WINDOW * SAMPLE * 2):
        bench.find(f"81.2.69.{number % 100}")
        assert bench.origins.find(through("81.2.69.142", "66.249.66.1", GOOGLEBOT)).verified is not True
    assert bench.origins.find(through("81.2.69.142", "66.249.66.1", GOOGLEBOT)).verified is False
    bench = Bench()
    for number in range(WINDOW * SAMPLE):
        bench.origins.find(through(f"81.2.69.{number % 100}", f"81.2.69.{number % 100}, 10.0.0.1"))
    assert bench.origins.find(through("81.2.69.142", "81.2.69.142, 10.0.0.1", GOOGLEBOT)).verified is False


@pytest.mark.parametrize(
    ("field", "named"),
    [
        (b"X-Forwarded-For", "2A02:26F7:0:0:0:0:0:1"),
        (b"X-Forwarded-For", " [2a02:26f7::0001]:443 , 10.0.0.1"),
        (b"Forwarded", 'for="[2A02:26F7:0:0:0:0:0:1]:80";proto=https, for=10.0.0.1'),
        (b"X-Real-IP", "2a02:26f7:0000::1"),
    ],
)
def test_a_trusted_proxy_may_write_a_client_as_it_likes(field: bytes, named: str, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    for _ in range(WINDOW * 2):
        bench.origins.find(through("2a02:26f7::1", named, field=field))
    assert bench.origins.find(through("2a02:26f7::1", named, GOOGLEBOT, field)).verified is False
    assert not caplog.records
    for _ in range(WINDOW * SAMPLE * 2):
        bench.origins.find(through("2a02:26f7::1", "2a02:26f7::12", field=b"X-Real-IP"))
    assert bench.origins.find(through("2a02:26f7::1", "2a02:26f7::12", GOOGLEBOT, b"X-Real-IP")).verified is None


def test_reverse_dns_decides_where_a_bot_proves_itself_so() -> None:
    ptr, name = ("142.69.2.81.in-addr.arpa.", "PTR"), "crawl.baidu.com."
    agent = b"Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)"
    with serving(answer_from({ptr: [name], (name, "A"): ["81.2.69.142"]})) as server:
        bench = Bench(identity=Identity(resolvers=(server.address,)))
        assert bench.verdict("81.2.69.142", agent) == (None, "baiduspider", None, Proof.REVERSE_DNS)
        _settle(bench.origins)
        assert bench.verdict("81.2.69.142", agent) == ("baiduspider", "baiduspider", True, Proof.REVERSE_DNS)
        bench.find("81.2.69.160", agent)
        bench.find("81.2.69.160", GOOGLEBOT)
        _settle(bench.origins)
        assert bench.verdict("81.2.69.160", agent) == (None, "baiduspider", False, Proof.REVERSE_DNS)
        assert bench.verdict("81.2.69.160", GOOGLEBOT) == (None, "googlebot", False, Proof.REVERSE_DNS)
        bench.origins.close()


def test_without_reverse_dns_such_a_claim_is_unknown() -> None:
    assert Bench().find("81.2.69.142", b"Baiduspider/2.0").verified is None


def _settle(found: Origins) -> None:
    ends = monotonic() + 30
    while found.dns.under_way and monotonic() < ends:
        sleep(0.002)
        found.dns._take()


def test_tables_say_country_and_network(tmp_path: Path) -> None:
    country_table(tmp_path / "country.mmdb", {"81.2.69.0/24": "gb", "2001:470::/32": "US"})
    asn_table(tmp_path / "asn.mmdb", {"81.2.69.0/24": (20712, "Andrews & Arnold"), "93.184.0.0/16": (1, "Example Hosting Ltd")})
    bench = Bench(OriginTables(directory=tmp_path))
    assert bench.find("81.2.69.142") == Origin("GB", 20712, "Andrews & Arnold", NetworkKind.UNKNOWN)
    assert bench.find("2001:470::1") == Origin("US")
    assert bench.find("93.184.216.34") == Origin(None, 1, "Example Hosting Ltd", NetworkKind.HOSTING)
    assert bench.find("52.95.1.1").network_kind is NetworkKind.HOSTING
    assert bench.find("::ffff:81.2.69.142").country == "GB"


def test_a_table_that_is_none_is_named_and_what_it_would_say_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "country.mmdb").write_bytes(b"<html>not found</html>")
    bench = Bench(OriginTables(directory=tmp_path))
    assert bench.find("81.2.69.142").country is None
    [fault] = bench.origins.data.faults
    assert fault == f"{tmp_path / 'country.mmdb'} is no table of addresses: it is not in MaxMind's format (MMDB)"


def test_a_table_that_is_written_over_in_place_ends_no_process(tmp_path: Path) -> None:
    """As `cp` does: whoever had mapped it would end by SIGBUS."""
    path = tmp_path / "asn.mmdb"
    asn_table(path, {f"81.{at}.0.0/16": (at + 1, f"Network {at}") for at in range(200)})
    bench = Bench(OriginTables(directory=tmp_path))
    assert bench.find("81.1.0.1").asn == 2
    os.truncate(path, 0)
    assert bench.find("81.199.0.1").asn == 200


def test_a_folder_of_tables_that_is_not_there_is_named(tmp_path: Path) -> None:
    bench = Bench(OriginTables(directory=tmp_path / "nowhere"))
    assert bench.find("81.2.69.142").country is None
    assert bench.origins.data.faults == (f"{tmp_path}/nowhere is no folder: only what comes with proxyguard is known",)


def test_what_was_replaced_is_taken_over(tmp_path: Path) -> None:
    bench = Bench(OriginTables(directory=tmp_path))
    assert bench.find("81.2.69.142").country is None
    country_table(tmp_path / "country.mmdb", {"81.2.69.0/24": "GB"})
    (tmp_path / "ranges").mkdir()
    (tmp_path / "ranges/gptbot.txt").write_text("# date: 2026-09-19\n# complete: yes\n81.2.69.0/24\n")
    (tmp_path / "ranges/bingbot.txt").write_text("# date: 2026-09-19\n0.0.0.0/0\n")
    bench.origins.refresh()
    assert bench.find("81.2.69.142").country == "GB"
    assert bench.find("81.2.69.142", GPTBOT).identity == "gptbot"
    assert bench.find("52.230.152.1", GPTBOT).verified is False
    [fault] = bench.origins.data.faults
    assert fault.endswith("bingbot.txt: line 2: 0.0.0.0/0 is wider than any operator's network")
    bench.origins.close()


def test_a_folder_that_cannot_be_looked_at_for_a_while_is_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(OriginTables(directory=tmp_path))
    country_table(tmp_path / "country.mmdb", {"81.2.69.0/24": "GB"})

    def refused(_path: Path, **_: object) -> bool:
        raise PermissionError("no")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "exists", refused)
        bench.origins.refresh()
    assert "could not be read again; the last ones stay" in caplog.text
    assert bench.find("81.2.69.142").country is None
    bench.origins.refresh()
    assert bench.find("81.2.69.142").country == "GB"
    bench.origins.close()


def test_addresses_are_remembered_within_a_bound_and_a_hundred_thousand_in_thirty_megabytes() -> None:
    bench = Bench(OriginTables(addresses=10_000))
    first = Address.parse("1.1.1.1").number
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(15_000):
        seen = Request(Address(first + number), b"GET", b"https", b"example.org", b"/", ((b"User-Agent", GPTBOT),))
        bench.origins.find(seen)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert 5000 <= len(bench.origins) <= 10_000
    assert used / 10_000 < 300


def test_special_networks_are_those_that_the_registries_say_are_not_of_the_internet() -> None:
    """But for 192.0.0.0/24 and 2001::/23, of which single addresses are."""
    for text in (
        "0.1.2.3", "10.9.8.7", "100.127.0.1", "100.128.0.1", "127.0.0.1", "169.254.3.4", "172.31.255.255", "172.32.0.0",
        "192.0.2.255",
        "192.0.3.0", "192.168.0.1", "198.19.0.1", "198.20.0.1", "198.51.100.1", "203.0.113.1", "240.0.0.1", "255.255.255.255",
        "8.8.8.8", "::", "::1", "100::1", "2001:db8::1", "2001:4860::1", "fd12::1", "fe80::1", "2a00:1450::1", "64:ff9b:1::1",
    ):  # fmt: skip
        assert origins.is_public(Address.parse(text).number) is ip_address(text).is_global, text


def test_what_kind_a_network_is() -> None:
    kinds = bundled_kinds()
    assert kinds.of(24940, "Hetzner Online GmbH", is_rented=False) is NetworkKind.HOSTING
    assert kinds.of(7922, None, is_rented=False) is NetworkKind.RESIDENTIAL
    assert kinds.of(None, "Universidad de Chile", is_rented=False) is NetworkKind.EDUCATION
    assert kinds.of(None, "Mobile Cloud Hosting", is_rented=False) is NetworkKind.UNKNOWN
    assert kinds.of(None, "Example Telecom", is_rented=False) is NetworkKind.UNKNOWN
    assert kinds.of(None, None, is_rented=True) is NetworkKind.HOSTING


def test_every_bot_can_prove_itself_and_names_lists_that_there_are() -> None:
    lists, faults = read_lists(DATA / "ranges")
    assert faults == {}
    for bot in bundled_bots():
        assert bot.suffixes or bot.ranges or bot.directories, bot.name
        assert lists.keys() >= set(bot.ranges), bot.name
        for suffix in bot.suffixes:
            assert "." in suffix, suffix
            assert not suffix.startswith("."), suffix
            assert suffix not in {"googleusercontent.com", "amazonaws.com", "1e100.net"}, suffix
    used = {name for bot in bundled_bots() for name in bot.ranges}
    assert set(lists) - used == {"hosting"}
    with pytest.raises(ValueError, match="x: unknown key suffix"):
        read_bots({"x": {"class": "search", "suffix": ["a.example"]}})


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (GOOGLEBOT, "googlebot"),
        (b"Googlebot-Image/1.0", "googlebot"),
        (b"AdsBot-Google (+http://www.google.com/adsbot.html)", "google-special"),
        (b"TelegramBot (like TwitterBot)", "telegrambot"),
        (b"GOOGLEBOT/2.1", "googlebot"),
        (b"evilgooglebot/1.0", None),
        (b"Googlebotx/1.0", None),
        (b"my-googlebot/1.0", None),
        (b"Mozilla/5.0 (X; +http://googlebot.evil.org/)", None),
        (b"curl/8 (like Googlebot)", None),
        (b"Mozilla/5.0 (Macintosh) Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0", None),
        (b"x" * 600 + b" Googlebot/2.1", None),
        (b"", None),
        (b"\xff\xfe Googlebot\xff", "googlebot"),
        ("G\u043e\u043eglebot/2.1".encode(), None),
    ],
)
def test_whom_a_user_agent_names(user_agent: bytes, name: str | None) -> None:
    claims = Claims(bundled_bots())
    for found in (claims.of(user_agent), claims.of(user_agent)):  # found out, and remembered
        assert (found.name if found else None) == name


def test_no_browser_claims_to_be_a_bot() -> None:
    claims = Claims(bundled_bots())
    agents = (ROOT / "proxyguard/tools/data/browsers/user-agents.txt").read_bytes().splitlines()
    assert len(agents) > 300
    assert [agent for agent in agents if claims.of(agent) is not None] == []


def test_remembered_user_agents_are_bounded() -> None:
    claims = Claims([KnownBot("b", "search", ("b",))])
    for number in range(10_000):
        claims.of(b"agent %d" % number)
    assert len(claims._remembered) <= 4096
    assert Claims([]).of(b"anything") is None
