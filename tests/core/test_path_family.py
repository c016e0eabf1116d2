"""The family of a path: words of the site stay, what tells one visitor or item from another does not."""

from __future__ import annotations

import pytest

from proxyguard.core.path_family import path_family


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
