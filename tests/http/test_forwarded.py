"""Whose word counts for the client address, and what the upstream hears of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.core.address import Address, Network
from proxyguard.core.request import Headers
from proxyguard.core.settings import Trust
from proxyguard.http.forwarded import MAX_HOPS, ClientAddressResolver, read_address
from proxyguard.http.http1.heads import BodyKind, RequestHead
from proxyguard.http.http1.serialise import request_head

LOAD_BALANCER = "10.0.0.1"
NETWORKS = ("10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.255")


def _resolver(header: str = "x-forwarded-for", networks: tuple[str, ...] = NETWORKS) -> ClientAddressResolver:
    return ClientAddressResolver(Trust(proxies=tuple(map(Network.parse, networks)), header=header))


def _resolved(header: str, peer: str, headers: Headers) -> tuple[str, int | None]:
    client = _resolver(header).resolve(Address.parse(peer, 1000), headers)
    return client.text, client.port


PEER = (LOAD_BALANCER, 1000)
CLIENT = ("203.0.113.7", None)
CLIENT_6 = ("2001:db8::7", None)

X_FORWARDED_FOR: list[tuple[str, str, list[bytes], tuple[str, int | None]]] = [
    # name, peer, values of X-Forwarded-For, client
    ("no header", LOAD_BALANCER, [], PEER),
    ("empty header", LOAD_BALANCER, [b""], PEER),
    ("only commas", LOAD_BALANCER, [b" , ,"], PEER),
    ("one address", LOAD_BALANCER, [b"203.0.113.7"], CLIENT),
    ("spaces", LOAD_BALANCER, [b" \t203.0.113.7 "], CLIENT),
    ("untrusted peer", "203.0.113.1", [b"203.0.113.7"], ("203.0.113.1", 1000)),
    ("untrusted peer that names a proxy", "203.0.113.1", [b"10.0.0.9"], ("203.0.113.1", 1000)),
    ("untrusted IPv6 peer", "2001:db8::1", [b"203.0.113.7"], ("2001:db8::1", 1000)),
    ("trusted IPv6 peer", "2001:db8:ffff::1", [b"203.0.113.7"], CLIENT),
    ("trusted mapped peer", "::ffff:10.0.0.1", [b"203.0.113.7"], CLIENT),
    ("trusted single address", "192.0.2.255", [b"203.0.113.7"], CLIENT),
    ("neighbour of a trusted address", "192.0.2.254", [b"203.0.113.7"], ("192.0.2.254", 1000)),
    ("just below a trusted network", "9.255.255.255", [b"203.0.113.7"], ("9.255.255.255", 1000)),
    ("first of a trusted network", "10.0.0.0", [b"203.0.113.7"], CLIENT),
    ("last of a trusted network", "10.255.255.255", [b"203.0.113.7"], CLIENT),
    ("just above a trusted network", "11.0.0.0", [b"203.0.113.7"], ("11.0.0.0", 1000)),
    ("forged entry left of the client", LOAD_BALANCER, [b"198.51.100.66, 203.0.113.7"], CLIENT),
    ("forged proxy left of the client", LOAD_BALANCER, [b"10.0.0.5, 203.0.113.7"], CLIENT),
    ("two trusted hops", LOAD_BALANCER, [b"203.0.113.7, 10.0.0.2"], CLIENT),
    ("three trusted hops", LOAD_BALANCER, [b"1.2.3.4,203.0.113.7,10.0.0.3,10.0.0.2"], CLIENT),
    ("all trusted: the leftmost", LOAD_BALANCER, [b"10.0.0.3, 10.0.0.2"], ("10.0.0.3", None)),
    ("untrusted hop between trusted ones", LOAD_BALANCER, [b"203.0.113.7, 198.51.100.1, 10.0.0.2"], ("198.51.100.1", None)),
    ("empty members are no hops", LOAD_BALANCER, [b"203.0.113.7,, 10.0.0.2,"], CLIENT),
    ("repeated header", LOAD_BALANCER, [b"203.0.113.7", b"10.0.0.2"], CLIENT),
    ("repeated header, forged first line", LOAD_BALANCER, [b"198.51.100.66", b"203.0.113.7, 10.0.0.2"], CLIENT),
    ("port of the client", LOAD_BALANCER, [b"203.0.113.7:4711"], ("203.0.113.7", 4711)),
    ("port of a hop", LOAD_BALANCER, [b"203.0.113.7:4711, 10.0.0.2:80"], ("203.0.113.7", 4711)),
    ("port 0 says that it is not known", LOAD_BALANCER, [b"203.0.113.7:0"], CLIENT),
    ("port 1", LOAD_BALANCER, [b"203.0.113.7:1"], ("203.0.113.7", 1)),
    ("port 65535", LOAD_BALANCER, [b"203.0.113.7:65535"], ("203.0.113.7", 65535)),
    ("port 65536", LOAD_BALANCER, [b"203.0.113.7:65536"], CLIENT),
    ("port beyond 65535", LOAD_BALANCER, [b"203.0.113.7:70000"], CLIENT),
    ("IPv6", LOAD_BALANCER, [b"2001:db8::7"], CLIENT_6),
    ("IPv6 in capitals", LOAD_BALANCER, [b"2001:DB8:0:0::7"], CLIENT_6),
    ("IPv6 in brackets", LOAD_BALANCER, [b"[2001:db8::7]"], CLIENT_6),
    ("IPv6 with a port", LOAD_BALANCER, [b"[2001:db8::7]:4711"], ("2001:db8::7", 4711)),
    ("mapped IPv4", LOAD_BALANCER, [b"::ffff:203.0.113.7"], CLIENT),
    ("mapped IPv4 in brackets with a port", LOAD_BALANCER, [b"[::ffff:203.0.113.7]:4711"], ("203.0.113.7", 4711)),
    ("mapped hop is trusted", LOAD_BALANCER, [b"203.0.113.7, ::ffff:10.0.0.2"], CLIENT),
    ("trusted IPv6 hop", LOAD_BALANCER, [b"2001:db8::7, 2001:db8:ffff::2"], CLIENT_6),
    ("unknown", LOAD_BALANCER, [b"unknown"], PEER),
    ("unknown behind a hop", LOAD_BALANCER, [b"203.0.113.7, unknown, 10.0.0.2"], ("10.0.0.2", None)),
    ("garbage", LOAD_BALANCER, [b"<script>"], PEER),
    ("garbage in the middle", LOAD_BALANCER, [b"203.0.113.7, garbage, 10.0.0.2"], ("10.0.0.2", None)),
    ("garbage left of the client does not matter", LOAD_BALANCER, [b"\xff\x80, 203.0.113.7"], CLIENT),
    ("quotes", LOAD_BALANCER, [b'"203.0.113.7"'], PEER),
    ("octal", LOAD_BALANCER, [b"203.0.113.007"], PEER),
    ("too few octets", LOAD_BALANCER, [b"203.0.113"], PEER),
    ("a number", LOAD_BALANCER, [b"3405803783"], PEER),
    ("octet beyond 255", LOAD_BALANCER, [b"203.0.113.256"], PEER),
    ("a network", LOAD_BALANCER, [b"203.0.113.0/24"], PEER),
    ("a host name", LOAD_BALANCER, [b"a.example"], PEER),
    ("IPv4 in brackets", LOAD_BALANCER, [b"[203.0.113.7]"], PEER),
    ("open bracket", LOAD_BALANCER, [b"[2001:db8::7"], PEER),
    ("IPv6 with two double colons", LOAD_BALANCER, [b"2001::db8::7"], PEER),
    ("IPv6 zone", LOAD_BALANCER, [b"fe80::1%eth0"], ("fe80::1", None)),
    ("IPv6 zone in brackets with a port", LOAD_BALANCER, [b"[fe80::1%25eth0]:80"], ("fe80::1", 80)),
    ("IPv6 zone of Windows", LOAD_BALANCER, [b"fe80::1%12"], ("fe80::1", None)),
    ("IPv6 zone of a hop", LOAD_BALANCER, [b"fe80::2%br-0_1.7, 10.0.0.2"], ("fe80::2", None)),
    ("no zone after the mark", LOAD_BALANCER, [b"fe80::1%"], PEER),
    ("two zones", LOAD_BALANCER, [b"fe80::1%a%b"], PEER),
    ("a zone with a blank", LOAD_BALANCER, [b"fe80::1%a b"], PEER),
    ("a zone that is too long", LOAD_BALANCER, [b"fe80::1%" + b"a" * 65], PEER),
    ("a zone of IPv4", LOAD_BALANCER, [b"203.0.113.7%eth0"], PEER),
    ("space inside", LOAD_BALANCER, [b"203.0.113.7 10.0.0.2"], PEER),
    ("a vertical tab behind it", LOAD_BALANCER, [b"203.0.113.7\x0b"], PEER),
    ("a letter behind it", LOAD_BALANCER, [b"203.0.113.7X"], PEER),
    ("a letter before it", LOAD_BALANCER, [b"X203.0.113.7"], PEER),
    ("port without a number", LOAD_BALANCER, [b"203.0.113.7:"], PEER),
    ("two ports", LOAD_BALANCER, [b"203.0.113.7:1:2"], PEER),
    ("as many hops as are looked at", LOAD_BALANCER, [b"203.0.113.7" + b",10.0.0.2" * (MAX_HOPS - 1)], CLIENT),
    ("one more", LOAD_BALANCER, [b"203.0.113.7" + b",10.0.0.2" * MAX_HOPS], ("10.0.0.2", None)),
    ("eight more", LOAD_BALANCER, [b"1.1.1.1,203.0.113.7" + b",10.0.0.2" * (MAX_HOPS + 6)], ("10.0.0.2", None)),
    ("thousands", LOAD_BALANCER, [b"1.1.1.1," * 4000 + b"203.0.113.7"], CLIENT),
]  # fmt: skip


@pytest.mark.parametrize(
    ("peer", "values", "client"), [row[1:] for row in X_FORWARDED_FOR], ids=[row[0] for row in X_FORWARDED_FOR]
)
def test_x_forwarded_for_is_read_from_the_right(peer: str, values: list[bytes], client: tuple[str, int | None]) -> None:
    headers = ((b"Host", b"a.example"), *((b"X-Forwarded-For", value) for value in values), (b"Forwarded", b"for=9.9.9.9"))
    assert _resolved("x-forwarded-for", peer, headers) == client


FORWARDED: list[tuple[str, str, list[bytes], tuple[str, int | None]]] = [
    ("one address", LOAD_BALANCER, [b"for=203.0.113.7"], CLIENT),
    ("name in capitals", LOAD_BALANCER, [b"For=203.0.113.7"], CLIENT),
    ("quoted", LOAD_BALANCER, [b'for="203.0.113.7"'], CLIENT),
    ("quoted with a port", LOAD_BALANCER, [b'for="203.0.113.7:4711"'], ("203.0.113.7", 4711)),
    ("quoted IPv6", LOAD_BALANCER, [b'for="[2001:db8::7]"'], CLIENT_6),
    ("quoted IPv6 with a port", LOAD_BALANCER, [b'for="[2001:db8:cafe::17]:4711"'], ("2001:db8:cafe::17", 4711)),
    ("quoted pair", LOAD_BALANCER, [b'for="203.0.113\\.7"'], CLIENT),
    ("with other parameters", LOAD_BALANCER, [b"proto=https;for=203.0.113.7;by=10.0.0.1;host=a.example"], CLIENT),
    ("with spaces", LOAD_BALANCER, [b"for=203.0.113.7 ; proto=https"], CLIENT),
    ("two hops", LOAD_BALANCER, [b"for=203.0.113.7, for=10.0.0.2"], CLIENT),
    ("forged element on the left", LOAD_BALANCER, [b"for=198.51.100.66, for=203.0.113.7"], CLIENT),
    ("repeated header", LOAD_BALANCER, [b"for=203.0.113.7", b"for=10.0.0.2;proto=http"], CLIENT),
    ("a quote that a client left open", LOAD_BALANCER, [b'for="198.51.100.66', b"for=203.0.113.7"], CLIENT),
    ("a quote that a client left open before a quoted one", LOAD_BALANCER, [b'for="', b'for="[2001:db8::7]"'], CLIENT_6),
    ("garbage in the middle", LOAD_BALANCER, [b"for=203.0.113.7, for, for=10.0.0.2"], ("10.0.0.2", None)),
    ("unknown", LOAD_BALANCER, [b"for=unknown"], PEER),
    ("hidden", LOAD_BALANCER, [b"for=_hidden"], PEER),
    ("hidden in quotes with a port", LOAD_BALANCER, [b'for="_SEVKISEK:_port"'], PEER),
    ("hidden behind a hop", LOAD_BALANCER, [b"for=203.0.113.7, for=_gazonk, for=10.0.0.2"], ("10.0.0.2", None)),
    ("element without for", LOAD_BALANCER, [b"proto=https"], PEER),
    ("for twice", LOAD_BALANCER, [b"for=203.0.113.7;for=198.51.100.66"], PEER),
    ("IPv6 without quotes", LOAD_BALANCER, [b"for=[2001:db8::7]"], PEER),
    ("no equals sign", LOAD_BALANCER, [b"203.0.113.7"], PEER),
    ("spaces around the equals sign", LOAD_BALANCER, [b"for = 203.0.113.7"], PEER),
    ("comma in quotes", LOAD_BALANCER, [b'for=203.0.113.7;host="a,b"'], PEER),
    ("no header", LOAD_BALANCER, [], PEER),
    ("untrusted peer", "203.0.113.1", [b"for=203.0.113.7"], ("203.0.113.1", 1000)),
    ("trailing semicolon", LOAD_BALANCER, [b"for=203.0.113.7;"], CLIENT),
]  # fmt: skip


@pytest.mark.parametrize(("peer", "values", "client"), [row[1:] for row in FORWARDED], ids=[row[0] for row in FORWARDED])
def test_forwarded_is_read_from_the_right(peer: str, values: list[bytes], client: tuple[str, int | None]) -> None:
    headers = (*((b"Forwarded", value) for value in values), (b"X-Forwarded-For", b"9.9.9.9"))
    assert _resolved("forwarded", peer, headers) == client


CHOSEN: list[tuple[str, str, list[bytes], tuple[str, int | None]]] = [
    ("one address", LOAD_BALANCER, [b"203.0.113.7"], CLIENT),
    ("IPv6", LOAD_BALANCER, [b"2001:db8::7"], CLIENT_6),
    ("a trusted address is the client too", LOAD_BALANCER, [b"10.0.0.9"], ("10.0.0.9", None)),
    ("a list is none", LOAD_BALANCER, [b"203.0.113.7, 198.51.100.66"], PEER),
    ("twice is none", LOAD_BALANCER, [b"203.0.113.7", b"198.51.100.66"], PEER),
    ("garbage", LOAD_BALANCER, [b"x"], PEER),
    ("no header", LOAD_BALANCER, [], PEER),
    ("untrusted peer", "203.0.113.1", [b"203.0.113.7"], ("203.0.113.1", 1000)),
]  # fmt: skip


@pytest.mark.parametrize(("peer", "values", "client"), [row[1:] for row in CHOSEN], ids=[row[0] for row in CHOSEN])
def test_a_chosen_header_holds_one_address(peer: str, values: list[bytes], client: tuple[str, int | None]) -> None:
    headers = ((b"X-Forwarded-For", b"9.9.9.9"), *((b"CF-Connecting-IP", value) for value in values))
    assert _resolved("CF-Connecting-IP", peer, headers) == client


def test_the_tables_are_as_long_as_was_asked_for() -> None:
    assert len(X_FORWARDED_FOR) + len(FORWARDED) + len(CHOSEN) >= 60


def test_a_chain_is_read_once_for_each_request_and_never_taken_for_that_of_another() -> None:
    resolver = _resolver()
    peer, other = Address.parse(LOAD_BALANCER), Address.parse("10.0.0.2")
    headers, others = ((b"X-Forwarded-For", b"10.1.1.1"),), ((b"X-Forwarded-For", b"203.0.113.7"),)
    chain = resolver._chain(peer, headers)
    assert resolver._chain(peer, headers) is chain
    assert resolver.resolve(peer, others).text == "203.0.113.7"
    assert [hop.address for hop in resolver._chain(other, others)] == [other, Address.parse("203.0.113.7")]


def test_nobody_is_trusted_unless_told() -> None:
    resolver = ClientAddressResolver(Trust())
    peer = Address.parse("127.0.0.1")
    assert not resolver.trusted.contains(peer)
    assert resolver.resolve(peer, ((b"X-Forwarded-For", b"203.0.113.7"),)) is peer


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=8), st.integers(0, 2**32 - 1))
def test_trust_is_membership_in_any_network(ranges: list[tuple[int, int]], number: int) -> None:
    networks = tuple(
        Network.parse(f"{Address((0xFFFF << 32) + (first >> (32 - bits) << (32 - bits))).text}/{bits}") for first, bits in ranges
    )
    peer = Address((0xFFFF << 32) + number)
    resolver = ClientAddressResolver(Trust(proxies=networks))
    assert resolver.trusted.contains(peer) is any(peer.number in network for network in networks)


@given(st.binary(max_size=60), st.sampled_from(["x-forwarded-for", "forwarded", "x-real-ip"]))
def test_no_header_makes_it_fail(value: bytes, header: str) -> None:
    resolver = _resolver(header)
    peer = Address.parse(LOAD_BALANCER)
    headers = ((header.encode(), value), (b"X-Forwarded-Proto", value))
    client = resolver.resolve(peer, headers)
    assert resolver.scheme(peer, headers, b"http") in (b"http", b"https")
    changes = resolver.forwarding_headers(headers, peer, client, b"http", b"a.example")
    assert header.encode() not in changes.keep
    assert changes.add[0][1].endswith(b"10.0.0.1")


SCHEMES: list[tuple[str, str, Headers, bytes]] = [
    ("x-forwarded-for", LOAD_BALANCER, (), b"http"),
    ("x-forwarded-for", LOAD_BALANCER, ((b"X-Forwarded-Proto", b"https"),), b"https"),
    ("x-forwarded-for", LOAD_BALANCER, ((b"x-forwarded-proto", b" HTTPS "),), b"https"),
    ("x-forwarded-for", LOAD_BALANCER, ((b"X-Forwarded-Proto", b"wss"),), b"https"),
    ("x-forwarded-for", LOAD_BALANCER, ((b"X-Forwarded-Proto", b"https, http"),), b"http"),
    ("x-forwarded-for", LOAD_BALANCER, ((b"X-Forwarded-Proto", b"http"), (b"X-Forwarded-Proto", b"https")), b"https"),
    ("x-forwarded-for", LOAD_BALANCER, ((b"X-Forwarded-Proto", b"gopher"),), b"http"),
    ("x-forwarded-for", LOAD_BALANCER, ((b"X-Forwarded-Proto", b"https\x0b"),), b"http"),
    ("x-forwarded-for", LOAD_BALANCER, ((b"X-Forwarded-Proto", b"httpsX"),), b"http"),
    ("x-forwarded-for", "203.0.113.1", ((b"X-Forwarded-Proto", b"https"),), b"http"),
    ("forwarded", LOAD_BALANCER, ((b"Forwarded", b"for=203.0.113.7;proto=https"),), b"https"),
    ("forwarded", LOAD_BALANCER, ((b"Forwarded", b"for=203.0.113.7;proto=https, for=10.0.0.2;proto=http"),), b"https"),
    ("forwarded", LOAD_BALANCER, ((b"Forwarded", b"for=1.2.3.4;proto=https, for=203.0.113.7;proto=http"),), b"http"),
    ("forwarded", LOAD_BALANCER, ((b"Forwarded", b"for=203.0.113.7"), (b"X-Forwarded-Proto", b"https")), b"https"),
    ("forwarded", "203.0.113.1", ((b"Forwarded", b"for=203.0.113.7;proto=https"),), b"http"),
]


@pytest.mark.parametrize(("header", "peer", "headers", "scheme"), SCHEMES)
def test_the_scheme_is_what_a_trusted_proxy_says(header: str, peer: str, headers: Headers, scheme: bytes) -> None:
    assert _resolver(header).scheme(Address.parse(peer), headers, b"http") == scheme


def _told(header: str, peer: str, headers: Headers, keep: tuple[str, ...] = ()) -> tuple[list[bytes], dict[bytes, bytes]]:
    """The client's fields that reach the upstream, by name, and ours."""
    resolver = ClientAddressResolver(Trust(proxies=tuple(map(Network.parse, NETWORKS)), header=header, keep=keep))
    address = Address.parse(peer)
    client = resolver.resolve(address, headers)
    scheme = resolver.scheme(address, headers, b"http")
    changes = resolver.forwarding_headers(headers, address, client, scheme, b"a.example")
    head = RequestHead(
        b"GET", b"/", b"a.example", b"a.example", headers, b"1.1", BodyKind.NONE, None, keep_alive=True, expect_continue=False,
        upgrade=None, nominated=(), te_trailers=False,
    )  # fmt: skip
    written = request_head(head, drop=changes.drop, keep=changes.keep)
    return [line.partition(b":")[0] for line in written.split(b"\r\n")[2:-2]], dict(changes.add)


