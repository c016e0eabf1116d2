"""robots.txt: the rules decide as RFC 9309 says, for any file."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyguard.core.decision import Mode
from proxyguard.policy.compile.compile import CompiledPolicy, compile_policy
from proxyguard.policy.model import Policy, SampleRequest
from proxyguard.policy.parse.file import parse_rule_set
from proxyguard.policy.testing.sample_requests import request_from_sample
from proxyguard.tools.importers.draft import ImportFault
from proxyguard.tools.importers.finish import Provenance, finish
from proxyguard.tools.importers.robots import read_robots
from proxyguard.tools.importers.yaml_text import rule_file
from proxyguard.tools.replay.run import Judge
from tests.examples import examples
from tests.tools.importers.reading import of_text

ORIGIN = Provenance("robots.txt", "proxyguard import robots robots.txt", Mode.ENFORCE)


def compiled(text: str) -> CompiledPolicy:
    draft = read_robots(of_text(text), "robots")
    if not draft.rules:
        finish(draft, ORIGIN, None)
    rule_set, problems = parse_rule_set(rule_file(draft, *ORIGIN))
    assert rule_set is not None, problems
    return compile_policy(Policy((rule_set,)), secret=b"test")


def refuses(judge: Judge, agent: str, path: str) -> bool:
    """Rules made of a robots.txt count nothing: one judge does for many requests."""
    request = request_from_sample(SampleRequest(path=path, headers=(("User-Agent", agent),)))
    return not judge.decide(request, 1e9).forwards


def notes(text: str) -> list[str]:
    return [str(note) for note in read_robots(of_text(text), "robots").notes]


def matches(pattern: str, path: str) -> bool:
    """RFC 9309 section 2.2.2, in one line."""
    anchored = pattern.endswith("$")
    body = ".*".join(re.escape(part) for part in pattern.removesuffix("$").split("*"))
    return re.match(body + ("$" if anchored else ""), path) is not None


def disallowed(lines: list[tuple[str, str]], path: str) -> bool:
    """The longest pattern that matches decides; of equal ones, Allow."""
    found = [(len(pattern), kind == "Allow") for kind, pattern in lines if matches(pattern, path)]
    return bool(found) and not max(found)[1]


LINES = st.lists(
    st.tuples(st.sampled_from(["Allow", "Disallow"]), st.from_regex(r"/[ab/*]{0,5}\$?", fullmatch=True)), min_size=1, max_size=6
).map(lambda lines: [(kind, re.sub(r"/{2,}", "/", re.sub(r"\*+", "*", pattern))) for kind, pattern in lines])
PATHS = st.from_regex(r"/(?:[abc]{1,2}/){0,3}[abc]{0,3}", fullmatch=True)


@settings(max_examples=examples(100), deadline=None)
@given(lines=LINES, paths=st.lists(PATHS, min_size=5, max_size=15))
def test_rules_refuse_exactly_what_the_longest_pattern_disallows(lines: list[tuple[str, str]], paths: list[str]) -> None:
    text = "User-agent: examplebot\n" + "".join(f"{kind}: {pattern}\n" for kind, pattern in lines)
    try:
        judge = Judge(compiled(text))
    except ImportFault:
        assert not any(disallowed(lines, path) for path in paths)
        return
    for path in paths:
        assert refuses(judge, "Mozilla/5.0 (compatible; examplebot/2.0)", path) is disallowed(lines, path), path
        assert not refuses(judge, "Mozilla/5.0 (compatible; examplebots/2.0)", path)


@pytest.mark.parametrize(
    ("text", "agent", "path", "refused"),
    [
        ("User-agent: *\nDisallow: /", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "/a", False),
        ("User-agent: *\nDisallow: /", "Mozilla/5.0 (compatible; somebot/1.0; +https://some.example)", "/a", True),
        ("User-agent: *\nDisallow: /", "Mozilla/5.0 (compatible; somebot/1.0; +https://some.example)", "/robots.txt", False),
        ("User-agent: *\nDisallow: /\nUser-agent: somebot\nDisallow:", "somebot/1.0 (+https://some.example)", "/a", False),
        ("User-agent: *\nDisallow: /\nUser-agent: otherbot\nDisallow: /x", "somebot/1.0 (+https://some.example)", "/a", True),
        ("User-agent: SomeBot\nDisallow: /a b", "somebot/1.0", "/a%20b/c", True),
        ("User-agent: SomeBot/1.4\nDisallow: /", "Mozilla/5.0 (compatible; SOMEBOT/2)", "/x", True),
        ("User-agent: SomeBot*\nDisallow: /", "SomeBot/2", "/x", True),
        ("User-agent: SomeBot\nDisallow: /%7Eada/", "SomeBot/2", "/~ada/x", True),
        ("User-agent: SomeBot\nDisallow: /a$", "SomeBot/2", "/a", True),
        ("User-agent: SomeBot\nDisallow: /a$", "SomeBot/2", "/ab", False),
        ("User-agent: SomeBot\nDisallow: /*?id=", "SomeBot/2", "/x?a=1&id=2", False),
        ("User-agent: SomeBot\nDisallow: /*?id=", "SomeBot/2", "/x?a=1&kid=2", False),
        ("User-agent: SomeBot\nDisallow: /*?id=", "SomeBot/2", "/x?id=2", True),
        ("User-agent: SomeBot\nDisallow: /*?*id=", "SomeBot/2", "/x?a=1&id=2", True),
        ("User-agent: SomeBot\nDisallow: /*?", "SomeBot/2", "/x?", True),
        ("User-agent: SomeBot\nDisallow: /*?", "SomeBot/2", "/x", False),
        ("User-agent: SomeBot\nDisallow: /?author", "SomeBot/2", "/?author=1", True),
        ("User-agent: SomeBot\nDisallow: /?author", "SomeBot/2", "/a?author=1", False),
        ("User-agent: SomeBot\nDisallow: /x?*$", "SomeBot/2", "/x?y", True),
        ("User-agent: SomeBot\nDisallow: /w/\nAllow: /w/api.php?action=", "SomeBot/2", "/w/api.php?action=1", False),
        ("User-agent: SomeBot\nDisallow: /w/\nAllow: /w/api.php?action=", "SomeBot/2", "/w/api.php?x", True),
        ("User-agent: SomeBot\nDisallow: /x?id=", "SomeBot/2", "/y?id=2", False),
        ("\ufeffUser-agent: SomeBot # first\r\n\r\nDisallow: /x # all of it\r\n", "SomeBot/2", "/x", True),
        ("User-agent: SomeBot\nDisallow: /x\nUser-agent: somebot\nDisallow: /y", "SomeBot/2", "/y", True),
        ("User-agent: SomeBot\nUser-agent: *\nDisallow: /x", "OtherBot/2", "/x", True),
        ("User-agent: SomeBot\nUser-agent: *\nDisallow: /x", "SomeBot/2", "/x", True),
    ],
)  # fmt: skip
def test_a_line_is_carried_as_crawlers_read_it(text: str, agent: str, path: str, refused: bool) -> None:
    assert refuses(Judge(compiled(text)), agent, path) is refused


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("User-agent: Some\nDisallow: x", "line 2: the pattern 'x' does not begin with /, and so crawlers do not heed it"),
        ("Disallow: /", "line 1: disallow stands before any User-agent"),
        ("User-agent: Some\nCrawl-delay: soon", "line 2: the crawl delay 'soon' is not a number of seconds up to an hour"),
        ("User-agent: Some\nNoindex: /x", "line 2: noindex is not something that rules can hold"),
        (
            "User-agent: Some\nDisallow: /%2A",
            "line 2: the pattern '/%2A' has an escaped character that a path condition cannot hold",
        ),
    ],
)  # fmt: skip
def test_what_is_not_carried_is_noted(text: str, note: str) -> None:
    assert notes(text) == [note]


def test_a_crawl_delay_becomes_a_limit_with_as_many_seconds_between_requests() -> None:
    [rule] = read_robots(of_text("User-agent: Slow\nCrawl-delay: 2.5"), "robots").rules
    assert (rule.name, rule.limit) == ("robots-slow-delay", {"rate": "5/12.5s", "per": ["user_agent", "network"]})


def test_an_allow_that_cannot_be_said_becomes_an_exception_for_more() -> None:
    draft = read_robots(of_text("User-agent: Some\nAllow: /x/%2A\nDisallow: /x"), "robots")
    assert [rule.when for rule in draft.rules] == [
        {"user_agent": {"word": "Some"}, "path": {"prefix": "/x"}, "not": {"path": {"prefix": "/x/"}}}
    ]
    assert str(draft.notes[-1]) == "line 1: Allow: /x/%2A became an exception for all of /x/"


def test_groups_that_ask_for_the_same_become_one_rule_with_a_list() -> None:
    text = "".join(f"User-agent: Some{number}Bot\nDisallow: /\n\n" for number in range(700))
    finished = finish(read_robots(of_text(text), "robots"), ORIGIN, None)
    assert [rule.when["user_agent"] for rule in finished.draft.rules] == [{"word": "$robots-some0bot-and-others"}]
    assert len(finished.draft.lists["robots-some0bot-and-others"]) == 700
    assert len(finished.draft.tests) <= 2


def test_a_file_that_disallows_nothing_is_told_why_it_is_no_rule_file() -> None:
    with pytest.raises(ImportFault, match="it disallows nothing, and asks for no delay"):
        compiled("User-agent: *\nDisallow:\n")


def test_a_pattern_that_is_too_long_is_left_out_alone_and_who_is_asked_is_named() -> None:
    long = "/" + "a" * 5000
    draft = read_robots(
        of_text(f"User-agent: Mozilla\nUser-agent: SomeBot\nDisallow: {long}\nDisallow: /x\nAllow: {long}b"), "robots"
    )
    [rule] = draft.rules
    assert rule.when["path"] == {"prefix": "/x"}
    assert rule.why == "robots.txt asks SomeBot to leave this alone."
    assert str(draft.notes[1]).startswith("line 3: the pattern '/aaaaa")
