"""What contradicts a user agent: each tell alone, both classes apart, and nothing where nothing is known."""

from __future__ import annotations

import pytest

from proxyguard.core.address import Address
from proxyguard.core.connection_facts import (
    PATH_INDEXED,
    PATH_ON_4,
    PATH_ON_5,
    PATH_OTHERWISE,
    ROOT_INDEXED,
    ROOT_ON_4,
    ROOT_ON_5,
    ConnectionFacts,
)
from proxyguard.core.request import Headers, Request
from proxyguard.http.fingerprints.client_hello import MAX_EXTENSIONS, MAX_VALUES, read_hello
from proxyguard.http.fingerprints.contradictions import contradictions
from proxyguard.http.fingerprints.facts import client_kind, connection_facts, hello_kind, http2_of, ja4_of, stated_facts
from tests.http.fingerprints.hellos import CHROMIUM_CIPHERS, chromium, hello, sized, twos

CHROME = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/112.0.0.0 Safari/537.36"
FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
MAC = b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"
CRIOS = MAC.replace(b"Macintosh; Intel Mac OS X 10_15_7", b"iPhone; CPU iPhone OS 18_5 like Mac OS X").replace(
    b"Version", b"CriOS"
)
GOOGLEBOT = (
    b"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; +http://www.google.com/bot.html) "
    b"Chrome/156.0.0.0 Safari/537.36"
)
SETTINGS = b"".join(
    kind.to_bytes(2, "big") + value.to_bytes(4, "big") for kind, value in ((1, 65536), (2, 0), (4, 6291456), (6, 262144))
)
FIREFOX_SETTINGS = b"".join(
    kind.to_bytes(2, "big") + value.to_bytes(4, "big") for kind, value in ((1, 65536), (2, 0), (4, 131072), (5, 16384))
)
OPENSSL = hello((0x1302, 0x1303, 0x1301, 0xC02C), [(10, sized(twos((29, 23, 30)))), (22, b""), (43, sized(b"\x03\x04", 1))])
FIREFOX_HELLO = hello(
    (0x1301, 0x1303, 0x1302, 0xC02B), [(10, sized(twos((4588, 29)))), (28, b"\x40\x01"), (34, b""), (16, b"\0\x03\x02h2")]
)
SAFARI_HELLO = hello(CHROMIUM_CIPHERS, [(10, sized(twos((0x2A2A, 29)))), (27, b"\x02\0\x01"), (43, sized(b"\x03\x04", 1))])

NAVIGATION: Headers = (
    (b"sec-ch-ua-mobile", b"?0"), (b"upgrade-insecure-requests", b"1"), (b"user-agent", CHROME), (b"accept", b"text/html,*/*"),
    (b"sec-fetch-mode", b"navigate"), (b"accept-encoding", b"gzip"), (b"accept-language", b"en"), (b"priority", b"u=0, i"),
)  # fmt: skip


def by_http2(
    body: bytes = chromium(), settings: bytes = SETTINGS, window: int = 15663105, pseudo: bytes = b"masp"
) -> ConnectionFacts:
    """A connection of Chromium's, unless told otherwise, after its first request."""
    facts = connection_facts(body)
    facts.tls_version = b"1.3"
    facts.is_http2 = True
    facts.settings, facts.window, facts.pseudo = settings, window, pseudo
    facts.path_forms, facts.first_record = PATH_ON_4, 24 + 9 + len(settings) + 13
    return facts


def firefox() -> ConnectionFacts:
    facts = by_http2(FIREFOX_HELLO, FIREFOX_SETTINGS, 12517377, b"mpas")
    facts.path_forms = PATH_ON_5
    return facts


def asked(facts: ConnectionFacts | None, agent: bytes = CHROME, headers: Headers | None = None, version: bytes = b"2") -> Request:
    fields = headers or ((b"user-agent", agent), (b"accept", b"*/*"))
    request = Request(Address.parse("192.0.2.1"), b"GET", b"https", b"example.org", b"/", fields, version)
    request.connection = facts
    return request


def found(facts: ConnectionFacts | None, agent: bytes = CHROME, headers: Headers | None = None) -> str:
    return " ".join(each.decode() for each in contradictions(asked(facts, agent, headers)))