def test_the_upstream_hears_nothing_that_an_untrusted_client_made_up() -> None:
    forged = (
        b"Forwarded", b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-Forwarded-Port", b"X-Forwarded-Prefix",
        b"X-Real-IP", b"True-Client-IP", b"CF-Connecting-IP", b"X-Client-IP", b"X-Cluster-Client-IP", b"Fastly-Client-IP",
        b"X-Original-URL", b"X-Rewrite-URL", b"X-Forwarded-Ssl", b"Front-End-Https", b"X-Scheme",
    )  # fmt: skip
    passed, add = _told("x-forwarded-for", "203.0.113.1", tuple((name, b"6.6.6.6") for name in forged))
    assert passed == []
    assert add == {
        b"X-Forwarded-For": b"203.0.113.1",
        b"X-Forwarded-Proto": b"http",
        b"X-Forwarded-Host": b"a.example",
        b"X-Real-IP": b"203.0.113.1",
    }


@pytest.mark.parametrize(
    ("header", "headers", "chain", "real"),
    [
        ("x-forwarded-for", (), b"10.0.0.1", b"10.0.0.1"),
        ("x-forwarded-for", ((b"X-Forwarded-For", b"203.0.113.7"),), b"203.0.113.7, 10.0.0.1", b"203.0.113.7"),
        (
            "x-forwarded-for",
            ((b"X-Forwarded-For", b"6.6.6.6, [2001:db8::7]:80, 10.0.0.2:1"),),
            b"2001:db8::7, 10.0.0.2, 10.0.0.1",
            b"2001:db8::7",
        ),
        ("forwarded", ((b"Forwarded", b'for=6.6.6.6, for="203.0.113.7:1"'),), b"203.0.113.7, 10.0.0.1", b"203.0.113.7"),
        ("cf-connecting-ip", ((b"CF-Connecting-IP", b"203.0.113.7"),), b"203.0.113.7, 10.0.0.1", b"203.0.113.7"),
        ("x-forwarded-for", ((b"X-Forwarded-For", b"6.6.6.6, junk"),), b"10.0.0.1", b"10.0.0.1"),
    ],
)
def test_the_upstream_hears_the_hops_that_are_vouched_for(header: str, headers: Headers, chain: bytes, real: bytes) -> None:
    passed, add = _told(header, LOAD_BALANCER, headers)
    assert (add[b"X-Forwarded-For"], add[b"X-Real-IP"]) == (chain, real)
    assert passed == ([b"CF-Connecting-IP"] if header == "cf-connecting-ip" else [])


