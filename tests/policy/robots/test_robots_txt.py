"""robots.txt: which group applies to whom, which line decides, and what a hostile path or file costs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protego import Protego

from proxyguard.core.address import Address
from proxyguard.core.reading import SiteReading
from proxyguard.core.request import Request
from proxyguard.core.robots import RobotsWord
from proxyguard.policy.robots.path_rules import MAX_LOOKED_AT, MAX_STARS, MAX_WILD, PathRules
from proxyguard.policy.robots.robots_txt import MAX_BYTES, NOTHING_FORBIDDEN, RobotsTxt, subject_of, whole_lines
from tests.examples import examples

ALLOWED, DISALLOWED, UNKNOWN = RobotsWord

FILE = b"""\xef\xbb\xbf# a comment
User-agent: GPTBot
User-agent: CCBot   # two names, one group
Disallow: /

user-agent: *
Disallow: /private/
Allow: /private/open
Crawl-delay: 5
Sitemap: https://example.org/sitemap.xml
Disallow: /*?sort=
Disallow: /*.pdf$

User-agent: Googlebot
Disallow: /only-google/

User-agent: Googlebot-News
Disallow: /only-news/
"""


def request(target: bytes) -> Request:
    return Request(Address.parse("192.0.2.1"), b"GET", b"https", b"example.org", target, ())


def word(text: bytes, agent: bytes, target: bytes) -> RobotsWord:
    return RobotsTxt(text).judge(agent, subject_of(request(target))).word


@pytest.mark.parametrize(
    ("agent", "target", "expected"),
    [
        (
            b"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            b"/",
            DISALLOWED,
        ),
        (b"ccbot/2.0", b"/a", DISALLOWED),
        (b"GPTBot/1.2", b"/robots.txt", ALLOWED),
        (b"MyGPTBot/1.2", b"/", ALLOWED),
        (b"Mozilla/5.0 (compatible; Other/1.0; like GPTBot)", b"/", ALLOWED),
        (b"Other/1.0 (+https://example.org/gptbot)", b"/", ALLOWED),
        (b"Other/1.0", b"/private/1", DISALLOWED),
        (b"Other/1.0", b"/private/open/1", ALLOWED),
        (b"Other/1.0", b"/Private/1", ALLOWED),
        (b"Other/1.0", b"/priv%61te/1", DISALLOWED),
        (b"Other/1.0", b"//private//1", DISALLOWED),
        (b"Other/1.0", b"/list?sort=name", DISALLOWED),
        (b"Other/1.0", b"/list?page=1&sort=name", ALLOWED),
        (b"Other/1.0", b"/a.pdf", DISALLOWED),
        (b"Other/1.0", b"/a.pdf?x", ALLOWED),
        (b"", b"/private/1", DISALLOWED),
        (b"Googlebot/2.1", b"/private/1", ALLOWED),
        (b"Googlebot/2.1", b"/only-google/", DISALLOWED),
        (b"Googlebot-Image/1.0", b"/only-google/", DISALLOWED),
        (b"Googlebot-News", b"/only-google/", ALLOWED),
        (b"Googlebot-News", b"/only-news/", DISALLOWED),
    ],
)
def test_the_group_of_the_user_agent_and_the_longest_line_decide(agent: bytes, target: bytes, expected: RobotsWord) -> None:
    assert word(FILE, agent, target) is expected


@pytest.mark.parametrize(
    ("lines", "target", "expected"),
    [
        (b"Disallow: /a\nAllow: /a", b"/a", ALLOWED),
        (b"Disallow: /abc\nAllow: /a", b"/abcd", DISALLOWED),
        (b"Disallow: /*\nAllow: /", b"/x", DISALLOWED),
        (b"Disallow:", b"/x", ALLOWED),
        (b"Disallow: private", b"/private", ALLOWED),
        (b"Disallow: *private", b"/a/private", DISALLOWED),
        (b"Disallow: /a$", b"/a", DISALLOWED),
        (b"Disallow: /a$", b"/ab", ALLOWED),
        (b"Disallow: /a%24", b"/a$b", DISALLOWED),
        (b"Disallow: /a%2Ab", b"/a*b", DISALLOWED),
        (b"Disallow: /a%2Ab", b"/axb", ALLOWED),
        (b"Disallow: /a*b*c$", b"/a-b-b-c", DISALLOWED),
        (b"Disallow: /a*bc$", b"/abbc", DISALLOWED),
        (b"Disallow: /ab*b$", b"/ab", ALLOWED),
        (b"Disallow: /\xc3\xa4", b"/%C3%A4x", DISALLOWED),
        (b"Disallow: //", b"/x", ALLOWED),
        (b"Disallow: /\nno line\nUnheard-of: x\nAllow: /x", b"/x", ALLOWED),
    ],
)
def test_patterns_are_read_as_the_rfc_says(lines: bytes, target: bytes, expected: RobotsWord) -> None:
    assert word(b"User-agent: *\n" + lines, b"Other/1.0", target) is expected


def test_groups_of_one_name_are_one_and_several_names_must_all_forbid() -> None:
    text = b"User-agent: A\nDisallow: /1\nUser-agent: B\nDisallow: /2\nUser-agent: a\nAllow: /1/x\nDisallow: /2"
    assert [word(text, b"A/1", path) for path in (b"/1", b"/1/x", b"/2")] == [DISALLOWED, ALLOWED, DISALLOWED]
    assert [word(text, b"A/1 B/1", path) for path in (b"/1", b"/2")] == [ALLOWED, DISALLOWED]


def test_a_verdict_names_group_delay_and_version() -> None:
    text = RobotsTxt(FILE)
    assert text.judge(b"Other/1.0", b"/private/") == (DISALLOWED, "*", 5.0, text.version, ())
    assert text.judge(b"GPTBot", b"/").group == "gptbot"
    assert RobotsTxt(FILE).version == text.version != RobotsTxt(FILE + b"#").version
    assert NOTHING_FORBIDDEN.judge(b"GPTBot", b"/").word is ALLOWED


def test_a_site_that_reads_paths_leniently_has_its_robots_txt_compared_as_sent() -> None:
    folded = request(b"/PRIVATE/1")
    folded.read_as(SiteReading(ignore_case=True))
    assert (folded.path, subject_of(folded)) == (b"/private/1", b"/PRIVATE/1")


def test_a_page_of_html_in_its_place_forbids_nothing() -> None:
    assert word(b"<!doctype html><html><body>User-agent: *<p>Disallow: /</body>", b"GPTBot", b"/") is ALLOWED


def test_the_first_500_kib_are_read_to_a_whole_line() -> None:
    text = b"User-agent: *\n" + b"Disallow: /%080d\n" % 1 * 6000 + b"Disallow: /late\n"
    assert len(text) > MAX_BYTES
    cut = whole_lines(text)
    assert (len(cut) <= MAX_BYTES, cut[-1:], word(text, b"x", b"/late")) == (True, b"\n", ALLOWED)
    assert whole_lines(b"x" * (MAX_BYTES + 1)) == b""


def test_what_does_not_fit_forbids_nothing_for_certain() -> None:
    many = PathRules([(b"/*%d" % number, False) for number in range(MAX_WILD + 1)])
    assert not many.is_whole
    text = b"User-agent: *\n" + b"".join(b"Disallow: /*x%d\n" % number for number in range(MAX_WILD + 1))
    assert word(text, b"x", b"/ax1") is UNKNOWN
    stars = b"/" + b"*a" * (MAX_STARS + 1)
    assert word(b"User-agent: *\nDisallow: " + stars, b"x", b"/" + b"a" * 40) is ALLOWED
    assert word(b"User-agent: *\nDisallow: /\nAllow: " + stars, b"x", b"/" + b"a" * 40) is ALLOWED


def test_a_padded_path_is_judged_by_its_beginning() -> None:
    assert len(subject_of(request(b"/private/" + b"x" * 8000))) == MAX_LOOKED_AT
    assert word(FILE, b"Other/1.0", b"/private/" + b"x" * 8000) is DISALLOWED


class CountingPath(bytes):
    """Counts how often, and from where, parts are looked for."""

    looked: list[int]

    def find(self, part: Any, start: Any = 0, end: Any = None, /) -> int:
        self.looked.append(start)
        return super().find(part, start, end)


def test_each_part_of_a_pattern_is_looked_for_once() -> None:
    path = CountingPath(b"/" + b"a" * 1000)
    path.looked = []
    stars = PathRules([(b"/" + b"*a" * MAX_STARS + b"b", False)])
    assert stars.find(path) is None
    assert path.looked == list(range(1, MAX_STARS + 1))


TOKENS = st.sampled_from([b"a", b"b", b"*", b"ab", b"%61", b"?", b"x=1", b"/a"])
PATTERNS = st.lists(TOKENS, max_size=6).map(lambda parts: b"/" + b"".join(parts).replace(b"//", b"/"))
PATHS = st.lists(st.sampled_from([b"a", b"b", b"/c", b"ab", b"x=1"]), max_size=6).map(lambda parts: b"".join(parts).lstrip(b"/"))


@settings(max_examples=examples(500), deadline=None)
@given(PATTERNS, PATHS, PATHS)
def test_a_pattern_matches_as_a_library_has_it_that_crawlers_use(pattern: bytes, path: bytes, query: bytes) -> None:
    """Protego, which Scrapy reads robots.txt with. Not compared: a `$`, which it reads as both an end and itself."""
    target = b"/" + path + (b"?" + query if query else b"")
    text = b"User-agent: *\nDisallow: " + pattern + b"\n"
    theirs = Protego.parse(text.decode()).can_fetch("https://example.org" + target.decode(), "Other/1.0")
    assert (word(text, b"Other/1.0", target) is ALLOWED) is theirs


@settings(max_examples=examples(400), deadline=None)
@given(st.binary(max_size=400), st.binary(max_size=60), st.binary(max_size=60))
def test_any_bytes_are_read(text: bytes, agent: bytes, target: bytes) -> None:
    assert word(b"User-agent: *\n" + text, agent, b"/" + target) in RobotsWord
