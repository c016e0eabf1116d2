"""Keys of counters and bans: short, readable where they may be, never a secret, never two clients in one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyguard.core.address import Prefixes
from proxyguard.core.key_values import canonical_value
from proxyguard.core.request import Request
from proxyguard.limits.charge import ITEM_MARK
from proxyguard.limits.limit import Ambiguous, Count, CountKind, KeyKind, KeyPart, Limit, Missing, Window
from proxyguard.policy.compile.keys import AMBIGUOUS, MAX_CANDIDATES, MAX_CLIENTS, MAX_SLOTS, KeyMaker, rule_identity
from proxyguard.policy.model import Field, FieldKind
from tests.build import CLIENT, limit, request

KEYS = KeyMaker(b"secret", Prefixes())
API_KEY = KeyPart(KeyKind.HEADER, "x-api-key")
SESSION = KeyPart(KeyKind.COOKIE, "session")
HASH = "[0-9a-f]{16}"


def key(counted: Limit, asked: Request, maker: KeyMaker = KEYS) -> str | None:
    full = maker.limit_key("set-a", "flood", counted, shadow=False).of(asked)
    if full is None:
        return None
    identity, _, parts = full.partition("|")
    assert identity == rule_identity("set-a", "flood", counted, shadow=False)
    return parts


@pytest.mark.parametrize(
    ("part", "asked", "shown"),
    [
        (CLIENT, request(client="::ffff:192.0.2.1"), "192.0.2.1"),
        (CLIENT, request(client="2001:db8:1:2:3::4"), "2001:db8:1:2::/64"),
        (KeyPart(KeyKind.NETWORK), request(), "192.0.2.0/24"),
        (KeyPart(KeyKind.NETWORK), request(client="2001:db8:1:2::4"), "2001:db8:1::/48"),
        (KeyPart(KeyKind.HOST), request(), "example.org"),
        (KeyPart(KeyKind.PATH), request("/a/b.html?secret=1"), "/a/b.html"),
        (KeyPart(KeyKind.PATH), request("/"), "/"),
        (KeyPart(KeyKind.SITE), request(), "*"),
    ],
)
def test_what_is_short_and_public_stands_in_the_key(part: KeyPart, asked: Request, shown: str) -> None:
    assert key(limit(1, part), asked) == shown


@pytest.mark.parametrize(
    ("part", "asked"),
    [
        (KeyPart(KeyKind.USER_AGENT), request(user_agent="curl/8")),
        (KeyPart(KeyKind.USER_AGENT), request(user_agent="")),
        (API_KEY, request(headers=(("X-Api-Key", "open sesame"),))),
        (SESSION, request(headers=(("Cookie", "session=open"),))),
        (KeyPart(KeyKind.QUERY, "q"), request("/search?q=open")),
    ],
)
def test_what_a_client_sent_is_a_hash(part: KeyPart, asked: Request) -> None:
    shown = key(limit(1, part), asked)
    assert shown is not None
    assert len(shown) == 16
    assert shown == key(limit(1, part), asked, KeyMaker(b"secret", Prefixes()))
    assert shown != key(limit(1, part), asked, KeyMaker(b"other", Prefixes()))


@pytest.mark.parametrize("target", ["/" + "a" * 64, "/a|b", "/a%20b", "/é", "/a+b"])
def test_long_or_odd_paths_are_hashes_too(target: str) -> None:
    shown = key(limit(1, KeyPart(KeyKind.PATH)), request(target))
    assert shown is not None
    assert shown.startswith("#")
    assert len(shown) == 17


def test_a_missing_part_is_shared_separate_or_skipped() -> None:
    lacking = request()
    assert key(limit(1, API_KEY, missing=Missing.SHARED), lacking) == "-"
    assert key(limit(1, API_KEY, missing=Missing.SEPARATE), lacking) == "@192.0.2.1"
    assert key(limit(1, API_KEY, missing=Missing.SKIP), lacking) is None
    assert key(limit(1, API_KEY, missing=Missing.SKIP), request(headers=(("X-Api-Key", ""),))) is not None


def test_a_key_names_its_rule_and_changes_with_rule_set_limit_and_mode() -> None:
    base = rule_identity("set-a", "flood", limit(5), shadow=False)
    assert base.startswith("flood~")
    assert base == rule_identity("set-a", "flood", limit(5), shadow=False)
    others = {
        rule_identity("set-b", "flood", limit(5), shadow=False),
        rule_identity("set-a", "food", limit(5), shadow=False),
        rule_identity("set-a", "flood", limit(6), shadow=False),
        rule_identity("set-a", "flood", limit(5, API_KEY), shadow=False),
        rule_identity("set-a", "flood", limit(5, missing=Missing.SKIP), shadow=False),
        rule_identity("set-a", "flood", limit(5), shadow=True),
    }
    assert len(others | {base}) == 7


def test_ban_keys_can_be_read_by_an_operator() -> None:
    asked = request("/login", client="2001:db8::1", headers=(("X-Api-Key", "open sesame"),))
    network = KeyPart(KeyKind.NETWORK)
    path = KeyPart(KeyKind.PATH)
    assert KEYS.own_ban_keys(asked)[0] == "client:2001:db8::/64"
    assert KEYS.ban_key((CLIENT,))(asked) == "client:2001:db8::/64"
    assert KEYS.ban_key((network,))(asked) == "network:2001:db8::/48"
    assert KEYS.ban_key((CLIENT, path))(asked) == "client:2001:db8::/64+path:/login"
    name, _, hashed = KEYS.ban_key((API_KEY,))(asked).partition(":")
    assert (name, len(hashed)) == ("header.x-api-key", 16)


def test_a_request_without_the_banned_part_is_banned_by_its_address() -> None:
    assert KEYS.ban_key((API_KEY,))(request()) == "client:192.0.2.1"


def test_prefixes_are_settings() -> None:
    wide = KeyMaker(b"secret", Prefixes(client_v4=24, client_v6=56))
    assert key(limit(1, CLIENT), request(), wide) == "192.0.2.0/24"
    assert wide.own_ban_keys(request(client="2001:db8:0:1ff::1"))[0] == "client:2001:db8:0:100::/56"


def test_a_number_in_a_path_counts_once_however_it_is_spelt() -> None:
    for kind, name in ((KeyKind.PATH, ""), ("path_segment", "2"), ("loose_path", "")):
        key = KEYS.ban_key((KeyPart(kind, name),))
        assert len({key(request(target)) for target in ("/users/7", "/users/007", "/users/%2B7", "/users/7%20")}) == 1
        assert key(request("/users/70")) != key(request("/users/7"))


paths = st.text("ab|/-#@*", min_size=0, max_size=6).map(lambda rest: f"/{rest}")
values = st.text("ab|-#@", max_size=4)


@given(paths, values, paths, values)
def test_two_requests_share_a_key_only_when_every_part_is_equal(path: str, value: str, other: str, odd: str) -> None:
    counted = limit(1, KeyPart(KeyKind.PATH), API_KEY, KeyPart(KeyKind.HOST))
    first = request(path, headers=(("X-Api-Key", value),))
    second = request(other, headers=(("X-Api-Key", odd),))
    same = (first.path, canonical_value(value.encode())) == (second.path, canonical_value(odd.encode()))
    assert (key(counted, first) == key(counted, second)) is same


NOT_FOUND = Count(CountKind.STATUSES, statuses=((404, 404),))
DAILY = replace(limit(1, CLIENT), window=Window.CALENDAR)
CHANGED = [
    replace(limit(1, CLIENT), count=Count(CountKind.BYTES)),
    replace(limit(1, CLIENT), count=NOT_FOUND),
    replace(limit(1, CLIENT), count=replace(NOT_FOUND, statuses=((401, 401),))),
    replace(limit(1, CLIENT), count=Count(CountKind.DISTINCT, of=KeyPart(KeyKind.PATH))),
    replace(limit(1, CLIENT), count=Count(CountKind.DISTINCT, of=KeyPart(KeyKind.HOST))),
    DAILY,
    replace(DAILY, time_zone="Europe/Berlin"),
]


def test_a_limit_that_counts_something_else_or_forgets_otherwise_has_other_counters() -> None:
    identities = [rule_identity("set", "rule", each, shadow=False) for each in (limit(1, CLIENT), *CHANGED)]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize(
    ("missing", "without"), [(Missing.SHARED, "192.0.2.1"), (Missing.SEPARATE, "192.0.2.1"), (Missing.SKIP, None)]
)
def test_a_distinct_value_follows_its_counter_as_eight_bytes(missing: Missing, without: str | None) -> None:
    words = Count(CountKind.DISTINCT, of=KeyPart(KeyKind.QUERY, "q"))
    counted = replace(limit(1, CLIENT, missing=missing), count=words)
    shown = [key(counted, request(target)) for target in ("/?q=a", "/x?q=a", "/?q=b", "/?q=a&q=b")]
    parts = [each.partition(ITEM_MARK) for each in shown if each is not None]
    assert [each[0] for each in parts] == ["192.0.2.1"] * 4
    assert [len(bytes.fromhex(each[2])) for each in parts] == [8] * 4
    assert shown[0] == shown[1]
    assert len(set(shown)) == 3
    lacking = key(counted, request("/"))
    assert (None if lacking is None else lacking.partition(ITEM_MARK)[0]) == without
    assert lacking not in shown


def cookies(text: str) -> Request:
    return request(headers=(("Cookie", text),))


@pytest.mark.parametrize("missing", list(Missing))
@pytest.mark.parametrize("text", ["session=a; session=b", "session=j:1", "; ".join(f"c{n}=1" for n in range(400))])
def test_an_ambiguous_part_is_counted_by_the_client_and_never_not_at_all(text: str, missing: Missing) -> None:
    counted = limit(1, SESSION, missing=missing)
    assert key(counted, cookies(text)) == "@192.0.2.1"
    strict = replace(counted, ambiguous=Ambiguous.REJECT)
    assert KEYS.limit_key("set-a", "flood", strict, shadow=False).of(cookies(text)) == AMBIGUOUS


def test_a_doubtful_account_is_counted_by_the_client() -> None:
    asked = request()
    asked.is_session_unclear = True
    assert key(limit(1, KeyPart(KeyKind.ACCOUNT), missing=Missing.SKIP), asked) == "@192.0.2.1"


def test_an_ambiguous_request_is_looked_for_by_each_of_its_values_and_banned_by_its_client() -> None:
    banned = KEYS.ban_key((SESSION,))(cookies("session=abc"))
    assert banned.startswith("cookie.session:")
    for text in (
        "session=abc; session=n",
        "session=n; session=ABC",
        "session=abc",
        "; ".join(f"session={n}" for n in (*range(40), "abc")),
        "; ".join((*(f"Session={n}" for n in range(40)), "session=abc", *(f"SESSION={n}" for n in range(40, 80)))),
        "session=abc; session=j:1",
        "session=abc; session=%00",
        "; ".join((*(f"a{n}=1" for n in range(301)), "session=abc")),
    ):
        assert banned in KEYS.looked_up((SESSION,))(cookies(text))
    twice = cookies("session=abc; session=n")
    assert KEYS.ban_key((SESSION,))(twice) == "client:192.0.2.1"
    both = set(KEYS.looked_up((CLIENT, SESSION))(twice))
    assert KEYS.ban_key((CLIENT, SESSION))(cookies("session=abc")) in both
    assert len(set(KEYS.looked_up((SESSION,))(cookies("; ".join(f"session={n}" for n in range(200)))))) <= MAX_CANDIDATES + 1


@pytest.mark.parametrize("text", ["session=abc; session=n", "session=n; session=abc", "session=abc; session=j:1", "session=abc"])
def test_a_ban_of_an_account_is_looked_for_by_its_session_whatever_is_known_of_that(text: str) -> None:
    by_account = (KeyPart(KeyKind.ACCOUNT),)
    session = Field(FieldKind.COOKIE, "session")
    known = cookies("session=abc")
    known.account_key = KEYS.session_key(session).of(known)
    asked = cookies(text)
    asked.is_session_unclear = text != "session=abc"
    assert KEYS.ban_key(by_account)(known) in KEYS.looked_up(by_account, session)(asked)
    assert KEYS.ban_key(by_account)(asked) == "client:192.0.2.1"
    assert list(KEYS.looked_up(by_account, session)(request())) == ["client:192.0.2.1"]


def test_of_two_ambiguous_parts_all_first_and_last_values_are_looked_for_together() -> None:
    device = KeyPart(KeyKind.COOKIE, "device")
    banned = KEYS.ban_key((SESSION, device))(cookies("session=abc; device=x"))
    junk = [f"{name}={n}" for name in ("session", "device") for n in range(100)]
    for text in (["session=abc", "device=x", *junk], [*junk, "session=abc", "device=x"], ["session=abc", *junk, "device=x"]):
        found = list(KEYS.looked_up((SESSION, device))(cookies("; ".join(text))))
        assert banned in found
        assert len(found) <= MAX_CANDIDATES + 1


def test_an_ambiguous_value_is_a_new_one_where_values_are_counted() -> None:
    counted = replace(limit(1, CLIENT), count=Count(CountKind.DISTINCT, of=KeyPart(KeyKind.QUERY, "id")))
    shown = {key(counted, request(f"/?id=1&id={number}")) for number in range(2, 12)}
    assert len(shown) == 10


def test_a_client_is_remembered_until_there_are_too_many() -> None:
    maker = KeyMaker(b"secret", Prefixes())
    known = maker.known(request(client="192.0.2.1"))
    assert known.owner == ("client:192.0.2.1", "network:192.0.2.0/24")
    for number in range(MAX_CLIENTS - 1):
        maker.known(request(client=f"10.0.{number >> 8}.{number & 255}"))
    assert maker.known(request(client="192.0.2.1")) is known
    maker.known(request(client="10.1.0.0"))
    assert maker.known(request(client="192.0.2.1")) is not known


def test_only_limits_by_client_or_network_are_remembered_with_it_and_only_so_many() -> None:
    maker = KeyMaker(b"secret", Prefixes())
    network, path = KeyPart(KeyKind.NETWORK), KeyPart(KeyKind.PATH)
    distinct = replace(limit(1, CLIENT), count=Count(CountKind.DISTINCT, of=path))
    limits = [limit(1, CLIENT), limit(1, path), limit(1, network), limit(1, CLIENT, path), limit(1, CLIENT, network), distinct]
    keys = [maker.limit_key("set-a", "flood", each, shadow=False) for each in limits]
    assert [each.slot for each in keys] == [0, -1, 1, -1, 2, -1]
    more = [maker.limit_key("set-a", "flood", limit(1, CLIENT), shadow=False).slot for _ in range(MAX_SLOTS)]
    assert more == [*range(3, MAX_SLOTS), -1, -1, -1]