def test_a_trusted_proxy_may_say_how_it_was_reached_and_no_more() -> None:
    headers = (
        (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"www.example"), (b"X-Forwarded-Port", b"443"),
        (b"X-Forwarded-Prefix", b"/shop"), (b"True-Client-IP", b"6.6.6.6"), (b"X-Original-URL", b"/admin"),
    )  # fmt: skip
    passed, add = _told("x-forwarded-for", LOAD_BALANCER, headers)
    assert (add[b"X-Forwarded-Proto"], add[b"X-Forwarded-Host"]) == (b"https", b"www.example")
    assert passed == [b"X-Forwarded-Port", b"X-Forwarded-Prefix"]


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"a.example, \tb.example \t", b"b.example"),
        (b"X.example\x0b", b"X.example\x0b"),
        (b"a.example,", b"a.example"),
        (b"", b"a.example"),
    ],
    ids=("the last one counts", "only blanks and tabs are cut off", "an empty last one", "an empty one"),
)
def test_the_last_host_that_a_trusted_proxy_names_counts_else_that_of_the_request(value: bytes, host: bytes) -> None:
    assert _told("x-forwarded-for", LOAD_BALANCER, ((b"X-Forwarded-Host", value),))[1][b"X-Forwarded-Host"] == host


def test_the_chosen_header_of_a_trusted_proxy_is_passed_on_and_anothers_is_not() -> None:
    headers = ((b"CF-Connecting-IP", b"203.0.113.7"), (b"CF_Connecting_IP", b"6.6.6.6"), (b"True-Client-IP", b"6.6.6.6"))
    assert _told("cf-connecting-ip", LOAD_BALANCER, headers)[0] == [b"CF-Connecting-IP"]
    assert _told("cf-connecting-ip", "203.0.113.1", headers)[0] == []


