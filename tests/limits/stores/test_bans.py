"""The tables of bans and strikes: their order, their bound, their growth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxyguard.core.decision import Reject
from proxyguard.limits.stores.bans import EXPIRE_STEP, NETWORK_NOTE, BanTable, EndingTable, Strike, ban_seconds
from proxyguard.limits.stores.store import OPERATOR, BanRecord, BanTerms

NOW = 1_800_000_000.0
HOUR = BanTerms(3600.0, Reject())


def test_a_full_table_drops_the_entry_soonest_to_end() -> None:
    table: EndingTable[str] = EndingTable(3)
    for key, end in (("late", 30.0), ("soon", 10.0), ("middle", 20.0), ("new", 15.0)):
        table.put(key, key.upper(), end, 0.0)
    assert [key for key, _, _ in table.items(0.0)] == ["late", "middle", "new"]
    assert table.evictions == 1


def test_ended_entries_make_room_before_one_in_force_gives_way() -> None:
    table: EndingTable[int] = EndingTable(2)
    table.put("ended", 1, 10.0, 0.0)
    table.put("in force", 2, 30.0, 0.0)
    table.put("new", 3, 20.0, 15.0)
    assert table.evictions == 0
    assert table.get("in force", 15.0) == 2


def test_putting_a_key_again_replaces_it() -> None:
    table: EndingTable[int] = EndingTable(2)
    table.put("a", 1, 10.0, 0.0)
    table.put("a", 2, 5.0, 0.0)
    assert (len(table), table.get("a", 4.9), table.get("a", 5.0)) == (1, 2, None)


def test_ten_thousand_entries_that_end_together_are_removed_in_small_steps() -> None:
    table: EndingTable[int] = EndingTable(10_000)
    for number in range(10_000):
        table.put(str(number), number, 10.0, 0.0)
    assert table.expire(11.0) == EXPIRE_STEP
    assert len(table) == 10_000 - EXPIRE_STEP


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "remove", "expire"]), st.sampled_from("abcdefgh"), st.integers(0, 50)), max_size=80
    )
)
def test_the_table_equals_a_plain_dictionary(steps: list[tuple[str, str, int]]) -> None:
    table: EndingTable[int] = EndingTable(4)
    plain: dict[str, int] = {}
    for now, (what, key, end) in enumerate(steps):
        if what == "put":
            table.put(key, end, float(end), float(now))
            plain = {k: e for k, e in plain.items() if e > now and k != key}
            if len(plain) >= 4:
                del plain[max(plain, key=lambda k: (-plain[k], k))]
            plain[key] = end
        elif what == "remove":
            table.remove(key)
            plain.pop(key, None)
        else:
            table.expire(float(now))
        assert {k for k, _, _ in table.items(float(now))} == {k for k, e in plain.items() if e > now}
        assert len(table) <= 4


def test_escalation_that_overflows_a_float_is_the_cap() -> None:
    terms = BanTerms(60.0, Reject(), escalation=10.0, max_seconds=86_400.0)
    assert ban_seconds(terms, 1_000_000) == 86_400.0


def test_escalation_below_one_shortens() -> None:
    assert [ban_seconds(BanTerms(60.0, Reject(), escalation=0.5), n) for n in (1, 2, 3)] == [60.0, 30.0, 15.0]


def test_an_adopted_ban_replaces_the_one_in_force_and_counts_on_from_its_strikes() -> None:
    table = BanTable(10)
    table.ban("a", "here", "", HOUR, NOW)
    elsewhere = BanRecord("a", NOW, NOW + 60.0, "there", strikes=4)
    table.adopt(elsewhere, NOW + 1000.0, NOW)
    assert table.in_force(NOW) == [elsewhere]
    assert table.ban("a", "again", "", HOUR, NOW + 61.0).strikes == 5


def test_an_adopted_strike_makes_the_next_ban_longer() -> None:
    table = BanTable(10)
    table.adopt_strike(Strike("a", 2, NOW + 100.0), NOW)
    assert table.strikes(NOW) == [Strike("a", 2, NOW + 100.0)]
    assert table.ban("a", "rule", "", BanTerms(60.0, Reject(), escalation=2.0), NOW).until == NOW + 240.0


def terms(network: str, client: str = "") -> BanTerms:
    return HOUR._replace(owner=(client, network))


def test_an_operators_ban_gives_way_to_nothing() -> None:
    table = BanTable(100)
    table.ban("client:192.0.2.1", OPERATOR, "banned by an operator", BanTerms(60.0, Reject()), NOW)
    for number in range(1000):
        table.ban(f"cookie.s:{number}", "rule", "", terms(f"network:{number % 7}"), NOW)
    assert table.find("client:192.0.2.1", NOW) is not None
    assert len(table) == 101
    assert len(table.in_force(NOW)) == 101
    assert [record.until for record in table.in_force(NOW)] == sorted((r.until for r in table.in_force(NOW)), reverse=True)
    assert table.lift("client:192.0.2.1", NOW)
    table.ban("client:192.0.2.1", OPERATOR, "banned by an operator", BanTerms(60.0, Reject()), NOW)
    table.expire(NOW + 61.0)
    assert table.find("client:192.0.2.1", NOW + 61.0) is None


def test_a_client_that_has_itself_banned_pushes_out_its_own_bans_only() -> None:
    table = BanTable(1000)
    table.ban("cookie.s:victim", "rule", "", BanTerms(10.0, Reject(), owner=("", "network:a")), NOW)
    for number in range(5000):
        table.ban(f"cookie.s:{number}", "rule", "", terms("network:b"), NOW)
    assert table.find("cookie.s:victim", NOW) is not None
    assert table.find("cookie.s:4999", NOW) is not None
    assert (len(table), table.evictions) == (65, 4936)


@given(st.integers(1, 40))
def test_many_addresses_of_a_network_become_one_ban(most: int) -> None:
    table = BanTable(10_000, most)
    network = "network:2001:db8::/48"
    keys = []
    for number in range(60):
        client = f"client:2001:db8:0:{number:x}::/64"
        keys.append(table.ban(client, "rule", "", terms(network, client), NOW).key)
    assert keys[:most] == [f"client:2001:db8:0:{number:x}::/64" for number in range(most)]
    assert set(keys[most:]) <= {network}
    assert len(table) == min(60, most + 1)
    ban = table.find(network, NOW)
    assert ban is not None
    assert ban.note == NETWORK_NOTE
    other = "client:2001:db8:1::/64"
    assert table.ban(other, "rule", "", terms("network:2001:db8:1::/48", other), NOW).key == other


def test_bans_that_are_over_do_not_make_a_network_one() -> None:
    table = BanTable(10_000, 2)
    for number in range(50):
        client = f"client:{number}"
        assert table.ban(client, "rule", "", terms("network:a", client), NOW + 3601.0 * number).key == client
