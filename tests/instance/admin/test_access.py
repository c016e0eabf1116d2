"""Who may read and who may act by the admin port."""

from __future__ import annotations

import pytest

from proxyguard.core.admin_access import AdminAccess
from proxyguard.core.settings import Settings
from proxyguard.instance.admin.access import Access, Caller, Right

WRITE = "a-token-to-write-0123"
READ = "a-token-to-read-01234"
HERE = {"host": "localhost:9901"}

ACCESS = Access(Settings(admin_access=AdminAccess(token=WRITE, read_token=READ)))
BARE = Access(Settings())


def judge(headers: dict[str, str], *, peer: str = "127.0.0.1", version: str = "HTTP/1.1", access: Access = ACCESS) -> Caller:
    return access.judge(peer, version, headers)


@pytest.mark.parametrize("host", ["localhost", "localhost:9901", "LOCALHOST", "127.0.0.1:9901", "127.8.9.1", "[::1]:9901"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"])
def test_a_program_on_this_machine_may_read_and_nothing_more(host: str, peer: str) -> None:
    assert judge({"host": host}, peer=peer) == Caller(Right.READ)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "198.51.100.7"}, {"x-forwarded-for": ""}, {"forwarded": "for=198.51.100.7"}, {"via": "1.1 proxy"},
        {"x-real-ip": "198.51.100.7"}, {"x-forwarded-proto": "https"}, {"x-forwarded-host": "admin.example.org"},
        {"host": "admin.example.org"}, {"host": "192.0.2.1:9901"}, {"host": ""}, {"host": "localhost.evil.example"},
        {"host": "127.0.0.1.evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)  # fmt: skip
def test_what_came_through_a_proxy_or_from_another_site_needs_a_token(headers: dict[str, str]) -> None:
    assert judge({**HERE, **headers}) == Caller(Right.NOTHING)
    assert judge({**HERE, **headers, "authorization": f"Bearer {READ}"}) == Caller(Right.READ, by_token=True)


@pytest.mark.parametrize("peer", ["192.0.2.1", "10.0.0.1", "fe80::1%eth0", "", "nobody", "::", "0.0.0.0", "::ffff:192.0.2.1"])
def test_from_elsewhere_a_token_is_needed(peer: str) -> None:
    assert judge(HERE, peer=peer) == Caller(Right.NOTHING)


def test_an_old_http_is_a_proxys_and_loopback_can_be_switched_off() -> None:
    assert judge(HERE, version="HTTP/1.0") == Caller(Right.NOTHING)
    closed = Access(Settings(admin_access=AdminAccess(loopback_reads=False)))
    assert judge(HERE, access=closed) == Caller(Right.NOTHING)


@pytest.mark.parametrize(
    ("given", "right"),
    [
        (f"Bearer {WRITE}", Right.WRITE), (f"bearer  {WRITE} ", Right.WRITE), (f"BEARER {READ}", Right.READ),
    ],
)  # fmt: skip
def test_a_token_says_what_one_may(given: str, right: Right) -> None:
    assert judge({"authorization": given}, peer="192.0.2.1") == Caller(right, by_token=True)


@pytest.mark.parametrize(
    "given",
    [
        "", "Bearer", "Bearer ", f"Bearer {WRITE}x", f"Bearer {WRITE[:-1]}", f"Basic {WRITE}", WRITE, f"Bearer {WRITE} {READ}",
        f"Bearer {WRITE.upper()}", "Bearer é", f"Bearer {'x' * 5000}", f"Bearer {WRITE}\x00", f"Bearer {WRITE},Bearer {READ}",
    ],
)  # fmt: skip
def test_a_wrong_token_may_nothing_even_here(given: str) -> None:
    assert judge({**HERE, "authorization": given}) == Caller(Right.NOTHING, wrong=True)


def test_without_a_token_nobody_acts() -> None:
    for given in ("Bearer None", "Bearer ", f"Bearer {WRITE}", "Bearer \x00"):
        assert judge({**HERE, "authorization": given}, access=BARE).right is Right.NOTHING


def test_a_changed_token_holds_from_then_on() -> None:
    access = Access(Settings(admin_access=AdminAccess(token=WRITE)))
    access.configure(Settings(admin_access=AdminAccess(token=READ)))
    assert judge({"authorization": f"Bearer {WRITE}"}, access=access).wrong
    assert judge({"authorization": f"Bearer {READ}"}, access=access).right is Right.WRITE


def test_shown_settings_hold_no_token() -> None:
    assert WRITE not in repr(Settings(admin_access=AdminAccess(token=WRITE)))