def test_a_header_of_the_operators_own_choice_is_believed_of_trusted_proxies_alone() -> None:
    headers = ((b"X-Edge-Client", b"203.0.113.7"), (b"X_Edge_Client", b"6.6.6.6"), (b"Accept", b"*/*"))
    assert _told("x-edge-client", LOAD_BALANCER, headers)[0] == [b"X-Edge-Client", b"Accept"]
    assert _told("x-edge-client", "203.0.113.1", headers)[0] == [b"Accept"]


def test_what_is_kept_is_kept_of_trusted_proxies_in_one_spelling() -> None:
    headers = (
        (b"Remote-User", b"root"), (b"REMOTE-USER", b"root"), (b"Remote_User", b"root"), (b"X-Remote-User", b"root"),
        (b"X-Forwarded-Client-Cert", b"x"), (b"X-Forwarded-For", b"203.0.113.7"),
    )  # fmt: skip
    keep = ("remote-user", "x-forwarded-client-cert", "x-forwarded-for", "host", "transfer-encoding", "proxy")
    kept = [b"Remote-User", b"REMOTE-USER", b"X-Forwarded-Client-Cert"]
    assert _told("x-forwarded-for", LOAD_BALANCER, (*headers, (b"Proxy", b"http://evil")), keep)[0] == kept
    assert _told("x-forwarded-for", "203.0.113.1", headers, keep)[0] == []


