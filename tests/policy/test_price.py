"""What 1,000 rarely read items take is read off the rules in force."""

from __future__ import annotations

from pathlib import Path

from proxyguard.policy.compile.compile import compile_policy
from proxyguard.policy.load import load_policy
from proxyguard.policy.price import ELSEWHERE, HOMES, Price, prices

RULES = """
name: priced
items:
  people: {path: /people/*, id: path_segment.2}
rules:
  - name: by-jar
    when: {heat: cold, jar: fresh}
    limit: {rate: 60/day, window: calendar, per: [jar]}
    action: reject
  - name: by-address
    when: {heat: cold}
    limit: {rate: 150/day, burst: 50, per: [client]}
    action: reject
  - name: in-shadow
    when: {heat: cold}
    limit: {rate: 1/day, per: [client]}
    action: reject
    mode: shadow
  - name: by-address-and-path
    when: {heat: cold}
    limit: {rate: 1/day, per: [client, path]}
    action: reject
  - name: of-all
    when: {heat: cold, jar: none}
    limit: {rate: 10/hour, per: [site]}
    action: reject
"""

AT_HOME = """
  - name: at-home
    when: {heat: cold, network_kind: residential}
    limit: {rate: 100/day, window: calendar, per: [client]}
    action: reject
"""


def priced(folder: Path, text: str) -> tuple[Price, ...]:
    (folder / "10-rules.yaml").write_text(text)
    policy = load_policy(folder).policy
    assert policy is not None
    return prices(compile_policy(policy, secret=b"x"), 1_800_000_000.0)


def test_the_tightest_limit_of_each_kind_in_force_decides(tmp_path: Path) -> None:
    assert priced(tmp_path, RULES) == (
        Price(ELSEWHERE, with_cookies=True, needed={"jars": 17, "addresses": 5}, of_site=None),
        Price(ELSEWHERE, with_cookies=False, needed={"addresses": 5}, of_site=250),
    )


def test_homes_are_priced_apart_where_rules_tell_them_apart(tmp_path: Path) -> None:
    found = {(each.networks, each.with_cookies): each.needed.get("addresses") for each in priced(tmp_path, RULES + AT_HOME)}
    assert found[HOMES, True] == 10
    assert found[ELSEWHERE, True] == 5


def test_a_site_without_limits_costs_nothing(tmp_path: Path) -> None:
    text = RULES.partition("rules:")[0] + "rules: [{name: a, when: {path: /a}, action: reject}]\n"
    assert [each.needed for each in priced(tmp_path, text)] == [{}, {}]


def test_without_items_there_is_no_price(tmp_path: Path) -> None:
    assert priced(tmp_path, "name: none\nrules: [{name: a, when: {path: /a}, action: reject}]\n") == ()
