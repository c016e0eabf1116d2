"""Client hints beside the user agent: what every real header set keeps to, and what is held against others."""

from __future__ import annotations

import json

import pytest

from proxyguard.http.fingerprints.client_hints import hint_contradictions
from tests.paths import ROOT

WINDOWS = b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/153.0.0.0 Safari/537.36"
PHONE = b"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/153.0.0.0 Mobile Safari/537.36"
LINUX = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/153.0.0.0 Safari/537.36"
FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
IPHONE = b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 CriOS/153.0 Mobile/15E148 Safari/604.1"
CHROME = b'"Google Chrome";v="153", "Not_A Brand";v="8", "Chromium";v="153"'


@pytest.mark.parametrize(
    ("agent", "hints", "platform", "wanted"),
    [
        (WINDOWS, CHROME, b'"Windows"', ""),
        (WINDOWS, b"", b"", ""),
        (PHONE, CHROME, b'"Android"', ""),
        (LINUX, CHROME, b'"Android"', ""),
        (LINUX, CHROME, b'"Chrome OS"', ""),
        (WINDOWS, CHROME, b'"Linux"', "platform"),
        (PHONE, CHROME, b'"Linux"', "platform"),
        (LINUX, CHROME, b'"Windows"', "platform"),
        (WINDOWS, CHROME, b'"Haiku"', ""),
        (WINDOWS.replace(b"Windows NT 10.0", b"Web0S"), CHROME, b'"Linux"', ""),
        (WINDOWS.replace(b"153", b"152"), CHROME, b'"Windows"', "version"),
        (WINDOWS, CHROME.replace(b"_A ", b":A-"), b"", "brands"),
        (WINDOWS, b'"Chromium";v="153"', b"", "brands"),
        (WINDOWS, b'"Google Chrome";v="153"', b"", "brands"),
        (WINDOWS, b"x" * 256, b"", "brands"),
        (WINDOWS.replace(b"153", b"154"), b'"Not A(Brand";v="99", "Chromium";v="154"', b"", ""),
        (WINDOWS, b'"Not_A Brand";v="8", "Chromium";v="153"', b"", "brands"),
        (WINDOWS, CHROME + b', "YaBrowser";v="26", "Yowser";v="2.5"', b"", ""),
        (FIREFOX, CHROME, b'"Linux"', "brands"),
        (IPHONE, CHROME, b"", "brands"),
        (FIREFOX, b"", b"", ""),
    ],
)
def test_hints_beside_a_user_agent(agent: bytes, hints: bytes, platform: bytes, wanted: str) -> None:
    assert " ".join(each.decode() for each in hint_contradictions(agent, hints, platform)) == wanted


def test_nearly_all_header_sets_of_a_collection_keep_to_it() -> None:
    """Collections hold liars, too: three have hints of another version than their name, seven brands that no version has."""
    lines = (ROOT / "proxyguard/tools/data/browsers/header-sets.jsonl").read_text("utf-8").splitlines()[1:]
    sets = [{name: value.encode() for name, value in json.loads(line)["headers"]} for line in lines]
    judged = [each for each in sets if "sec-ch-ua" in each]
    found = [hint_contradictions(each["user-agent"], each["sec-ch-ua"], each.get("sec-ch-ua-platform", b"")) for each in judged]
    assert len(judged) == 112
    assert [sum(name in each for each in found) for name in (b"version", b"brands", b"platform")] == [3, 7, 0]
