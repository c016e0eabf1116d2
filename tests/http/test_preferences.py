"""What a site says that programs may do: the forms, and that its own words stay."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from proxyguard.adapters.mitmproxy.forwarded_fields import with_added
from proxyguard.core.preferences import PreferenceFormat, Preferences, RobotsFile, Wish
from proxyguard.guard.interfaces import Forwarding
from proxyguard.http.preferences import LICENCE, TDM, PreferenceFiles
from proxyguard.policy.robots.robots_txt import RobotsTxt

ALL = Preferences(
    search=Wish.YES, ai_input=Wish.NO, ai_train=Wish.NO, robots_txt=RobotsFile.APPEND, formats=tuple(PreferenceFormat),
    tdm_policy="https://example.org/terms",
)  # fmt: skip
SITES = b"User-agent: GPTBot\nDisallow: /\n\nUser-agent: *\nDisallow: /\n"


def robots_txt(preferences: Preferences, text: bytes) -> bytes | None:
    answer = PreferenceFiles(preferences).robots_txt(text, b"https", b"example.org")
    return None if answer is None else answer.body


def test_a_site_without_the_file_gets_one() -> None:
    answer = PreferenceFiles(ALL).robots_txt(b"", b"https", b"example.org")
    assert answer is not None
    assert (answer.status, dict(answer.headers)[b"Content-Type"]) == (200, b"text/plain; charset=utf-8")
    assert answer.body == (
        b"# What programs may do with what they read here\n"
        b"User-agent: *\n"
        b"Content-Signal: search=yes, ai-input=no, ai-train=no\n"
        b"Content-Usage: search=y, train-ai=n\n"
        b"Allow: /\n"
        b"\n"
        b"License: https://example.org/license.xml\n"
    )


def test_below_the_sites_own_text_nothing_changes_what_it_allows() -> None:
    made = robots_txt(ALL, SITES)
    assert made is not None
    assert made.startswith(SITES)
    assert b"Allow" not in made.removeprefix(SITES)
    before, after = RobotsTxt(SITES), RobotsTxt(made)
    for agent in (b"GPTBot/1.2", b"Other/1.0"):
        assert before.judge(agent, b"/x").word == after.judge(agent, b"/x").word


def test_what_the_site_says_itself_is_not_said_again() -> None:
    text = b"user-agent: *\ncontent-signal: ai-train=yes\nLicense: https://example.org/own.xml\n"
    made = robots_txt(ALL, text)
    assert made is not None
    assert (made.lower().count(b"content-signal"), made.count(b"License:"), made.count(b"Content-Usage:")) == (1, 1, 1)
    whole = text + b"Content-Usage: train-ai=y\n"
    assert robots_txt(ALL, whole) is None


def test_own_leaves_a_sites_text_alone() -> None:
    own = Preferences(ai_train=Wish.NO, robots_txt=RobotsFile.OWN, formats=(PreferenceFormat.CONTENT_SIGNAL,))
    assert robots_txt(own, SITES) is None
    assert b"Content-Signal: ai-train=no\n" in (robots_txt(own, b"") or b"")


def test_the_licence_is_a_document_of_rsl() -> None:
    answer = PreferenceFiles(ALL).file(LICENCE)
    assert answer is not None
    assert dict(answer.headers)[b"Content-Type"] == b"application/rsl+xml"
    name = "{https://rslstandard.org/rsl}"
    root = ET.fromstring(answer.body)
    licence = root.find(f"{name}content/{name}license")
    assert root.tag == f"{name}rsl"
    assert licence is not None
    assert [(each.tag.removeprefix(name), each.get("type"), each.text) for each in licence] == [
        ("permits", "usage", "search"), ("prohibits", "usage", "ai-input ai-train"),
    ]  # fmt: skip


def test_the_reservation_is_a_rule_for_the_whole_site() -> None:
    answer = PreferenceFiles(ALL).file(TDM)
    assert answer is not None
    assert json.loads(answer.body) == [{"location": "/", "tdm-reservation": 1, "tdm-policy": "https://example.org/terms"}]
    assert PreferenceFiles(Preferences(ai_train=Wish.YES, formats=(PreferenceFormat.TDM,))).fields == (
        (b"TDM-Reservation", b"0"),
    )


@pytest.mark.parametrize(
    "preferences", [Preferences(), Preferences(ai_train=Wish.NO), Preferences(formats=tuple(PreferenceFormat))]
)
def test_what_was_not_asked_for_is_not_said(preferences: Preferences) -> None:
    files = PreferenceFiles(preferences)
    assert (files.fields, files.file(LICENCE), files.file(TDM), files.wants_robots_txt) == ((), None, None, False)


def test_fields_of_the_site_stay() -> None:
    forwarding = Forwarding(defaults=PreferenceFiles(ALL).fields)
    preload = (b"Link", b"</a.css>; rel=preload")
    found = with_added(((b"content-usage", b"train-ai=y"), preload), forwarding)
    assert found == (
        (b"content-usage", b"train-ai=y"), preload,
        (b"Link", b'</license.xml>; rel="license"; type="application/rsl+xml"'),
        (b"TDM-Reservation", b"1"), (b"TDM-Policy", b"https://example.org/terms"),
    )  # fmt: skip