def test_nothing_is_held_against_what_is_not_known() -> None:
    assert found(None) == ""
    assert found(ConnectionFacts()) == ""
    assert found(stated_facts(b"t13d1516h2_0123456789ab_e5627efa2ab1")) == ""
    broken = connection_facts(chromium()[:60])
    assert (hello_kind(broken), client_kind(broken)) == (b"unknown", b"unknown")


def test_browsers_contradict_nothing() -> None:
    assert found(by_http2(), headers=NAVIGATION) == ""
    assert found(firefox(), FIREFOX) == ""
    assert (client_kind(by_http2()), client_kind(firefox())) == (b"chromium", b"firefox")
    assert http2_of(by_http2()) == b"1:65536;2:0;4:6291456;6:262144|15663105|0|m,a,s,p"


@pytest.mark.parametrize("agent", [b"curl/8.5.0", b"python-requests/2.32", GOOGLEBOT, b"", b"Mozilla/5.0"])
def test_only_a_claim_of_a_browser_can_be_contradicted(agent: bytes) -> None:
    assert found(by_http2(OPENSSL), agent) == ""


@pytest.mark.parametrize(
    ("body", "agent", "wanted"),
    [
        (OPENSSL, CHROME, "hello"),
        (OPENSSL, FIREFOX, "hello"),
        (OPENSSL, MAC, "hello"),
        (OPENSSL, CRIOS, "hello"),
        (FIREFOX_HELLO, CHROME, "hello"),
        (chromium(), FIREFOX, "hello"),
        (chromium(), MAC, "hello"),
        (SAFARI_HELLO, MAC, ""),
        (SAFARI_HELLO, CRIOS, ""),
        (SAFARI_HELLO, CHROME, "hello"),
        (chromium(without=(0x4469,)), CHROME, "hello"),
        (chromium(without=(0x001B,)), CHROME, "hello"),
        (OPENSSL, CHROME.replace(b"112", b"99"), ""),
    ],
)
def test_the_hello_of_another_program(body: bytes, agent: bytes, wanted: str) -> None:
    """Whatever is above it says no more then: a person behind something that opens TLS is no imitator."""
    facts = by_http2(body)
    facts.path_forms, facts.is_wasteful, facts.first_record = PATH_OTHERWISE | PATH_ON_4, True, 24
    assert found(facts, agent) == wanted


def test_a_chromium_without_http2_or_with_tls_1_2_need_not_have_alps() -> None:
    headers = ((b"Host", b"x"), (b"Connection", b"keep-alive"), (b"User-Agent", CHROME))
    assert found(connection_facts(chromium(offers=(b"http/1.1",), without=(0x4469,))), headers=headers) == "http1"
    assert found(connection_facts(chromium(without=(0x4469, 0x002B))), headers=headers) == ""


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"is_wasteful": True}, "coding imitated"),
        ({"path_forms": PATH_ON_5}, "coding imitated"),
        ({"path_forms": ROOT_ON_5}, "coding imitated"),
        ({"path_forms": PATH_OTHERWISE}, "coding imitated"),
        ({"path_forms": PATH_ON_4 | PATH_OTHERWISE}, "coding imitated"),
        ({"path_forms": ROOT_INDEXED | PATH_ON_4 | PATH_INDEXED}, ""),
        ({"first_record": 24}, "records imitated"),
        ({"first_record": 558}, "records imitated"),
        ({"first_record": -1}, ""),
        ({"pseudo": b"mpas"}, "settings"),
        ({"window": 1}, "settings"),
    ],
)
def test_what_speaks_above_the_hello_of_chromium(changes: dict[str, object], wanted: str) -> None:
    facts = by_http2()
    for name, value in changes.items():
        setattr(facts, name, value)
    assert found(facts) == wanted


@pytest.mark.parametrize(
    ("forms", "wanted"),
    [(PATH_ON_5, ""), (ROOT_ON_4 | PATH_ON_5, ""), (PATH_ON_4, "coding imitated"), (ROOT_INDEXED, "coding imitated")],
)
def test_how_firefox_writes_a_path(forms: int, wanted: str) -> None:
    facts = firefox()
    facts.path_forms, facts.is_wasteful, facts.first_record = forms, True, 24
    assert found(facts, FIREFOX) == wanted


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ((b"Host", b"Connection", b"User-Agent"), "http1"),
        ((b"Host", b"User-Agent", b"Connection"), "head imitated http1 connection"),
        ((b"host", b"connection", b"User-Agent"), "head imitated http1"),
        ((b"User-Agent",), "head imitated http1 host connection"),
    ],
)
def test_what_an_http1_request_of_chromium_begins_with(names: tuple[bytes, ...], wanted: str) -> None:
    headers = tuple((name, CHROME if name == b"User-Agent" else b"x") for name in names)
    assert found(connection_facts(chromium(offers=(b"http/1.1",))), headers=headers) == wanted


