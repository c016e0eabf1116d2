"""The rules that come with proxyguard: their own tests hold, no rule is without one, and who should be left alone is.

The user agents come from crawler-user-agents, which sorts about 1,500 crawlers and tools under tags with real examples.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from proxyguard.core.address import Address
from proxyguard.core.decision import Decision, Mode
from proxyguard.core.request import Request
from proxyguard.limits.stores.memory import MemoryStore
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.engine import decide, match
from proxyguard.policy.load import load_policy
from proxyguard.policy.model import Expectation, Place, Policy, RuleSet, RuleTest, SampleRequest, TestStep
from proxyguard.policy.testing.runner import self_test
from tests.paths import BUNDLED_RULES, ROOT

BROWSERS = tuple(line for line in (ROOT / "tests/data/browsers.txt").read_text().splitlines() if not line.startswith("#"))

REFUSED_ALTHOUGH_BENIGN = {
    # AI crawlers that are tagged as search engines, previews or research too
    "aiHitBot", "Amazonbot", "OAI-SearchBot", "YouBot", "ImagesiftBot", r"PerplexityBot\/", "Claude-SearchBot", "Timpibot",
    "KendraBot", r"iAskBot\/", "PanguBot", r"meta-externalagent\/", "TikTokSpider", "meta-webindexer", "ICC-Crawler", "AI2Bot",
    "Linguee Bot", "Nutch",
    # copiers of whole sites that are tagged as archivers
    "WebZIP", "SiteSucker", "WebCopier", "Offline Explorer",
}  # fmt: skip

AI_CRAWLERS_LET_IN = {
    # never sent, ordered by the site's owner, an agent under a browser's name, or a word that others use
    "Google-Extended", "Cloudflare-AutoRAG", "Google-CloudVertexBot", "atlassian-bot", "Devin", "ImageMind",
    r"Spider[\s\S]*spider\.com", r"newsai\/",
}  # fmt: skip

ASSISTANTS = {
    "Amzn-User", "ChatGPT-User", "Claude-User", "DuckAssistBot", "Gemini-Deep-Research", "Google-NotebookLM", "IsonAI-User",
    "MistralAI-User", "Perplexity-User", "PerplexityUser", "kagi-fetcher", r"linkReader\/",
}  # fmt: skip


@cache
def bundled() -> Policy:
    loaded = load_policy(BUNDLED_RULES)
    assert loaded.problems == ()
    assert loaded.policy is not None
    return loaded.policy


@cache
def in_force() -> CompiledPolicy:
    return compile_policy(bundled(), secret=b"test")


def decision_for(user_agent: str, target: bytes = b"/", method: bytes = b"GET") -> Decision:
    headers = ((b"Host", b"example.org"), (b"User-Agent", user_agent.encode()), (b"Accept", b"*/*"))
    request = Request(Address.parse("192.0.2.1"), method, b"http", b"example.org", target, headers)
    found = match(in_force(), request, 0.0)
    if found.decision is not None:
        return found.decision
    store = MemoryStore(keys=100, bans=100)
    return decide(found, store.charge(found.charges, found.ban_keys, 0.0)).decision


def tagged(*tags: str) -> list[tuple[str, str]]:
    """Pattern and example of every entry that has one of the tags."""
    return [
        (entry["pattern"], example)
        for entry in CRAWLER_USER_AGENTS_DATA
        if set(tags) & set(entry["tags"])
        for example in entry["instances"]
    ]


def test_the_bundled_rules_load_and_pass_their_own_tests() -> None:
    assert [failure.problem for failure in self_test(bundled()).failures] == []


def test_every_bundled_rule_applies_in_some_test() -> None:
    clients = [f"198.51.{third}.{fourth}" for third in range(100, 120) for fourth in range(1, 5)]
    flood = _spread("/signup", clients, 5, "sign-up-flood-on-site")
    tries = _spread("/login", [f"198.51.100.{fourth}" for fourth in range(1, 16)], 10, "log-in-flood-from-network")
    more = RuleSet(name="more-tests", file="more.yaml", tests=(flood, tries))
    result = self_test(replace(bundled(), rule_sets=(*bundled().rule_sets, more)))
    assert [failure.problem for failure in result.failures] == []
    assert result.untouched == ()


def _spread(path: str, clients: list[str], each: int, rule: str) -> RuleTest:
    place = Place("more.yaml", 1, 1)
    steps = [TestStep(SampleRequest(client, "POST", path=path), each, 0.01, Expectation(), place) for client in clients]
    last = TestStep(SampleRequest(clients[-1], "POST", path=path), 2, 0.0, Expectation("reject", rule, 429), place)
    return RuleTest((*steps, last), place)


def test_every_bundled_rule_says_why() -> None:
    silent = [rule.name for rule_set in bundled().rule_sets for rule in rule_set.rules if not rule.why]
    assert silent == []


def test_what_acts_on_reading_speed_begins_in_shadow() -> None:
    modes = {rule.name: rule.mode for rule_set in bundled().rule_sets for rule in rule_set.rules}
    assert {name for name, mode in modes.items() if mode is Mode.SHADOW} == {
        "sign-up-flood-on-site", "pages-per-minute", "pages-per-day", "pages-per-minute-from-network", "searches-per-minute",
        "log-in-failures", "imitated-browser",
    }  # fmt: skip
    assert {name for name, mode in modes.items() if mode is Mode.OFF} == {
        "php-probes", "wordpress-probes", "seo-crawlers", "advertising-crawlers", "app-libraries", "slightly-suspicious",
        "robots-txt-refused",
    }  # fmt: skip


@pytest.mark.parametrize("user_agent", BROWSERS)
def test_no_browser_is_refused_for_its_name(user_agent: str) -> None:
    decision = decision_for(user_agent, b"/profiles/1")
    assert (decision.name, decision.rule) == ("pass", "default")


def test_search_engines_previews_feed_readers_and_probes_are_not_refused() -> None:
    benign = tagged("search-engine", "social-preview", "feed-reader", "monitoring", "archiver", "academic", "advertising")
    assert len(benign) > 1100
    refused = {
        pattern for pattern, example in benign if not decision_for(example).forwards and pattern not in REFUSED_ALTHOUGH_BENIGN
    }
    assert refused == set()


def test_declared_ai_crawlers_are_refused() -> None:
    let_in = {pattern for pattern, example in tagged("ai-crawler") if decision_for(example).forwards}
    assert let_in == ASSISTANTS | (let_in & AI_CRAWLERS_LET_IN)


@pytest.mark.parametrize("name", ["robots.txt", ".well-known/acme-challenge/x", ".well-known/security.txt"])
def test_open_paths_are_open_to_everyone(name: str) -> None:
    for _, example in tagged("ai-crawler", "http-library", "scanner"):
        assert decision_for(example, b"/" + name.encode()).name == "allow"


@pytest.mark.parametrize("path", sorted((BUNDLED_RULES / "lists").glob("*.txt")), ids=lambda path: path.stem)
def test_lists_say_where_they_come_from_and_repeat_nothing(path: Path) -> None:
    lines = path.read_text().splitlines()
    entries = [line.casefold() for line in lines if line and not line.startswith("#")]
    assert lines[0].startswith("# ")
    assert sorted(set(entries)) == sorted(entries)
    assert all(re.fullmatch(r"\S.*\S|\S", entry) for entry in entries)
