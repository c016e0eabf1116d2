"""fail2ban's jails and CrowdSec's scenarios: failures in the access log become limits that ban."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from proxyguard.tools.importers.draft import Draft, ImportFault
from proxyguard.tools.importers.jails import read_jails
from proxyguard.tools.importers.sources import Source, Sources
from tests.tools.importers.reading import draft_of, limits_of, notes_of, rules_of

JAIL = "[DEFAULT]\nfindtime = 10m\nbantime = 1h\n[j]\nenabled = true\nmaxretry = 3\nfailregex = "


@pytest.mark.parametrize(
    ("pattern", "when", "count"),
    [
        ('^<HOST> -.*"(GET|POST).*HTTP.*" 404', {"method": ["GET", "POST"]}, {"status": "404"}),
        (
            r'^<HOST> \S+ \S+ \[\] "[A-Z]+ /wp-login\.php[^"]*" (?:403|404) ',
            {"path": {"regex": r"^/wp-login\.php"}},
            {"status": ["403", "404"]},
        ),
        ('^<HOST> -.*"(?:GET|POST) /xmlrpc.php.*"', {"method": ["GET", "POST"], "path": {"regex": "^/xmlrpc.php"}}, None),
        (
            '^<HOST> -.*"(GET|HEAD).*HTTP.*"(?:BadBot|Thief)"$',
            {"method": ["GET", "HEAD"], "user_agent": {"regex": "(?:BadBot|Thief)"}},
            None,
        ),
        ('^<HOST> .* "Thief.*"$', {"user_agent": {"regex": "^Thief.*$"}}, None),
        (r'^<HOST> .*"GET [^"]*" \d+ \d+ "[^"]*" "curl[^"]*"$', {"method": "GET", "user_agent": {"regex": '^curl[^"]*$'}}, None),
    ],
)
def test_a_failregex_about_the_access_log_becomes_a_limit(pattern: str, when: dict[str, Any], count: Any) -> None:
    limit = {"rate": "3/600s", "per": ["client"]} | ({"count": count} if count else {})
    assert limits_of("fail2ban-jails", JAIL + pattern) == [(when, limit)]
    assert rules_of("fail2ban-jails", JAIL + pattern)[0][1] == {"ban": {"for": "3600s"}}


@pytest.mark.parametrize(
    ("pattern", "note"),
    [
        (
            "^Failed password for .* from <HOST>",
            "the jail j: '^Failed password for .* from <HOST>' was left out: it is not about a line",
        ),
        (
            '^<HOST> -.*"(GET|POST).*HTTP.*"',
            "the jail j: '^<HOST> -.*\"(GET|POST).*HTTP.*\"' was left out: it would find every request",
        ),
        ('^<HOST> "(?!GET)', "the jail j: '^<HOST> \"(?!GET)' was left out: it looks around, which rules cannot"),
        (
            '^<HOST> "%(other)s"',
            "the jail j: '^<HOST> \"%(other)s\"' was left out: it is made of parts that are defined elsewhere",
        ),
    ],
)
def test_a_failregex_that_a_rule_cannot_say_is_noted(pattern: str, note: str) -> None:
    assert draft_of("fail2ban-jails", JAIL + pattern).rules == []
    assert notes_of("fail2ban-jails", JAIL + pattern)[0].startswith(note)


def test_a_jail_that_is_not_enabled_is_left_alone_and_one_without_its_filter_is_named() -> None:
    assert notes_of("fail2ban-jails", "[a]\nenabled = false\n[sshd]\nenabled = true\n") == [
        "the jail sshd was left out: its filter does not lie beside it (filter.d/sshd.conf)"
    ]


LEAKY = "type: leaky\nname: me/s\ncapacity: 10\nleakspeed: 5s\ngroupby: evt.Meta.source_ip\nfilter: "
HTTP = "evt.Meta.log_type in ['http_access-log', 'http_error-log']"


@pytest.mark.parametrize(
    ("text", "when", "limit"),
    [
        (LEAKY + f'"{HTTP}"', {}, {"rate": "1/5s", "burst": "10", "per": ["client"]}),
        (
            LEAKY + f"\"{HTTP} && evt.Meta.http_status in ['404', '403']\"",
            {},
            {"rate": "1/5s", "burst": "10", "per": ["client"], "count": {"status": ["404", "403"]}},
        ),
        (
            LEAKY + "\"evt.Meta.service == 'http' && evt.Meta.http_path startsWith '/api'\"",
            {"path": {"prefix": "/api"}},
            {"rate": "1/5s", "burst": "10", "per": ["client"]},
        ),
        (
            LEAKY + f'"{HTTP}"\ndistinct: evt.Meta.http_path',
            {},
            {"rate": "10/50s", "count": {"distinct": "path"}, "per": ["client"]},
        ),
        (
            "type: trigger\nname: t\nfilter: \"evt.Meta.service == 'http' and Lower(evt.Meta.http_user_agent) contains 'nikto'\"",
            {"user_agent": {"regex": "(?i)nikto"}},
            None,
        ),
        (
            "type: trigger\nname: t\nfilter: \"evt.Meta.service == 'http' and not (evt.Parsed.verb in ['GET', 'POST'])\"",
            {"not": {"method": ["GET", "POST"]}},
            None,
        ),
        (
            "type: trigger\nname: t\nfilter: \"evt.Meta.service == 'http' and evt.Parsed.request matches '^/a'\"",
            {"path": {"regex": "^/a"}},
            None,
        ),
    ],
)
def test_a_scenario_becomes_a_limit_or_a_ban(text: str, when: dict[str, Any], limit: Any) -> None:
    assert limits_of("crowdsec", text) == [(when, limit)]
    assert rules_of("crowdsec", text)[0][1] == {"ban": {"for": "4h"}}


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (LEAKY + "\"evt.Meta.log_type == 'ssh_failed-auth'\"", "line 1: me/s was left out: its filter is about another log"),
        (LEAKY + f'"{HTTP}"\ndistinct: evt.Meta.http_args', "line 1: me/s was left out: rules do not count different values of"),
        (LEAKY + "\"evt.Meta.IsoCode == 'XX'\"", "line 1: me/s was left out: rules have no field like evt.Meta.IsoCode"),
        ('type: bayesian\nname: b\nfilter: "1 == 1"', "line 1: b was left out: a bucket of the type 'bayesian'"),
        (
            "type: trigger\nname: t\nfilter: \"any(File('x.txt'), {evt.Meta.http_path contains #})\"",
            "line 1: t was left out: the file x.txt does",
        ),
        (f'type: trigger\nname: t\nfilter: "{HTTP}"', "line 1: t was left out: its filter holds for every request"),
    ],
)
def test_a_scenario_that_a_rule_cannot_say_is_noted(text: str, note: str) -> None:
    assert draft_of("crowdsec", text).rules == []
    assert notes_of("crowdsec", text)[0].startswith(note)


FILTER = r"""[INCLUDES]
before = words.conf
[Definition]
failregex = ^<HOST> \S+ \S+ \[\] "<methods> \/<trap>[^"]*" 404 .*$
methods = (?:GET|POST)
"""
WORDS = "[Definition]\nmethods = BREW\n[Init]\ntrap = (?:<paths>)\npaths = old-shop|pma\n"


def of_folder(folder: Path, jail: str, **files: str) -> Draft:
    (folder / "filter.d").mkdir()
    for name, text in files.items():
        (folder / "filter.d" / f"{name}.conf").write_text(text)
    return read_jails(Sources((Source("jail.local", jail),), folder), "x")


def test_tags_are_filled_in_from_the_filter_and_from_what_it_includes(tmp_path: Path) -> None:
    [rule] = of_folder(tmp_path, "[trap]\nenabled = true\n", trap=FILTER, words=WORDS).rules
    assert rule.when == {"method": ["GET", "POST"], "path": {"regex": r"^\/(?:old-shop|pma)"}}


def test_defaults_of_an_included_filter_count(tmp_path: Path) -> None:
    [rule] = of_folder(tmp_path, "[trap]\nenabled = true\n", trap=FILTER, words=WORDS.replace("[Init]", "[DEFAULT]")).rules
    assert rule.when == {"method": ["GET", "POST"], "path": {"regex": r"^\/(?:old-shop|pma)"}}


def test_bans_that_grow_and_bans_for_ever_are_what_the_notes_say() -> None:
    pattern = 'failregex = ^<HOST> .*"GET /x'
    grows = f"[j]\nenabled = true\nbantime = 1h\nbantime.increment = true\n{pattern}"
    assert rules_of("fail2ban-jails", grows)[0][1] == {"ban": {"for": "3600s", "escalation": "2"}}
    assert notes_of("fail2ban-jails", grows) == ["the jail j: bantime.increment became an escalation of 2"]
    for_ever = f"[j]\nenabled = true\nbantime = -1\n{pattern}"
    assert rules_of("fail2ban-jails", for_ever)[0][1] == {"ban": {"for": "31536000s"}}
    assert notes_of("fail2ban-jails", for_ever) == ["the jail j: a ban for ever became one for a year"]


def test_a_tag_that_nothing_defines_is_named_and_no_rule_looks_for_it(tmp_path: Path) -> None:
    draft = of_folder(tmp_path, "[trap]\nenabled = true\n", trap=FILTER)
    assert not draft.rules
    assert "it is made of parts that are defined elsewhere" in str(draft.notes[0])


@pytest.mark.long
def test_filters_that_include_each_other_come_to_an_end(tmp_path: Path) -> None:
    around = "[INCLUDES]\nbefore = words.conf trap.conf\n" + WORDS
    assert len(of_folder(tmp_path, "[trap]\nenabled = true\n", trap=FILTER, words=around).rules) == 1


JAIL_OF_404 = '[j]\nenabled = true\nfailregex = ^<HOST> -.*"GET.*HTTP.*" 404\n'


def test_whom_a_jail_spares_is_spared() -> None:
    text = JAIL_OF_404 + "ignoreip = 127.0.0.1/8 2001:db8::/32, office.example.org\n"
    [rule] = draft_of("fail2ban-jails", text).rules
    assert rule.when == {"method": "GET", "not": {"client": ["127.0.0.0/8", "2001:db8::/32"]}}
    assert notes_of("fail2ban-jails", text) == [
        "the jail j: ignoreip office.example.org was left out: it is no address, and rules look no names up"
    ]


def test_a_jail_that_asks_a_command_whom_to_spare_is_left_out() -> None:
    text = JAIL_OF_404 + "ignorecommand = /usr/local/bin/is-it-google <ip>\n"
    assert notes_of("fail2ban-jails", text) == [
        "the jail j was left out: its ignorecommand decides whom it spares, and rules cannot ask it"
    ]


def test_a_file_in_which_no_jail_is_enabled_says_so() -> None:
    with pytest.raises(ImportFault, match="none of the jails in this file is enabled"):
        draft_of("fail2ban-jails", "[a]\nenabled = false\n")


def test_a_whitelist_of_crowdsec_is_called_one() -> None:
    assert notes_of("crowdsec", 'name: w\nfilter: "1 == 1"\nwhitelist:\n  ip: [192.0.2.1]\n') == [
        "line 1: w was left out: it is a whitelist, which an allow rule would say"
    ]
    assert notes_of("crowdsec", 'name: p\nfilter: "1 == 1"\n') == ["line 1: p was left out: it is no scenario: it has no type"]


def test_a_ban_that_ends_on_a_day_that_is_not_ends_nowhere() -> None:
    [rule] = draft_of("fail2ban", "203.0.113.9 2026-09-30 10:00:00 + 600 = 2026-09-31 10:10:00\n").rules
    assert rule.expires is None