@pytest.mark.parametrize(
    "names",
    [
        # By a worker of the page that hands navigations on, and by speculation rules: Chromium 156, Debian.
        (
            b"sec-ch-ua-platform user-agent accept sec-ch-ua upgrade-insecure-requests sec-ch-ua-mobile sec-fetch-site "
            b"sec-fetch-mode sec-fetch-dest=empty referer accept-encoding accept-language priority"
        ),
        (
            b"upgrade-insecure-requests sec-purpose sec-speculation-tags accept sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform "
            b"sec-fetch-site sec-fetch-mode sec-fetch-dest=document referer user-agent accept-encoding accept-language priority"
        ),
    ],
    ids=["worker", "speculation"],
)
@pytest.mark.parametrize("body", [chromium(), OPENSSL], ids=["itself", "behind something that opens TLS"])
def test_navigations_that_a_browser_writes_in_another_order(names: bytes, body: bytes) -> None:
    values = {b"user-agent": CHROME, b"accept": b"text/html,*/*", b"sec-fetch-mode": b"navigate", b"sec-purpose": b"prefetch"}
    pairs = [each.partition(b"=") for each in names.split()]
    headers = tuple((name, value or values.get(name, b"x")) for name, _, value in pairs)
    assert "order" not in found(by_http2(body), headers=headers)


def test_the_order_of_a_navigation_is_a_sign_of_its_own() -> None:
    turned = (*NAVIGATION[:1], *NAVIGATION[2:], NAVIGATION[1])
    assert found(by_http2(), headers=turned) == "order"
    assert found(by_http2(), headers=tuple(each for each in turned if each[0] != b"accept")) == ""
    assert found(by_http2(), headers=(*turned, (b"content-type", b"x"))) == ""
    as_script = tuple((name, b"cors" if name == b"sec-fetch-mode" else value) for name, value in turned)
    assert found(by_http2(), headers=as_script) == ""


NAMED = ((b"Host", b"x"), (b"Connection", b"close"), (b"User-Agent", CHROME), (b"Accept", b"text/html"))


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        (NAMED, "hello http1"),
        ((*NAMED[1:], NAMED[0]), "hello http1 host"),
        ((*NAMED[1:], NAMED[0], (b"Via", b"1.1 proxy (squid/5.7)")), "hello http1"),
        ((NAMED[0], *NAMED[2:]), "hello http1 connection"),
        ((NAMED[0], *NAMED[2:], NAMED[1]), "hello http1 connection"),
        ((*NAMED[2:], NAMED[0], (b"Via", b"1.1 proxy"), NAMED[1]), "hello http1"),
        ((*NAMED, (b"Priority", b"u=0, i")), "hello http1 priority"),
        ((*NAMED[:2], NAMED[3], NAMED[2]), "hello http1 order"),
        ((NAMED[0], (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), NAMED[2]), "hello"),
        ((*NAMED, (b"Cache-Control", b"max-age=0")), "hello http1"),
    ],
)
def test_how_a_library_writes_http1_under_the_name_of_a_browser(headers: Headers, wanted: str) -> None:
    body = hello((0x1302, 0x1303, 0x1301, 0xC02C), [(10, sized(twos((29, 23, 30)))), (22, b"")])
    assert found(connection_facts(body), headers=headers) == wanted


def _cased(*names: bytes) -> Headers:
    """A navigation with its names as they are written here; values by name."""
    values = {b"user-agent": CHROME, b"accept": b"text/html"}
    return tuple((name, values.get(name.lower(), b"x")) for name in names)


