"""The cookie jar: who is told apart by it, what forges it, and what its tables hold."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from random import Random

import pytest

from proxyguard.core.address import Address, Prefixes
from proxyguard.core.jar import Jar
from proxyguard.core.jar_settings import JarCookie
from proxyguard.core.request import Request
from proxyguard.guard import jars as module
from proxyguard.guard.jars import BOUNDS, JarBounds, Jars
from proxyguard.guard.signed_cookie import named_cookies
from proxyguard.limits.recent import TURNS

DAY = 86_400.0
NOW = 1_800_000_000.0


def made(secret: bytes = b"secret", ahead: float = 0.0, bounds: JarBounds = BOUNDS) -> Jars:
    return Jars(JarCookie(), secret, Prefixes(), lambda now: NOW + now + ahead, bounds)


def asked(
    cookie: bytes = b"", *, host: bytes = b"a.example", client: str = "192.0.2.1", target: bytes = b"/p/1", agent: bytes = b"x"
) -> Request:
    headers = ((b"Host", host), (b"User-Agent", agent), *(((b"Cookie", cookie),) if cookie else ()))
    return Request(Address.parse(client), b"GET", b"https", host, target, headers)


def value(jars: Jars, request: Request, now: float = 0.0) -> bytes:
    request.jar = jars.read(request, now)
    [(name, text)] = jars.cookie(request, now)
    assert name == b"Set-Cookie"
    assert text.endswith(b"; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure")
    return text.partition(b";")[0]


def state(jars: Jars, cookie: bytes, now: float = 0.0, host: bytes = b"a.example") -> tuple[bytes, ...]:
    return jars.read(asked(cookie, host=host), now).states


def test_a_jar_that_comes_back_is_fresh_and_then_old() -> None:
    jars = made()
    cookie = value(jars, asked())
    assert state(jars, cookie) == (b"fresh",)
    assert state(jars, cookie, DAY - 1) == (b"fresh",)
    assert state(jars, cookie, DAY) == (b"old",)
    assert state(jars, cookie, 30 * DAY) == (b"old",)
    assert state(jars, cookie, 30 * DAY + 1) == (b"none",)


def test_each_jar_has_a_name_of_its_own_and_keeps_it() -> None:
    jars = made()
    one, other = value(jars, asked()), value(jars, asked())
    assert one != other
    names = [jars.read(asked(each), now).name for each in (one, other) for now in (0.0, DAY)]
    assert names[0] == names[1] != names[2] == names[3]


def test_who_has_a_jar_is_given_no_other() -> None:
    jars = made()
    request = asked(value(jars, asked()))
    request.jar = jars.read(request, 0.0)
    assert jars.cookie(request, 0.0) == ()


def test_instances_with_one_secret_read_each_other_and_no_others() -> None:
    cookie = value(made(), asked())
    assert state(made(), cookie) == (b"fresh",)
    assert state(made(b"another"), cookie) == (b"none",)


@pytest.mark.parametrize("at", range(30))
def test_no_byte_of_it_can_be_changed(at: int) -> None:
    jars = made()
    name, _, text = value(jars, asked()).partition(b"=")
    raw = bytearray(urlsafe_b64decode(text))
    raw[at] ^= 1
    assert state(jars, name + b"=" + urlsafe_b64encode(raw)) == (b"none",)


def test_a_jar_of_another_host_or_of_the_future_is_none() -> None:
    jars = made()
    cookie = value(jars, asked())
    assert state(jars, cookie, host=b"b.example") == (b"none",)
    early = value(made(ahead=3600.0), asked())
    assert state(jars, early) == (b"none",)
    assert state(jars, value(made(ahead=60.0), asked())) == (b"fresh",)


@pytest.mark.parametrize("text", [b"", b"x", b"=" * 40, b"\xff" * 40, b"A" * 40, b"A" * 4000, b'"' + b"A" * 38 + b'"'])
def test_junk_is_no_jar(text: bytes) -> None:
    assert state(made(), b"pg-jar=" + text) == (b"none",)


def test_beside_junk_of_the_same_name_it_counts() -> None:
    jars = made()
    cookie = value(jars, asked())
    assert state(jars, b"pg-jar=junk; " + cookie) == (b"fresh",)
    assert state(jars, b"pg-jar=1; pg-jar=2; " + cookie) == (b"none",)


def test_an_asset_makes_a_fresh_jar_proven_and_the_next_cookie_says_so() -> None:
    jars = made()
    request = asked(value(jars, asked()))
    jars.saw_asset(jars.read(request, 1.0), 1.0)
    request.jar = jars.read(request, 2.0)
    assert request.jar.states == (b"proven",)
    [(_, text)] = jars.cookie(request, 2.0)
    assert state(jars, text.partition(b";")[0], 5000.0) == (b"proven",)
    assert state(made(), text.partition(b";")[0], 5000.0) == (b"proven",)
    arrived = asked(text.partition(b";")[0])
    arrived.jar = jars.read(arrived, 3.0)
    assert jars.cookie(arrived, 3.0) == ()


def test_a_cookie_that_did_not_arrive_is_written_again() -> None:
    """Such as one that was left out of a page which shared caches may keep: the browser asks for no asset twice."""
    jars = made()
    request = asked(value(jars, asked()))
    jars.saw_asset(jars.read(request, 1.0), 1.0)
    for now in (2.0, 3.0):
        request.jar = jars.read(request, now)
        assert request.jar.states == (b"proven",)
        [(_, text)] = jars.cookie(request, now)
    arrived = asked(text.partition(b";")[0])
    arrived.jar = jars.read(arrived, 4.0)
    assert jars.cookie(arrived, 4.0) == ()


@pytest.mark.parametrize(
    "names", [("regular-192.0.2.1-a", "regular-192.0.2.1-b"), ("a", "b"), ("0123456789abcdef00", "0123456789abcdee00")]
)
def test_names_that_a_test_of_rules_gave_are_told_apart(names: tuple[str, str]) -> None:
    jars = made()
    for name in names:
        request = asked()
        request.jar = Jar(name, (b"fresh",))
        assert jars.cookie(request, 0.0) == ()
    jars.saw_asset(Jar(names[0], (b"fresh",)), 0.0)
    assert len(jars) == 1
    assert [jars._assets.has(module._number(name), 0.0) for name in names] == [True, False]


def test_an_asset_that_no_page_follows_is_forgotten() -> None:
    jars = made()
    cookie = value(jars, asked())
    jars.saw_asset(jars.read(asked(cookie), 0.0), 0.0)
    assert state(jars, cookie, module.ASSET_SECONDS * 4 / 3 + 1) == (b"fresh",)


def test_who_was_sent_for_a_jar_and_comes_without_is_asked_once() -> None:
    jars = made()
    assert jars.read(asked(), 0.0).states == (b"none",)
    assert jars.ask(asked(), 0.0)
    assert jars.read(asked(), module.FOLLOW_SECONDS + 1).states == (b"none", b"asked")
    assert jars.read(asked(target=b"/p/2"), 1.0).states == (b"none",)
    assert jars.read(asked(client="192.0.2.2"), 1.0).states == (b"none",)
    assert jars.read(asked(), module.ASKED_SECONDS + 1).states == (b"none",)


def test_who_comes_back_at_once_follows_redirects_and_is_known_for_it_a_while() -> None:
    jars = made()
    assert jars.ask(asked(), 0.0)
    assert jars.read(asked(), module.FOLLOW_SECONDS).states == (b"none", b"asked", b"followed")
    for at in range(1, module.MOST_ASKED):  # the next ones may be slow, as on a train
        assert jars.read(asked(target=b"/%d" % at), 60.0 * at).states == (b"none",)
        assert jars.ask(asked(target=b"/%d" % at), 60.0 * at)
        assert jars.read(asked(target=b"/%d" % at), 60.0 * at + 20).states == (b"none", b"asked", b"followed")
    assert jars.read(asked(target=b"/other"), 300.0).states == (b"none", b"asked", b"followed")
    later = 300.0 + module.ASKED_SECONDS
    assert jars.ask(asked(), later)
    assert jars.read(asked(), later + module.FOLLOW_SECONDS + 1).states == (b"none", b"asked")


def test_another_page_at_once_is_no_redirect_that_was_followed() -> None:
    jars = made()
    for at in range(module.MOST_ASKED):
        assert jars.ask(asked(target=b"/%d" % at), 0.0)
    assert jars.read(asked(target=b"/other"), 0.5).states == (b"none", b"asked")


def test_one_network_fills_only_its_share_and_goes_on_unasked() -> None:
    jars = made(bounds=JarBounds(asked=10, asked_share=3))
    assert [jars.ask(asked(client=f"192.0.2.{at}"), 0.0) for at in range(4)] == [True, True, True, False]
    assert jars.read(asked(client="192.0.2.99"), 0.0).states == (b"none", b"asked")
    assert jars.ask(asked(client="198.51.100.1"), 0.0)
    later = module.ASKED_SECONDS + 1
    assert jars.ask(asked(client="192.0.2.5"), later)
    assert jars.read(asked(client="192.0.2.99"), later).states == (b"none",)
    assert len(jars) == 1


def test_clients_of_very_many_networks_are_remembered_in_parts_each_within_its_bound() -> None:
    jars = made(bounds=JarBounds(asked=1_600, asked_share=100))
    clients = [f"10.{at // 250}.{at % 250}.1" for at in range(4_000)]
    for client in clients:
        assert jars.ask(asked(client=client), 0.0)
    assert len(jars) == 1_600
    jars.ask(asked(client="10.0.0.1", target=b"/x"), 1.0)
    assert jars.read(asked(client="10.0.0.1", target=b"/x"), 1.0).states == (b"none", b"asked", b"followed")


def test_no_network_alone_makes_clients_of_another_one_be_forgotten() -> None:
    """Whoever is forgotten is sent again, and again."""
    jars = made()
    assert jars.ask(asked(client="198.51.100.1"), 0.0)
    part = jars._shard(asked(client="198.51.100.1").client.network_key(Prefixes()))
    networks = (f"10.{each >> 8}.{each & 255}" for each in range(10_000))
    other = next(each for each in networks if jars._shard(asked(client=f"{each}.1").client.network_key(Prefixes())) is part)
    for at in range(2 * BOUNDS.asked_share):
        jars.ask(asked(client=f"{other}.{at & 255}", agent=b"tool/%d" % at), 1.0)
    assert len(part.clients) == BOUNDS.asked_share + 1
    assert jars.read(asked(client="198.51.100.1"), 1.0).states == (b"none", b"asked", b"followed")


def test_a_network_that_had_its_share_is_asked_again_later_whoever_else_comes() -> None:
    jars = made(bounds=JarBounds(asked_share=3))
    for at in range(3):
        assert jars.ask(asked(client=f"192.0.2.{at}"), float(at))
    later = module.ASKED_SECONDS
    assert jars.read(asked(client="192.0.2.99"), later - 1).states == (b"none", b"asked")
    assert jars.read(asked(client="192.0.2.99"), later).states == (b"none",)
    assert len(jars) == 2


def test_a_client_that_never_keeps_a_cookie_is_sent_for_a_few_pages_only() -> None:
    jars = made()
    for at in range(module.MOST_ASKED):
        assert jars.read(asked(target=b"/%d" % at), 0.0).states == (b"none",)
        assert jars.ask(asked(target=b"/%d" % at), 0.0)
    assert jars.read(asked(target=b"/other"), 0.0).states == (b"none", b"asked")


def test_tables_are_bounded() -> None:
    jars = made(bounds=JarBounds(asked=10, assets=10, kept=10))
    for at in range(100):
        request = asked(value(jars, asked()))
        assert jars.ask(asked(client=f"10.{at}.0.1"), 0.0)
        jars.saw_asset(jars.read(request, 0.0), 0.0)
    assert len(jars) <= 10 + (TURNS + 1) * 10


@pytest.mark.parametrize("around", [b"%b", b"a=1; %b; b=2", b"a=1;%b", b"a=1;\t %b ;b=2", b'a="x;%b', b"xpg-jar=1; %b"])
def test_it_is_found_where_any_cookie_is(around: bytes) -> None:
    jars = made()
    assert state(jars, around % value(jars, asked())) == (b"fresh",)


@pytest.mark.parametrize("around", [b"a=%b", b"x%b", b"a=1 %b", b"a=1,%b"])
def test_it_is_not_found_inside_of_others(around: bytes) -> None:
    jars = made()
    assert state(jars, around % value(jars, asked())) == (b"none",)


def test_a_client_that_is_in_several_client_networks_is_known_in_each_and_forgotten_once() -> None:
    prefixes = Prefixes(client_v4=16, network_v4=24)
    jars = Jars(JarCookie(), b"secret", prefixes, lambda now: NOW + now)
    for at, client in enumerate(("192.0.2.1", "192.0.3.1", "192.0.2.1")):
        assert jars.ask(asked(client=client), float(at))
    assert jars.read(asked(client="192.0.4.1"), 3.0).states == (b"none", b"asked", b"followed")
    assert jars.ask(asked(client="198.51.100.1"), 10_000.0)  # the others are over: they are taken out where they were counted in
    assert len(jars) == 1
    assert jars.read(asked(client="192.0.4.1"), 10_000.0).states == (b"none",)


def test_the_cookies_of_a_name_are_those_that_a_request_has() -> None:
    random = Random(4)
    pieces = [b"pg=", b"p", b"g", b"=", b";", b" ", b"\t", b'"', b"x", b"!", b"\r"]
    for _ in range(20_000):
        lines = tuple(b"".join(random.choices(pieces, k=random.randrange(1, 14))) for _ in range(random.randrange(1, 3)))
        assert named_cookies(lines, b"pg=") == list(asked_with(lines).cookies.get(b"pg", ())), lines


def asked_with(lines: tuple[bytes, ...]) -> Request:
    return Request(Address.parse("192.0.2.1"), b"GET", b"https", b"a", b"/", tuple((b"Cookie", line) for line in lines))
