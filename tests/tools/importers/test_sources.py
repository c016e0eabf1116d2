"""Crawler lists, fail2ban and Anubis: what each line becomes, and what is said of those that become nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxyguard.core.problems import Report
from proxyguard.core.yaml.nodes import read_yaml
from proxyguard.tools.importers.anubis_terms import condition_of, score_of
from proxyguard.tools.importers.draft import ImportFault, NotCarried
from tests.tools.importers.reading import draft_of, notes_of, rules_of


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "it is not JSON"),
        ("[]", "it is not a list of crawlers"),
        ('{"A": 1}', "it is not a list of crawlers"),
        ("[" * 100_000, "it is not JSON"),
    ],
)
def test_json_that_is_no_list_of_crawlers_is_refused(text: str, said: str) -> None:
    with pytest.raises(ImportFault, match=said):
        draft_of("ai-robots", text)


def test_crawlers_whose_function_nobody_shares_are_one_rule() -> None:
    found = {f"Bot{number}": {"function": f"Purpose {number}"} for number in range(5)} | {
        "Aone": {"function": "Train"},
        "Atwo": {"function": "train"},
    }
    draft = draft_of("ai-robots", json.dumps(found))
    assert {name: len(entries) for name, entries in draft.lists.items()} == {"train": 2, "other-purposes": 5}


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("192.0.2.1 192.0.2.2\n", ["192.0.2.1", "192.0.2.2"]),
        ("192.0.2.9\n192.0.2.10\n2001:db8::1\n", ["192.0.2.9", "192.0.2.10", "2001:db8::1"]),
        ("192.0.2.77/24\n", ["192.0.2.0/24"]),
        ("[{'a': ['192.0.2.1']}, {'b': []}]", ["192.0.2.1"]),
        ("`- Banned IP list:\t192.0.2.1 192.0.2.1", ["192.0.2.1"]),
        ("2001:DB8:0:0::1", ["2001:db8::1"]),
    ],
)
def test_addresses_are_read_from_what_fail2ban_prints(text: str, addresses: list[str]) -> None:
    assert draft_of("fail2ban", text).lists["banned"] == addresses


@pytest.mark.parametrize("text", ["", "no address here\n", "Status for the jail: a\n`- Actions\n   `- Banned IP list:\t\n"])
def test_a_jail_without_addresses_is_refused(text: str) -> None:
    with pytest.raises(ImportFault, match="there is no address in this file"):
        draft_of("fail2ban", text)


def expression(text: str) -> dict[str, Any] | None:
    node = read_yaml(json.dumps(text), Report(""))
    assert node is not None
    return condition_of(node)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ('userAgent == "x"', {"user_agent": "x"}),
        ('userAgent == ""', {"user_agent": ["absent", ""]}),
        ("path != '/a'", {"not": {"path": "/a"}}),
        ('path.startsWith("/a") && method == "POST"', {"path": {"prefix": "/a"}, "method": "POST"}),
        ('"go-get" in query', {"query.go-get": "present"}),
        ('query["go-get"] == "1"', {"query.go-get": "1"}),
        ('missingHeader(headers, "Accept")', {"header.accept": "absent"}),
        ('remoteAddress == "192.0.2.1"', {"client": "192.0.2.1"}),
        ('remoteAddress.startsWith("10.")', {"client": "10.0.0.0/8"}),
        ('userAgent in ["a", "b"]', {"user_agent": ["a", "b"]}),
        ('userAgent.contains("a") == false', {"not": {"user_agent": {"contains": "a"}}}),
        ('!userAgent.contains("a") || false', {"not": {"user_agent": {"contains": "a"}}}),
        ('"true"', {}),
        ('"X-Y" in headers || !("Z" in headers)', {"any": [{"header.x-y": "present"}, {"not": {"header.z": "present"}}]}),
        ('headers["Accept"].contains("html")', {"header.accept": {"contains": "html"}}),
        (r'userAgent.matches("bot\\d")', {"user_agent": {"regex": r"bot\d"}}),
        ('a == "x" || b', None), ('userAgent == "x" &&', None), ('(userAgent == "x"', None), ("", None), ("size(path) > 1", None),
        ("!" * 100 + '"X" in headers', None),
    ],
)  # fmt: skip
def test_the_simplest_expressions_become_conditions_and_others_are_refused(text: str, condition: dict[str, Any] | None) -> None:
    if condition is None:
        with pytest.raises(NotCarried):
            expression(text)
    else:
        assert expression(text) == condition


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("weight >= 20", {"at_least": "20"}),
        ("weight > 5 && weight < 9", {"at_least": "5.001", "at_most": "8.999"}),
        ("weight == 3", {"at_least": "3", "at_most": "3"}),
    ],
)
def test_thresholds_become_conditions_on_the_score(text: str, bounds: dict[str, str]) -> None:
    node = read_yaml(json.dumps(text), Report(""))
    assert node is not None
    assert score_of(node) == {"score": bounds}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bots: 3", "it has no bots:"),
        ("x: [", "line 1: the file ends here"),
        ("{}", "it has no bots:"),
        ("just text", "it has no bots:"),
    ],
)
def test_a_file_that_is_no_policy_is_refused(text: str, said: str) -> None:
    with pytest.raises(ImportFault, match=said):
        draft_of("anubis", text)


def test_a_file_that_others_import_is_a_list_of_bots() -> None:
    draft = draft_of(
        "anubis", "- {name: A B, user_agent_regex: CopyBot, action: DENY}\n- {name: A-B, path_regex: ^/x, action: DENY}"
    )
    assert [rule.name for rule in draft.rules] == ["x-a-b", "x-a-b-2"]


def test_a_pattern_for_an_empty_user_agent_means_a_missing_one_too() -> None:
    [rule] = draft_of("anubis", "- {name: none, user_agent_regex: '^$', action: DENY}").rules
    assert rule.when == {"user_agent": ["absent", ""]}


def anubis(*bots: str, rest: str = "") -> str:
    return "bots:\n" + "".join(f"- {{{bot}}}\n" for bot in bots) + rest


MOZILLA = "name: m, user_agent_regex: Mozilla, action: CHALLENGE"
EXAMPLE = "name: e, user_agent_regex: ExampleBot, action: DENY"


def test_a_challenge_is_final_for_the_bots_after_it() -> None:
    assert rules_of("anubis", anubis(MOZILLA, EXAMPLE)) == [
        ({"user_agent": {"regex": "Mozilla"}}, {"tag": "challenge"}),
        ({"not": {"tag": "challenge"}, "user_agent": {"regex": "ExampleBot"}}, "reject"),
    ]
    assert rules_of("anubis", anubis(EXAMPLE, MOZILLA))[0] == ({"user_agent": {"regex": "ExampleBot"}}, "reject")


def test_a_policy_without_thresholds_has_the_default_one() -> None:
    text = anubis("name: w, user_agent_regex: Slow, action: WEIGH")
    assert rules_of("anubis", text)[1] == ({"score": {"at_least": "0.001"}}, {"tag": "challenge"})
    assert len(rules_of("anubis", text + "thresholds:\n- {name: t, expression: weight > 9, action: DENY}\n")) == 2


@pytest.mark.parametrize("pattern", ["user_agent_regex: .*", "user_agent_regex: ^.*$", "path_regex: .*", "path_regex: ^/.*$"])
def test_a_denial_of_everything_is_one(pattern: str) -> None:
    [(when, action)] = rules_of("anubis", anubis(f"name: all, {pattern}, action: DENY"))
    assert when in ({"path": {"prefix": "/"}}, {"path": {"regex": "^/.*$"}})
    assert action == "reject"


@pytest.mark.parametrize(
    ("key", "note"),
    [
        (
            "dnsbl: true",
            "line 3: dnsbl was left out: the block list of addresses (DNSBL) that Anubis asks: that defence is lost here",
        ),
        ("dnsbl: false", "line 3: dnsbl was left out: it is a setting of Anubis, not a rule"),
        (
            "honeypot: {enabled: true}",
            "line 3: honeypot was left out: the honeypot, which refuses who follows hidden links: that is lost here",
        ),
    ],
)
def test_a_defence_that_is_lost_is_called_one(key: str, note: str) -> None:
    assert notes_of("anubis", anubis(EXAMPLE, rest=key))[0].startswith(note)