@pytest.mark.parametrize(
    ("headers", "is_mixed"),
    [
        (_cased(b"Host", b"Connection", b"sec-ch-ua", b"User-Agent", b"Accept"), False),
        (_cased(b"Host", b"Connection", b"Sec-Ch-Ua", b"User-Agent", b"Accept"), False),
        (_cased(b"host", b"connection", b"sec-ch-ua", b"user-agent", b"accept"), False),
        (_cased(b"Host", b"Connection", b"sec-ch-ua", b"User-Agent", b"Accept", b"x-of-a-tool", b"DNT"), False),
        (_cased(b"host", b"connection", b"sec-ch-ua", b"User-Agent", b"Accept"), True),
        (_cased(b"Host", b"Connection", b"sec-ch-ua", b"user-agent", b"accept"), True),
        (_cased(b"HOST", b"CONNECTION", b"SEC-CH-UA", b"USER-AGENT", b"ACCEPT"), True),
        ((*_cased(b"Host", b"Connection", b"user-agent", b"accept"), (b"Sec-Fetch-Mode", b"cors")), False),
        ((*_cased(b"Host", b"Connection", b"user-agent"), (b"accept", b"*/*")), False),
        ((*_cased(b"Host", b"Connection", b"user-agent", b"accept"), (b"content-type", b"text/plain")), False),
    ],
)
def test_names_in_mixed_case_are_a_sign_in_navigations(headers: Headers, is_mixed: bool) -> None:
    """Of a script of a page, a browser writes the names over HTTP/1 as the script has them."""
    body = hello((0x1302, 0x1303, 0x1301, 0xC02C), [(10, sized(twos((29, 23, 30)))), (22, b"")])
    assert ("case" in found(connection_facts(body), headers=headers).split()) is is_mixed


def test_a_browser_for_which_the_site_has_no_http2_is_not_held_to_it() -> None:
    headers = ((b"Host", b"x"), (b"Connection", b"keep-alive"), (b"User-Agent", CHROME))
    assert found(connection_facts(chromium()), headers=headers) == ""


def test_firefox_sends_priority_over_http1_too() -> None:
    headers = ((b"Host", b"x"), (b"User-Agent", FIREFOX), (b"Connection", b"keep-alive"), (b"Priority", b"u=0, i"))
    facts = firefox()
    facts.is_http2 = False
    assert found(facts, FIREFOX, headers) == ""


def test_a_hello_that_is_older_than_the_name() -> None:
    assert found(by_http2(), CHROME.replace(b"112", b"135")) == ""
    assert found(by_http2(), CHROME.replace(b"112", b"136")) == "floor"
    newer = chromium(without=(0x4469,), more=(0x44CD,))
    assert found(by_http2(newer), CHROME.replace(b"112", b"156")) == ""


def test_a_ja4_that_a_proxy_says_knows_programs_and_never_an_imitator() -> None:
    assert found(stated_facts(b"t13d1812h1_85036bcba153_b26ce05bbdd6")) == "hello"
    assert found(stated_facts(b"t13d1516h2_8daaf6152771_e5627efa2ab1")) == ""


HOSTILE = {
    "nothing": b"",
    "cut": chromium()[:-1],
    "longer than it says": chromium() + b"x",
    "an extension twice": chromium(more=(23,)),
    "too many extensions": hello(CHROMIUM_CIPHERS, [(60000 + number, b"") for number in range(MAX_EXTENSIONS + 1)]),
    "too many ciphers": hello(range(1, MAX_VALUES + 2), ()),
    "too many groups": hello(CHROMIUM_CIPHERS, [(10, sized(twos(range(1, MAX_VALUES + 2))))]),
    "16 KB of GREASE": hello(CHROMIUM_CIPHERS, [(0x0A0A, bytes(16000))]),
    "16 KB of extensions": hello(CHROMIUM_CIPHERS, [(number, b"") for number in range(4000)]),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_hello_is_of_no_known_browser(body: bytes) -> None:
    facts = connection_facts(body)
    assert client_kind(facts) in {b"", b"unknown"}
    ja4_of(facts)
    assert found(facts, MAC) == ""


def test_every_cut_and_every_changed_byte_is_borne() -> None:
    body = chromium()
    for place in range(len(body)):
        cut = read_hello(body[:place])
        assert cut is None or not cut.extensions
        changed = bytearray(body)
        changed[place] ^= 0xFF
        facts = connection_facts(bytes(changed))
        assert client_kind(facts)
        ja4_of(facts)


def test_a_long_hello_is_not_kept() -> None:
    facts = connection_facts(hello(CHROMIUM_CIPHERS, [(21, bytes(5000))]))
    assert facts.hello == b""
    assert hello_kind(facts) == b"greasing"
    assert ja4_of(facts).startswith(b"t12i1501")
