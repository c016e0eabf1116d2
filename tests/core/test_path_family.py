"""The family of a path: words of the site stay, what tells one visitor or item from another does not."""

from __future__ import annotations

from itertools import product

import pytest

from proxyguard.core import path_family as module
from proxyguard.core.path_family import MAX_WORD, is_word_or_name, path_family

ENDS = (b"", b"-", b"a", b".js", b"'", b"\n", b"\xc3\xa9")


@pytest.mark.parametrize(
    ("path", "family"),
    [
        (b"/", "/"),
        (b"", "/"),
        (b"*", "/"),
        (b"/posts/4711", "/posts/*"),
        (b"/posts/4711/", "/posts/*/"),
        (b"/api/v2/users/9b2f0c44-1d3e-4f8a-9a55-0f6f5c3b2a11/photos", "/api/v2/users/*/…"),
        (b"/wp-login.php", "/wp-login.php"),
        (b"/static/app.3f9a1c.js", "/static/*.js"),
        (b"/people/jane@example.org", "/people/*"),
        (b"/team/anna.smith", "/team/*"),
        (b"/team/anna.smith.html", "/team/*.html"),
        (b"/team/anna.json", "/team/anna.json"),
        (b"/static/jquery.min.js", "/static/jquery.min.js"),
        (b"/sitemap.xml", "/sitemap.xml"),
        (b"/call/+491701234567", "/call/*"),
        (b"/\xff\xfe/x", "/*/x"),
        (b"/a/b/c/d", "/a/b/c/d"),
        (b"/a/b/c/d/e/f", "/a/b/c/d/…"),
        (b"/" + b"x" * 5000, "/*"),
        (b"/.env", "/*.env"),
        (b"/.git/config", "/*.git/config"),
    ],
)
def test_families(path: bytes, family: str) -> None:
    assert path_family(path) == family


def test_what_bytes_tell_is_what_expressions_say() -> None:
    short = (bytes(each) for length in range(6) for each in product(b"aZ09-~.", repeat=length))
    long = (
        b"a" * letters + b"7" * digits + end for letters in (1, 22, 24, 25, 60, 64, 65) for digits in range(6) for end in ENDS
    )
    for segment in (*short, *long):
        is_word = len(segment) <= MAX_WORD and module._WORD.fullmatch(segment) is not None
        suffix = module._SUFFIX.search(segment[-16:])
        family = segment.decode() if is_word or not segment else "*" + (suffix[0].decode() if suffix else "")
        assert path_family(b"/" + segment) == "/" + family, segment
        assert is_word_or_name(segment) == (module._NAME.fullmatch(segment) is not None and suffix is None), segment
