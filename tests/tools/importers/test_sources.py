"""nginx maps, crawler lists, fail2ban and Anubis: what each line becomes, and what is said of those that become nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxyguard.core.problems import Report
from proxyguard.core.yaml.nodes import read_yaml
from proxyguard.tools.importers.ai_robots import read_ai_robots
from proxyguard.tools.importers.anubis import read_anubis
from proxyguard.tools.importers.draft import ImportFault
from proxyguard.tools.importers.expressions import NotCarried, condition_of, score_of
from proxyguard.tools.importers.fail2ban import read_fail2ban
from proxyguard.tools.importers.nginx_map import read_nginx_map


def mapped(lines: str, source: str = "$http_user_agent") -> list[tuple[Any, Any]]:
    draft = read_nginx_map(f"map {source} $bad {{ {lines} }}", "map")
    return [(rule.when, rule.action) for rule in draft.rules]


def notes_of(lines: str, source: str = "$http_user_agent") -> list[str]:
    return [str(note) for note in read_nginx_map(f"map {source} $bad {{ {lines} }}", "map").notes]


@pytest.mark.parametrize(
    ("lines", "when"),
    [
        ("~*curl 1;", {"user_agent": {"regex": "(?i)curl"}}),
        ("~curl 1; ~wget 1;", {"user_agent": {"regex": ["curl", "wget"]}}),
        ('"~*a b" 1;', {"user_agent": {"regex": "(?i)a b"}}),
        (r"'~*x\.y' 1;", {"user_agent": {"regex": r"(?i)x\.y"}}),
        (r'"~say \"hi\"" 1;', {"user_agent": {"regex": 'say "hi"'}}),
        ("Thief 1;", {"user_agent": {"regex": "(?i)^Thief$"}}),
        ("007 1;", {"user_agent": "007"}),
        (r"\default 1;", {"user_agent": {"regex": "(?i)^default$"}}),
        ('"" 1;', {"user_agent": ["absent", ""]}),
        ("~^$ 1;", {"user_agent": ["absent", ""]}),
        (
            "default 1; ~*firefox 0; ~*thief 2;",
            {"user_agent": {"regex": "(?i)thief"}, "not": {"user_agent": {"regex": "(?i)firefox"}}},
        ),
        ("~*good 0; ~*thief 1;", {"user_agent": {"regex": "(?i)thief"}, "not": {"user_agent": {"regex": "(?i)good"}}}),
        ("~*thief 1; ~*good 0;", {"user_agent": {"regex": "(?i)thief"}}),
        ("~a{2}x 1;", {"user_agent": {"regex": "a{2}x"}}),
        ("# ~*curl 1;\n~*wget 1; # and no more\n", {"user_agent": {"regex": "(?i)wget"}}),
    ],
)
def test_a_map_becomes_a_condition(lines: str, when: dict[str, Any]) -> None:
    assert mapped(lines) == [(when, "reject")]


@pytest.mark.parametrize(
    ("source", "lines", "when"),
    [
        ("$http_referer", "~*spam 1;", {"header.referer": {"regex": "(?i)spam"}}),
        ("$http_x_key", '"" 1;', {"header.x-key": ["absent", ""]}),
        ("$host", "old.example.org 1;", {"host": "old.example.org"}),
        ("$uri", "~^/old 1;", {"path": {"regex": "^/old"}}),
        ("$cookie_seen", "~^no 1;", {"cookie.seen": {"regex": "^no"}}),
        ("$arg_q", "~drop 1;", {"query.q": {"regex": "drop"}}),
        ("$remote_addr", "192.0.2.7 1;", {"client": "192.0.2.7"}),
        ("$request_method", "TRACE 1;", {"method": "TRACE"}),
    ],
)
def test_a_map_may_be_of_another_field(source: str, lines: str, when: dict[str, Any]) -> None:
    assert mapped(lines, source) == [(when, "reject")]


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        (r"~(a)\1 1;", r"line 1: '(a)\1' was left out: the regex is not valid: the back-reference \1 is not available; "),
        ("~*fire 1;", "line 1: 'fire' is in the user agents of real browsers, such as Mozilla/5.0 (Android"),
        ("~*zq 1;", "line 1: 'zq' is so short that it is part of other names; word: finds it only as a whole word"),
        ("a b c;", "line 1: 'a' is not a line of a map: it has 3 parts"),
        ("include x.conf;", "line 1: not followed: include x.conf: import that file too"),
    ],
)
def test_what_a_rule_cannot_say_is_noted(lines: str, note: str) -> None:
    assert notes_of(lines)[0].startswith(note)


def test_each_value_of_a_map_becomes_a_rule_of_its_own() -> None:
    draft = read_nginx_map("map $http_user_agent $kind { ~*alpha slow; ~*beta stop; ~*gamma slow; }", "map")
    assert [(rule.name, rule.when) for rule in draft.rules] == [
        ("map-kind-slow", {"user_agent": {"regex": ["(?i)alpha", "(?i)gamma"]}}),
        ("map-kind-stop", {"user_agent": {"regex": "(?i)beta"}}),
    ]


@pytest.mark.parametrize("text", ["", "server { listen 80; }", "map", "map $a", "} } ;"])
def test_a_file_without_a_map_is_refused(text: str) -> None:
    with pytest.raises(ImportFault, match="there is no map in this file"):
        read_nginx_map(text, "map")


def test_a_quote_that_is_not_closed_is_refused_with_its_line() -> None:
    with pytest.raises(ImportFault, match="line 3: a quote that is not closed"):
        read_nginx_map('map $http_user_agent $bad {\n~*curl 1;\n"~*wget 1;\n}', "map")


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
        read_ai_robots(text, "ai")


def test_crawlers_whose_function_nobody_shares_are_one_rule() -> None:
    found = {f"Bot{number}": {"function": f"Purpose {number}"} for number in range(5)} | {
        "Aone": {"function": "Train"},
        "Atwo": {"function": "train"},
    }
    draft = read_ai_robots(json.dumps(found), "ai")
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
    assert read_fail2ban(text, "jail").lists["banned"] == addresses


@pytest.mark.parametrize("text", ["", "no address here\n", "Status for the jail: a\n`- Actions\n   `- Banned IP list:\t\n"])
def test_a_jail_without_addresses_is_refused(text: str) -> None:
    with pytest.raises(ImportFault, match="there is no address in this file"):
        read_fail2ban(text, "jail")


def expression(text: str) -> dict[str, Any]:
    node = read_yaml(json.dumps(text), Report(""))
    assert node is not None
    return condition_of(node)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ('userAgent == "x"', {"user_agent": "x"}),
        ('userAgent == ""', {"user_agent": ["absent", ""]}),
        ("path != '/a'", {"not": {"path": "/a"}}),
        ('path.startsWith("/a") && method == "POST"', {"all": [{"path": {"prefix": "/a"}}, {"method": "POST"}]}),
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
        ("x: [", "line 2: the file ends here"),
        ("{}", "it has no bots:"),
        ("just text", "it has no bots:"),
    ],
)
def test_a_file_that_is_no_policy_is_refused(text: str, said: str) -> None:
    with pytest.raises(ImportFault, match=said):
        read_anubis(text, "anubis")


def test_a_file_that_others_import_is_a_list_of_bots() -> None:
    draft = read_anubis(
        "- {name: A B, user_agent_regex: CopyBot, action: DENY}\n- {name: A-B, path_regex: ^/x, action: DENY}", "anubis"
    )
    assert [rule.name for rule in draft.rules] == ["anubis-a-b", "anubis-a-b-2"]


def test_a_pattern_for_an_empty_user_agent_means_a_missing_one_too() -> None:
    [rule] = read_anubis("- {name: none, user_agent_regex: '^$', action: DENY}", "anubis").rules
    assert rule.when == {"user_agent": ["absent", ""]}
