"""The report: text as golden file, a page that needs and allows nothing else, and no address that was not asked for."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from proxyguard.core.address import Network
from proxyguard.tools.replay.charts import Row, short, stacked
from proxyguard.tools.replay.html_report import html_report
from proxyguard.tools.replay.report import masked, shown
from proxyguard.tools.replay.report_values import ReplayReport
from proxyguard.tools.replay.text_report import percent, plain, text_report
from tests.tools.replay.lines import line, replayed

HERE = Path(__file__).parent

RULES = """\
  - {name: keys, when: {path: {prefix: /api/}, header.x-api-key: present}, action: allow}
  - {name: robots-txt, when: {path: /robots.txt}, action: allow}
  - {name: no-curl, when: {user_agent: {word: curl}}, action: reject}
  - {name: no-accept, when: {header.accept: absent}, action: {score: 40}}
  - {name: pages, when: {path: {prefix: /profiles/}}, limit: {rate: 5/minute}, action: tarpit}
  - {name: too-suspicious, when: {score: {at_least: 60}}, action: reject}
  - {name: searches, when: {path: /search}, action: reject, mode: shadow}
"""
OLD = """\
  - {name: no-wget, when: {user_agent: {word: Wget}}, action: reject}
  - {name: robots-txt, when: {path: /robots.txt}, action: allow}
  - {name: pages, when: {path: {prefix: /profiles/}}, limit: {rate: 10/minute}, action: tarpit}
"""
HOSTILE = "curl/8 </title><script>alert(1)</script><img src=https://evil.example/x>"


def lines() -> list[str]:
    person = [
        line(hour * 3600 + at, "198.51.100.23", target, user="ada", referer="https://www.example.org/")
        for hour in range(4)
        for at, target in enumerate(["/", "/style.css", "/app.js", "/search", *[f"/profiles/{n}" for n in range(7)]])
    ]
    script = [line(at, "2001:db8:5::7", f"/api/{at}", "curl/8.5.0") for at in range(20)]
    odd = [
        line(30, "203.0.113.4", "/x", HOSTILE),
        line(31, "203.0.113.5", "/robots.txt", "Wget/1"),
        line(32, "203.0.113.5", "/", "Wget/1"),
    ]
    broken = ["rubbish \x1b]0;owned\x07", line(33).replace("GET / HTTP/1.1", "\\x16\\x03")]
    return [*script, *odd, *broken, *person]


def report(tmp_path: Path, *, compared: bool = True) -> ReplayReport:
    options = {"verified": (Network.parse("203.0.113.5"),)}
    made, _ = replayed(tmp_path, RULES, lines(), against=OLD if compared else None, **options)
    return made


@pytest.mark.parametrize("compared", [False, True])
def test_the_text_is_the_golden_one(tmp_path: Path, compared: bool) -> None:
    text = plain(text_report(report(tmp_path, compared=compared))).replace(str(tmp_path), "LOGS")
    assert text == (HERE / "golden" / f"report-{'compared' if compared else 'alone'}.txt").read_text()


class Page(HTMLParser):
    """Collects tags, attributes and text; complains about tags that do not match."""

    VOID = frozenset({"meta", "rect", "line", "polyline", "br"})
    OPTIONAL = frozenset({"th", "li", "tr", "td"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in self.VOID | self.OPTIONAL:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.OPTIONAL:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_is_whole_and_asks_for_nothing_from_elsewhere(tmp_path: Path) -> None:
    html = html_report(report(tmp_path))
    page = Page(html)
    assert page.open == []
    assert page.tags.isdisjoint({"script", "img", "link", "iframe", "object", "a", "form", "base"})
    assert {name for name, _ in page.attributes}.isdisjoint({"src", "href", "action", "onclick", "onload", "srcset"})
    assert "@import" not in html
    assert "url(" not in html
    assert "default-src 'none'; style-src 'unsafe-inline'" in html
    assert "prefers-color-scheme:dark" in html


def test_what_clients_chose_is_text_on_the_page(tmp_path: Path) -> None:
    made = report(tmp_path)
    texts = "".join(Page(html_report(made)).texts)
    assert "</title><script>alert(1)</script>" in texts
    assert "\x1b" not in html_report(made)
    assert "\x1b" not in plain(text_report(made))


def test_addresses_are_cut_to_their_network_unless_asked_for(tmp_path: Path) -> None:
    made = report(tmp_path)
    cut, whole = html_report(made), html_report(made, full_addresses=True)
    for address in ("198.51.100.23", "2001:db8:5::/64", "203.0.113.5"):
        assert address not in cut
    assert "198.51.100.0/24" in cut
    assert "198.51.100.23" in whole


@pytest.mark.parametrize(
    ("client", "network"),
    [("192.0.2.9", "192.0.2.0/24"), ("2001:db8:1:2::/64", "2001:db8:1::/48"), ("2001:db8::1", "2001:db8::/48")],
)
def test_a_client_is_masked_as_its_network(client: str, network: str) -> None:
    assert masked(client) == network


def test_json_has_everything_as_plain_values(tmp_path: Path) -> None:
    found = report(tmp_path).as_dict()
    assert found["stopped"] == {"requests": 29, "clients": 3, "networks": 3, "logged_in": 8, "verified": 0, "exact": True}
    assert found["suspects"][0]["client"] == "198.51.100.23"
    assert found["suspects"][0]["rules"] == {"pages": 8, "searches": 4}
    assert [each["rule"] for each in found["unjudged"]] == ["keys", "no-accept", "too-suspicious"]
    assert found["unjudged"][0]["concerns"]["requests"] == 20
    assert found["difference"]["newly_stopped"]["requests"] == 29
    assert found["log"]["malformed_shown"][0]["line"] == 24
    assert sum(map(sum, (found["over_time"][name] for name in ("passed", "shadowed", "stopped")))) == found["all"]["requests"]


@pytest.mark.parametrize(
    ("part", "total", "said"),
    [(0, 10, "0 %"), (1, 3, "33.3 %"), (1, 100_000, "<0.1 %"), (10, 10, "100.0 %"), (1, 0, "-"), (0, 0, "0 %")],
)
def test_a_small_share_is_never_shown_as_nothing(part: int, total: int, said: str) -> None:
    assert percent(part, total) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [(b"caf\xc3\xa9", "café"), (b"\xff", "\\xff"), (b"a\x1b[31m\n", "a\\x1b[31m\\n"), ("\u202egnp".encode(), "\\u202egnp")],
)
def test_what_a_client_chose_is_printable(text: bytes, said: str) -> None:
    assert shown(text) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (999, "999"), (1000, "1k"), (1250, "1.2k"), (2_000_000, "2M"), (12_345_678, "12.3M")]
)
def test_large_numbers_are_said_in_short(value: int, said: str) -> None:
    assert short(value) == said


def test_a_picture_has_a_bar_for_each_count_and_its_figures_as_titles() -> None:
    svg = stacked("What & when", [Row("low", "a", [1, 0]), Row("<b>", "b", [2, 3])], 1_795_424_400, 60)
    assert len(re.findall(r'<rect class="[ab]"', svg)) == 3
    assert "<title>What &amp; when</title>" in svg
    assert "<title>11-23 09:00\nlow: 1\n&lt;b&gt;: 2</title>" in svg


def test_a_picture_of_nothing_is_nothing() -> None:
    assert stacked("x", [Row("a", "a", [])], 0, 60) == ""
