"""Sitemaps: plain, packed and indexed ones are read; bombs, nonsense and what is too large are refused by name."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

import pytest

from proxyguard.tools.range.learning.sitemap import MAX_BYTES, MAX_URLS, SitemapError, read_sitemap
from tests.tools.range.learning.test_learner import VOCABULARY

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
SPACE = ' xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def urlset(*urls: str) -> str:
    body = "".join(f"<url><loc>{url}</loc><lastmod>2026-01-01</lastmod></url>\n" for url in urls)
    return f"{HEAD}<urlset{SPACE}>{body}</urlset>"


def index(*urls: str) -> str:
    return f"{HEAD}<sitemapindex{SPACE}>{''.join(f'<sitemap><loc>{url}</loc></sitemap>' for url in urls)}</sitemapindex>"


def families(path: Path) -> list[str]:
    return [family.path for family in read_sitemap(path, VOCABULARY)[0]]


PAGES = urlset(
    *(f"https://example.org/profiles/{at}" for at in range(9)), "https://example.org/about?x=1", "ftp://x/", "http://["
)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
def test_its_paths_become_families_the_most_frequent_first(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "sitemap.xml"
    path.write_bytes(gzip.compress(PAGES.encode()) if packed else PAGES.encode())
    assert families(path) == ["/profiles/{number}", "/{word}"]
    found, notes = read_sitemap(path, VOCABULARY)
    assert ([family.items for family in found], notes) == ([1, 1], [])


def test_an_index_reads_the_files_beside_it_and_names_those_that_are_not(tmp_path: Path) -> None:
    inside = tmp_path / "maps"
    inside.mkdir()
    (tmp_path / "outside.xml").write_text(urlset("https://example.org/secret-place/1"))
    (inside / "a.xml.gz").write_bytes(
        gzip.compress(urlset("https://example.org/posts/1", "https://example.org/posts/2").encode())
    )
    (inside / "b.xml").write_text(index("https://example.org/a.xml.gz"))
    top = inside / "top.xml"
    top.write_text(
        index("https://example.org/a.xml.gz", "https://example.org/b.xml", "https://example.org/c.xml", "https://e.org/../outside.xml",
              "https://example.org/top.xml")
    )  # fmt: skip
    found, notes = read_sitemap(top, VOCABULARY)
    assert [family.path for family in found] == ["/posts/{number}"]
    assert sorted(note.partition(": ")[2].partition(" ")[0] for note in notes) == ["an", "c.xml", "outside.xml", "top.xml"]


GROWING = "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise("abcdefghi"))
BOMB = (
    f'{HEAD}<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{GROWING}]>\n'
    f"<urlset{SPACE}><url><loc>https://example.org/&i;</loc></url></urlset>"
)  # fmt: skip
OUTSIDE = (
    HEAD + '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>\n'
    f"<urlset{SPACE}><url><loc>https://example.org/&a;</loc></url></urlset>"
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "has a document type, which no sitemap has; it is not read"),
        (OUTSIDE, "has a document type"),
        ("", "no element found"),
        ("<html></html>", "is no sitemap: its root is <html>"),
        (HEAD + "<urlset><url><loc>https://example.org/", ":2:"),
        (urlset("https://example.org/" + "a" * 3_000), "a URL has more than 2048 characters"),
        (HEAD + "<urlset>" + "<a>" * 9, "elements lie more than 8 deep"),
        (urlset(), "it has no URL of http or https"),
        (urlset(*(["https://example.org/"] * (MAX_URLS + 1))), "more than 50,000 URLs"),
        (HEAD + "<urlset><url><loc>https://example.org/&unknown;</loc></url></urlset>", "undefined entity"),
    ],
    ids=["bomb", "outside", "empty", "page", "cut", "long", "deep", "nothing", "many", "entity"],
)
def test_what_is_none_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "sitemap.xml"
    path.write_text(text)
    with pytest.raises(SitemapError) as raised:
        read_sitemap(path, VOCABULARY)
    assert str(raised.value).startswith(str(path))
    assert said in str(raised.value)


def test_a_packed_file_that_never_ends_is_refused_and_a_broken_one_too(tmp_path: Path) -> None:
    path = tmp_path / "sitemap.xml.gz"
    path.write_bytes(gzip.compress((HEAD + "<urlset>").encode() + b" " * (MAX_BYTES + 1)))
    assert path.stat().st_size < 100_000
    with pytest.raises(SitemapError, match="more than 50 MiB unpacked"):
        read_sitemap(path, VOCABULARY)
    path.write_bytes(gzip.compress(PAGES.encode())[:-20])
    with pytest.raises(SitemapError):
        read_sitemap(path, VOCABULARY)