@pytest.mark.parametrize(
    "text", [b"", b".", b":", b"[]", b"[]:80", b"1.2.3", b"1.2.3.4.5", b":::", b"g::1", b"1.2.3.4\n", b"\x00"]
)
def test_what_is_no_address(text: bytes) -> None:
    assert read_address(text) is None


JA4 = b"t13d1516h2_8daaf6152771_e5627efa2ab1"


@pytest.mark.parametrize(
    ("peer", "named", "headers", "told"),
    [
        ("10.0.0.1", "cf-ja4", ((b"CF-JA4", JA4),), True),
        ("203.0.113.9", "cf-ja4", ((b"CF-JA4", JA4),), False),
        ("10.0.0.1", "", ((b"CF-JA4", JA4),), False),
        ("10.0.0.1", "cf-ja4", (), False),
        ("10.0.0.1", "cf-ja4", ((b"CF-JA4", JA4), (b"cf-ja4", JA4)), False),
        ("10.0.0.1", "cf-ja4", ((b"CF-JA4", JA4 + b"0"),), False),
        ("10.0.0.1", "cf-ja4", ((b"CF-JA4", b"\t" + JA4 + b" "),), True),
        ("10.0.0.1", "cf-ja4", ((b"CF-JA4", JA4 + b"\x0b"),), False),
        ("10.0.0.1", "cf-ja4", ((b"CF-JA4", JA4 + b"X"),), False),
    ],
    ids=("a trusted peer", "anybody", "not asked for", "nothing", "two of them", "another form", "blanks", "a tab", "a letter"),
)
def test_a_ja4_is_believed_of_trusted_peers_alone(peer: str, named: str, headers: Headers, told: bool) -> None:
    resolver = ClientAddressResolver(Trust(proxies=(Network.parse("10.0.0.0/8"),), ja4=named))
    facts = resolver.connection(Address.parse(peer), headers)
    assert (facts is not None) is told
    if facts is not None:
        assert (facts.ja4, facts.kind) == (JA4, b"chromium")
